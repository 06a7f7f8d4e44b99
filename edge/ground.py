"""The slow background of a camera that moves: kept where the ground lies, not where the camera looks.

Drawn anew from step to step, a background would blur; here only its change is. The canvas is larger than the view by a
margin, so that what a shake leaves out for a moment is not forgotten. It follows the view in whole pixels, which costs
no sharpness, and is drawn anew only where the view has turned or zoomed away from it, or has come to rest.

Ground that has come into view has no background; the present frame stands in, and begins one. The graph knows one age
for the whole view; where the ground is younger, its change is scaled up to what a running mean would have made. What
may be gas is let in slowly, or a still plume would vanish; here that goes faster, since an edge that does not quite fit
its past looks like gas, and must not do so for a minute. A view that never moves is remembered bit for bit, as if all
this were not here.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge.records import Array
from edge.warp import STILL, between, draw, inverse, reach, shifted, slid, slide, whole

MARGIN = 16  # px around the view
ASTRAY = 8.0  # px that the middle of the view may be off the canvas', and a corner when that has been made good
BACKGROUND_S = 6.0  # the graph's: time constant of the background, up to which it is a running mean
COARSE = 2  # px, of the cells that gas is told in
FADING = np.float32(3.0)  # times faster a ghost fades than where the view stands: moving pictures never quite fit
NO_GAS = -8.0  # logit of a probability that makes no difference to that
UNSEEN = np.float32(-1e9)  # age of ground that was never seen: so far below 0 that any part of it in a mean shows
ONTO_CANVAS = shifted(MARGIN, MARGIN)  # px of the view that it is for -> its own


class Ground:
    """One background. `read`, then `write`, at every step."""

    def __init__(self, height: int, width: int) -> None:
        self._inner = np.s_[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        self._canvas: Array = np.zeros((height + 2 * MARGIN, width + 2 * MARGIN), np.float32)
        self._age: Array = np.zeros_like(self._canvas)  # seconds since it was first seen, at most BACKGROUND_S
        self._out: Array = np.zeros((height, width), np.float32)
        self._young: Array = self._age[self._inner]  # ages as the present view shows them…
        self._youngest = 0.0  # …and the least
        self.reset()

    def reset(self) -> None:
        """Forget all ground."""
        self._age.fill(UNSEEN)
        self._ahead = False  # the view stands, and what is given out next is newer than the canvas
        self._view: Array | None = None  # that the canvas is for, its margin apart; None: nothing is known
        self._last: Array = STILL  # view of the last step
        self._known: tuple[Array, Array, Array | None] | None = None  # a view, the canvas', and what lies between
        self._even = True  # all that is in view is as old as the clock says

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
        return np.array([*view.ravel(), *self._last.ravel(), self._even])

    def resume(self, cursor: Array) -> None:
        """Take over what `cursor` gave; the arrays have been filled."""
        view, self._last = cursor[:9].reshape(3, 3).copy(), cursor[9:18].reshape(3, 3).copy()
        self._view, self._even = view if view.any() else None, bool(cursor[18])

    def read(self, view: Array, frame: Array) -> Array:
        """The background (h, w) as a view shows it, in a buffer that holds until the next call; `frame` where it has
        never been seen."""
        if self._view is None:
            return frame
        transform = self._onto(view)
        if transform is None:
            if not self._ahead:
                np.copyto(self._out, self._canvas[self._inner])
            self._young = self._age[self._inner]
        else:
            self._settle()
            self._young, onto = np.empty(self._out.shape, np.float32), ONTO_CANVAS @ transform
            self._young.fill(UNSEEN)
            draw(self._canvas, onto, self._out)
            draw(self._age, onto, self._young)
        if not self._even or transform is not None:
            self._youngest = cv2.minMaxLoc(self._young)[0]
            if self._youngest < 0:
                np.copyto(self._out, frame, where=self._young < 0)
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
            self._age[self._inner] = 0.0
            return
        transform = self._onto(view)
        if transform is None and self._even:
            np.copyto(self._out, changed)
            self._ahead = True
            return
        if self._even:
            self._age[self._inner] = self._young[self._young >= 0] = min(clock[1], BACKGROUND_S)
            self._even = False
        change = self._faster(frame, given, changed, logits, clock)
        self._take(np.eye(3) if transform is None else transform, frame, change, clock[0])
        if transform is not None:
            self._follow(view, transform, resting)
        elif self._age[self._inner].min() >= min(clock[1], BACKGROUND_S):
            self._even = True

    def _settle(self) -> None:
        """Lay what a view that stands has made of the background onto the canvas, which nobody looked at so long."""
        if self._ahead:
            np.copyto(self._canvas[self._inner], self._out)
            self._ahead = False

    def _faster(self, frame: Array, given: Array, changed: Array, logits: Array, clock: tuple[float, float]) -> Array:
        """The change (h, w) as much faster as the ground is younger, but never beyond the frame."""
        change = cv2.subtract(changed, given)
        gas = cv2.minMaxLoc(logits)[1] > NO_GAS
        if not gas and self._youngest >= BACKGROUND_S:
            return np.asarray(change)
        most = cv2.absdiff(frame, given)
        cv2.multiply(change, self._boost(logits if gas else None, clock), dst=change)
        cv2.min(change, most, dst=change)
        return np.asarray(cv2.max(change, np.negative(most, out=most), dst=change))

    def _boost(self, logits: Array | None, clock: tuple[float, float]) -> Array:
        """How many times faster than the graph thinks the background grows, (h, w); under gas, where there is any,
        FADING times."""
        boost: Array = self._young.copy() if self._youngest >= 0 else np.maximum(self._young, 0)
        boost += np.float32(clock[0] + 1e-6)
        np.divide(np.float32(min(clock[1], BACKGROUND_S) + clock[0]), boost, out=boost)
        if logits is not None:
            height, width = boost.shape
            finer = max(1, COARSE * logits.shape[0] // height)
            free = np.tanh(np.float32(-0.5) * logits[::finer, ::finer])  # 1 less twice the probability of gas…
            np.maximum(free, 0, out=free)  # …but not below 0
            boost -= FADING
            boost *= cv2.resize(free, (width, height), interpolation=cv2.INTER_LINEAR)
            boost += FADING
        return boost

    def _take(self, transform: Array, frame: Array, change: Array, step: float) -> None:
        """Add a change that the view shows; where the ground is new, begin with the frame."""
        onto, room = inverse(ONTO_CANVAS @ transform), self._canvas.shape
        if (way := slide(onto, room)) is not None:
            part, seen = slid((round(way[0]), round(way[1])), frame.shape, room), None  # all of a rectangle
            if part is None:
                return
            onto = shifted(way[0] + part[1].start, way[1] + part[0].start)
        else:
            part, seen = np.s_[:, :], np.zeros(room, np.uint8)
            draw(np.full(frame.shape, 255, np.uint8), onto, seen, cv2.INTER_NEAREST)
        canvas, age = self._canvas[part], self._age[part]
        spread = np.zeros(canvas.shape, np.float32)
        draw(change, onto, spread)
        cv2.add(canvas, spread, dst=canvas)
        youngest = cv2.minMaxLoc(age, mask=seen)[0]
        if youngest < 0:
            new = cv2.compare(age, 0, cv2.CMP_LT)
            self._begin(canvas, age, new if seen is None else cv2.bitwise_and(new, seen), frame, onto, step)
        if youngest < BACKGROUND_S:
            cv2.add(age, step, dst=age, mask=seen)
            cv2.threshold(age, BACKGROUND_S, 0, cv2.THRESH_TRUNC, dst=age)

    def _begin(self, canvas: Array, age: Array, new: Array, frame: Array, onto: Array, step: float) -> None:
        """What is new of a part of the canvas shows the frame; `onto`: px of the part -> px of the view."""
        x, y, width, height = cv2.boundingRect(new)
        part, how = np.s_[y : y + height, x : x + width], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        fresh = cv2.warpPerspective(
            frame, onto @ shifted(x, y), (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE
        )
        np.copyto(canvas[part], fresh, where=new[part] > 0)
        np.copyto(age[part], np.float32(-step), where=new[part] > 0)

    def _onto(self, view: Array) -> Array | None:
        """Px of a view -> px of the view that the canvas is for; None where both are the same."""
        assert self._view is not None
        if self._known is None or self._known[0] is not view or self._known[1] is not self._view:
            self._known = view, self._view, between(view, self._view)
        return self._known[2]

    def _follow(self, view: Array, transform: Array, resting: bool) -> None:
        """Keep the canvas below the view, which lies aside of it."""
        size = self._out.shape[1], self._out.shape[0]
        if not resting:
            right, down = whole(transform, size)
            if max(abs(right), abs(down)) > ASTRAY:
                self._scroll(right, down)
                after = self._onto(view)
                if after is None:
                    return
                transform = after
            if reach(transform, size) <= 2 * ASTRAY:
                return
        onto = ONTO_CANVAS @ transform @ inverse(ONTO_CANVAS)
        before, age = self._canvas.copy(), self._age.copy()
        self._age.fill(UNSEEN)
        draw(before, onto, self._canvas)
        draw(age, onto, self._age, cv2.INTER_NEAREST)
        self._view = view

    def _scroll(self, right: int, down: int) -> None:
        """Move the canvas over the ground, in whole px."""
        assert self._view is not None
        height, width = self._canvas.shape
        to = np.s_[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
        source = np.s_[max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)]
        for plane in (self._canvas, self._age):
            kept = plane[source].copy()
            if plane is self._age:
                plane.fill(UNSEEN)
            plane[to] = kept
        self._view = self._view @ shifted(right, down)
