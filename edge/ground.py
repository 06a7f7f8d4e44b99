"""The slow background of a camera that moves: kept where the ground lies, not where the camera looks.

Drawn anew from step to step, a background would blur; here only its change is. The canvas is larger than the view by a
margin, so that what a shake leaves out for a moment is not forgotten. It follows the view in whole pixels, which costs
no sharpness, and is drawn anew only where the view has turned or zoomed away from it, or has come to rest.

Ground that has come into view has no background; the present frame stands in, and begins one. The graph knows one age
for the whole view; where the ground is younger, its change is scaled up to what a running mean would have made. Ages
are told in cells; whether ground was ever seen is told to the px, by a grey far below all others. What may be gas is
let in slowly, or a still plume would vanish; here that goes faster, since an edge that does not quite fit its past
looks like gas, and must not do so for a minute. A view that moves takes a change in every other frame, at 15 a second,
for twice the time: the background is slow. A view that never moves is remembered bit for bit, as if all this were not
here.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.records import Array
from edge.warp import STILL, aside, between, draw, in_cells, inverse, reach, shifted, slid, slide, whole

MARGIN = 16  # px around the view
ASTRAY = 8.0  # px that the middle of the view may be off the canvas', and a corner when that has been made good
BACKGROUND_S = 6.0  # the graph's: time constant of the background, up to which it is a running mean
EVERY_S = 0.09  # a moving view has its change taken in so often, for all the time since
CELL = 2  # px, of the cells that ages and gas are told in; sizes and the margin are multiples of it
FADING = np.float32(3.0)  # times faster a ghost fades than where the view stands: moving pictures never quite fit
NO_GAS = -8.0  # logit of a probability that makes no difference to that
UNSEEN = np.float32(-1e15)  # ground, and its age: so far below 0 that any part of it in a mean shows…
NEVER = -1e3  # …by being less than this
ONTO_CANVAS = shifted(MARGIN, MARGIN)  # px of the view that it is for -> its own
Motion = tuple[Array | None, tuple[float, float] | None]  # a transform, None of none, and the shift that does the same


class Ground:
    """One background. `read`, then `write`, at every step."""

    def __init__(self, height: int, width: int) -> None:
        margin, rows, columns = MARGIN // CELL, height // CELL, width // CELL
        self._inner = np.s_[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        self._inner_cells = np.s_[margin : margin + rows, margin : margin + columns]
        self._canvas: Array = np.zeros((height + 2 * MARGIN, width + 2 * MARGIN), np.float32)
        # of each cell, seconds since it was first seen, at most BACKGROUND_S
        self._age: Array = np.zeros((rows + 2 * margin, columns + 2 * margin), np.float32)
        self._out: Array = np.zeros((height, width), np.float32)
        self._ages: Array = np.zeros((rows, columns), np.float32)  # as a moving view shows them
        self._new: tuple[int, int, int, int] | None = None  # x, y, width, height of what it shows for the first time
        self.reset()

    def reset(self) -> None:
        """Forget all ground."""
        self._canvas.fill(UNSEEN)
        self._age.fill(UNSEEN)
        self._ahead = False  # the view stands, and what is given out next is newer than the canvas
        self._view: Array | None = None  # that the canvas is for, its margin apart; None: nothing is known
        self._last: Array = STILL  # view of the last step
        self._known: tuple[Array, Array, Motion] | None = None  # a view, the canvas', and what lies between
        self._even = True  # all that is in view is as old as the clock says
        self._owed = 0.0  # seconds since a change was taken in

    def rescale(self, gain: float, offset: float) -> None:
        """x -> gain x + offset."""
        self._settle()
        self._canvas *= np.float32(gain)
        self._canvas += np.float32(offset)

    def arrays(self) -> dict[str, Array]:
        """All that is remembered, to be copied from or into."""
        self._settle()
        return {"canvas": self._canvas, "age": self._age}

    def cursor(self) -> Array:
        """What `arrays` leaves out."""
        view = np.zeros((3, 3)) if self._view is None else self._view
        return np.array([*view.ravel(), *self._last.ravel(), self._even, self._owed])

    def resume(self, cursor: Array) -> None:
        """Take over what `cursor` gave; the arrays have been filled."""
        view, self._last = cursor[:9].reshape(3, 3).copy(), cursor[9:18].reshape(3, 3).copy()
        self._view, self._even = view if view.any() else None, bool(cursor[18])
        self._owed = float(cursor[19])

    def read(self, view: Array, frame: Array) -> Array:
        """The background (h, w) as a view shows it, in a buffer that holds until the next call; `frame` where it has
        never been seen."""
        if self._view is None:
            return frame
        transform, way = self._onto(view)
        if transform is None:
            if not self._ahead:
                np.copyto(self._out, self._canvas[self._inner])
        else:
            self._settle()
            self._show(self._canvas, 1, (transform, way), self._out)
        self._new = None
        if (not self._even or transform is not None) and cv2.minMaxLoc(self._out)[0] < NEVER:
            unseen = cv2.compare(self._out, NEVER, cv2.CMP_LT)
            self._new = cv2.boundingRect(unseen)
            cv2.copyTo(frame, unseen, self._out)
        return self._out

    def write(
        self, view: Array, frame: Array, given: Array, changed: Array, logits: Array, clock: tuple[float, float]
    ) -> None:
        """Take in what the graph has `changed` the `given` background to. `logits`, at any whole fraction of the size,
        say where there is gas; `clock` is the graph's: seconds since the last step and since the reset."""
        resting, self._last = view.tolist() == self._last.tolist(), view
        if self._view is None:
            self._view = view
            np.copyto(self._canvas[self._inner], changed)
            self._age[self._inner_cells] = 0.0
            return
        transform, way = self._onto(view)
        if transform is None and self._even:
            np.copyto(self._out, changed)
            self._ahead = True
            return
        if self._even:
            self._age[self._inner_cells] = min(clock[1], BACKGROUND_S)
            self._even, self._owed = False, 0.0
        self._owed += clock[0]
        if transform is None or self._owed >= EVERY_S:
            self._take((transform, way), frame, cv2.subtract(changed, given), cv2.absdiff(frame, given), logits, clock)
        if transform is not None:
            self._follow(view, resting)
        elif self._age[self._inner_cells].min() >= min(clock[1], BACKGROUND_S):
            self._even = True

    def _settle(self) -> None:
        """Lay what a view that stands has made of the background onto the canvas, which nobody looked at so long."""
        if self._ahead:
            np.copyto(self._canvas[self._inner], self._out)
            self._ahead = False

    def _show(self, plane: Array, cell: int, motion: Motion, out: Array) -> Array:
        """The canvas, or ages in cells of so many px, as a view shows them, in `out`."""
        transform, way = motion
        if way is None:
            assert transform is not None
            out.fill(UNSEEN)
            draw(plane, in_cells(ONTO_CANVAS @ transform, cell), out)
            return out
        onto = (MARGIN + way[0]) / cell, (MARGIN + way[1]) / cell
        window = slid(onto, plane.shape, out.shape)
        if window != (slice(0, out.shape[0]), slice(0, out.shape[1])):
            out.fill(UNSEEN)
        if window is not None:
            aside(plane, onto, *window, out[window])
        return out

    def _take(
        self, motion: Motion, frame: Array, change: Array, most: Array, logits: Array, clock: tuple[float, float]
    ) -> None:
        """Take in a change (h, w) of the view, faster where the ground is younger, but nowhere by more than `most`."""
        young = self._show(self._age, CELL, motion, self._ages)
        old, gas = cv2.minMaxLoc(young)[0] >= BACKGROUND_S, cv2.minMaxLoc(logits)[1] > NO_GAS
        times = self._owed / clock[0] if clock[0] > 0 else 1.0  # steps that this one stands for
        if old and not gas:
            change *= np.float32(times)
        else:
            boost = self._boost(young, logits if gas else None, clock)
            cv2.multiply(change, cv2.resize(boost, frame.shape[::-1]), scale=times, dst=change)
            cv2.min(change, most, dst=change)
            cv2.max(change, np.negative(most, out=most), dst=change)
        transform, way = motion
        seen = self._add(transform, frame, change) if way is None else self._add_aside(way, frame, change)
        if seen is None:
            return
        if not old:  # what is new is 0 s old
            step, oldest = np.float32(self._owed), np.float32(BACKGROUND_S)
            self._age[seen] = np.minimum(np.maximum(self._age[seen], -step) + step, oldest)
        self._owed = 0.0

    def _boost(self, young: Array, logits: Array | None, clock: tuple[float, float]) -> Array:
        """How many times faster than the graph thinks the background grows, in cells; under gas, where there is any,
        FADING times."""
        boost: Array = np.maximum(young, 0)
        boost += np.float32(self._owed + 1e-6)
        np.divide(np.float32(min(clock[1], BACKGROUND_S) + clock[0]), boost, out=boost)
        if logits is not None:
            finer = max(1, logits.shape[0] // boost.shape[0])
            free = np.tanh(np.float32(-0.5) * logits[::finer, ::finer])  # 1 less twice the probability of gas…
            np.maximum(free, 0, out=free)  # …but not below 0
            boost -= FADING
            boost *= free if free.shape == boost.shape else cv2.resize(free, boost.shape[::-1])
            boost += FADING
        return boost

    def _add_aside(self, way: tuple[float, float], frame: Array, change: Array) -> tuple[slice, slice] | None:
        """Add a change of a view that lies aside; where the ground is new, begin with the frame. The cells in view."""
        x, y = -MARGIN - way[0], -MARGIN - way[1]  # from px of the canvas to those of the view
        if (window := slid((x, y), frame.shape, self._canvas.shape)) is None:
            return None
        part = self._canvas[window]
        cv2.add(part, aside(change, (x, y), *window), dst=part)
        if self._new is not None:
            left, top, width, height = self._new
            rows, columns = slid((round(x), round(y)), frame.shape, self._canvas.shape) or window
            rows = slice(max(rows.start, math.floor(top - y)), min(rows.stop, math.ceil(top + height - y)))
            columns = slice(max(columns.start, math.floor(left - x)), min(columns.stop, math.ceil(left + width - x)))
            size = columns.stop - columns.start, rows.stop - rows.start
            if min(size) > 0:
                middle = columns.start + x + (size[0] - 1) / 2, rows.start + y + (size[1] - 1) / 2
                part = self._canvas[rows, columns]
                np.copyto(part, cv2.getRectSubPix(frame, size, middle), where=part < NEVER)  # its edge carried on
        return slid((round(x / CELL), round(y / CELL)), self._ages.shape, self._age.shape)

    def _add(self, transform: Array | None, frame: Array, change: Array) -> Array:
        """The same for a view that has turned or zoomed."""
        assert transform is not None
        onto, room = inverse(ONTO_CANVAS @ transform), self._canvas.shape
        spread, seen = np.zeros(room, np.float32), np.zeros(room, np.uint8)
        draw(change, onto, spread)
        draw(np.full(frame.shape, 255, np.uint8), onto, seen, cv2.INTER_NEAREST)
        cv2.add(self._canvas, spread, dst=self._canvas)
        if self._new is not None:
            how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            fresh = cv2.warpPerspective(frame, onto, room[::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)
            new = cv2.bitwise_and(cv2.compare(self._canvas, NEVER, cv2.CMP_LT), seen)
            cv2.copyTo(fresh, new, self._canvas)
        return np.asarray(seen[::CELL, ::CELL] > 0)

    def _onto(self, view: Array) -> Motion:
        """Px of a view -> px of the view that the canvas is for."""
        assert self._view is not None
        if self._known is None or self._known[0] is not view or self._known[1] is not self._view:
            transform = between(view, self._view)
            way = (0.0, 0.0) if transform is None else slide(transform, self._out.shape)
            self._known = view, self._view, (transform, way)
        return self._known[2]

    def _follow(self, view: Array, resting: bool) -> None:
        """Keep the canvas below the view, which lies aside of it."""
        transform, way = self._onto(view)
        assert transform is not None
        size = self._out.shape[1], self._out.shape[0]
        if not resting:
            right, down = whole(transform, size) if way is None else (round(way[0]), round(way[1]))
            if max(abs(right), abs(down)) > ASTRAY:
                self._scroll(right - right % CELL, down - down % CELL)
                transform, way = self._onto(view)
                if transform is None:
                    return
            if (reach(transform, size) if way is None else math.hypot(*way)) <= 2 * ASTRAY:
                return
        onto = ONTO_CANVAS @ transform @ inverse(ONTO_CANVAS)
        for plane, cell, how in ((self._canvas, 1, cv2.INTER_LINEAR), (self._age, CELL, cv2.INTER_NEAREST)):
            before = plane.copy()
            plane.fill(UNSEEN)
            draw(before, in_cells(onto, cell), plane, how)
        self._view = view

    def _scroll(self, right: int, down: int) -> None:
        """Move the canvas over the ground, in whole px that are whole cells, too."""
        assert self._view is not None
        for plane, x, y in ((self._canvas, right, down), (self._age, right // CELL, down // CELL)):
            height, width = plane.shape
            to = np.s_[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
            kept = plane[max(0, y) : height - max(0, -y), max(0, x) : width - max(0, -x)].copy()
            plane.fill(UNSEEN)
            plane[to] = kept
        self._view = self._view @ shifted(right, down)
