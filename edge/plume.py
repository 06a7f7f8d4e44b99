"""What a plume shows only over time: which way its gas drifts, where it comes from, and that it flickers at all.

All work on reduced pictures of at most 80 x 60 cells, in source pixels and seconds outside. On a camera that moves all
of it follows the ground: `view` (see `edge.warp`) says where the cells lie.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.records import Array, Point
from edge.warp import STILL, between, draw, reach, shifted, whole

WIDTH, HEIGHT = 80, 60
KNOWN = 0.95  # share of a cell that must have been seen
AROUND: Array = np.ones((5, 5), np.uint8)  # cells that still belong to a plume: its thin edge


class Drift:
    """Velocity of the gas by how its texture is carried along.

    A least-squares fit of c_t + u c_x + v c_y = 0 (advection of the contrast c) over the cells that are gas in both of
    two pictures a tenth of a second apart. The centroid would not do: that of a steady plume stands still while gas
    streams through it. On rendered plumes the direction is right within 8 degrees (median, 2.7 s of footage), the speed
    within a fifth.
    """

    STEP_S = 0.1  # between the two pictures
    MEMORY_S = 2.0  # time constant of the smoothing
    FEWEST = 20  # cells that a fit needs

    def __init__(self) -> None:
        self._before: tuple[float, Array, Array, Array] | None = None
        self._velocity: Array | None = None  # cells a second

    def step(self, captured: float, contrast: Array, gas: Array, view: Array = STILL) -> Array | None:
        """`contrast` and `gas` (share of a cell that is gas), (h, w) float32. Cells a second (x, y)."""
        if self._before is None:
            self._before = captured, contrast, gas, view
            return None
        then, earlier, gas_then, viewed = self._before
        elapsed = captured - then
        if elapsed < self.STEP_S:
            return self._velocity
        self._before = captured, contrast, gas, view
        if (transform := between(view, viewed)) is not None:
            earlier, gas_then = drawn(earlier, transform), drawn(gas_then, transform)
        inside = np.minimum(gas, gas_then) > 0.9
        if np.count_nonzero(inside) >= self.FEWEST:
            velocity = carried(earlier, contrast, inside) / elapsed
            share = 1.0 if self._velocity is None else 1.0 - math.exp(-elapsed / self.MEMORY_S)
            old = velocity if self._velocity is None else self._velocity
            self._velocity = old + share * (velocity - old)
        return self._velocity


def carried(earlier: Array, later: Array, inside: Array) -> Array:
    """The displacement (x, y) in cells that best explains, as transport, how `earlier` became `later`."""
    middle = cv2.addWeighted(earlier, 0.5, later, 0.5, 0)
    gx = cv2.Sobel(middle, cv2.CV_32F, 1, 0, scale=0.125)[inside]
    gy = cv2.Sobel(middle, cv2.CV_32F, 0, 1, scale=0.125)[inside]
    change = (later - earlier)[inside]
    change = change - change.sum() / len(change)  # all of it brighter: a gust of gas or of gain, no transport
    xx, xy, yy, xt, yt = (float(a @ b) for a, b in ((gx, gx), (gx, gy), (gy, gy), (gx, change), (gy, change)))
    ridge = 1e-3 * (xx + yy) + 1e-9
    xx, yy = xx + ridge, yy + ridge
    return np.array([xy * yt - yy * xt, xy * xt - xx * yt]) / (xx * yy - xy * xy)


class Origin:
    """Where the gas comes from: of the places that are hardly ever free of gas, the one furthest upwind.

    At the source there is gas as long as it leaks; downwind the plume meanders and frays, so a place is gas less often
    the further away it is. Persistence alone would point into the middle of a dense plume, the upwind end alone at the
    last puff that blew backwards.
    """

    MEMORY_S = 10.0  # time constant of the persistence
    SHARE = 0.25  # of a cell that must be gas: a jet is narrower than a cell where it begins
    PERSISTENT = 0.8  # of the highest persistence
    END = 0.05  # share of the persistent cells that make up the upwind end
    TURNED = 2.0  # cells that the corners may be off before the persistence is drawn anew; each time it blurs

    def __init__(self) -> None:
        self._persistence: Array | None = None
        self._view = STILL
        self._then = 0.0
        self._since = 0.0

    def step(self, captured: float, gas: Array, drift: Array | None, view: Array = STILL) -> Point | None:
        """`gas` (h, w), share of a cell that is gas now. The origin in cells (x, y); None while there is too little."""
        gas = (gas >= min(self.SHARE, float(gas.max()))).astype(np.float32)
        if self._persistence is None:
            self._persistence, self._since, self._view = gas, captured, view
        else:
            self._follow(view)
            # a running mean at first, then exponential
            share = (captured - self._then) / (min(captured - self._since, self.MEMORY_S) + 1e-6)
            cv2.accumulateWeighted(gas, self._persistence, min(1.0, share))
        self._then = captured
        persistence = self._persistence
        highest = float(persistence.max())
        if highest <= 0:
            return None
        held = (persistence >= self.PERSISTENT * highest).ravel().nonzero()[0]  # by two indices it takes longer
        ys, xs = np.divmod(held, persistence.shape[1])
        if drift is None:
            weight = persistence.ravel()[held]
            return float(xs @ weight / weight.sum()) + 0.5, float(ys @ weight / weight.sum()) + 0.5
        along = xs * drift[0] + ys * drift[1]
        end = along.argsort(kind="stable")[: max(1, round(self.END * len(along)))]
        x, y = (float(each[end].sum()) / len(end) + 0.5 for each in (xs, ys))
        return x, y

    def _follow(self, view: Array) -> None:
        """Bring the persistence below the present view, by whole cells where these will do."""
        assert self._persistence is not None
        size = self._persistence.shape[1], self._persistence.shape[0]
        transform = between(view, self._view)
        if transform is None:
            return
        if reach(shifted(*(-side for side in whole(transform, size))) @ transform, size) > self.TURNED:
            self._persistence, self._view = drawn(self._persistence, transform), view
        elif any(step := whole(transform, size)):
            self._persistence = drawn(self._persistence, shifted(*step))
            self._view = self._view @ shifted(*step)


class Flicker:
    """How much livelier a plume is than the rest of the view: the change of its median cell over a quarter of a second,
    as a multiple of that elsewhere.

    Gas is never still. What a mask may take for it is: the ghost of something that has left, a halo that a camera's
    filter lays around a hot engine, a cloud too slow to see; their ratio is 1. One look is as good as another, so the
    median over the last half second stands for the present: the moment in which a ghost came to be does not count.
    """

    LAG_S = 0.25
    MEMORY_S = 0.5
    FLOOR = 0.1 / 255  # a tenth of a grey level; where a codec keeps the view still, noise says nothing
    FEWEST = 60  # cells elsewhere that tell what is usual
    THIN = 3  # of so many cells of most of the view one will do; no divisor of WIDTH, so every column has its say

    def __init__(self) -> None:
        self._pictures: deque[Seen] = deque()  # the oldest one is LAG_S old
        self._looks: deque[tuple[float, float]] = deque()  # the last MEMORY_S

    def see(self, captured: float, picture: Array, view: Array = STILL) -> None:
        """Take a picture (h, w) float32 0..1 and its view, with or without a plume; nothing is computed yet."""
        if self._pictures and self._pictures[-1].picture.shape != picture.shape:  # the camera has another resolution
            self._pictures.clear()
        self._pictures.append(Seen(captured, picture, view))
        while len(self._pictures) > 1 and captured - self._pictures[1].captured >= self.LAG_S - 1e-3:
            self._pictures.popleft()

    def step(self, gas: Array) -> float:
        """Of the picture seen last, with `gas` (h, w), share of a cell that is gas. Where all of the view is gas there
        is nothing to compare it with but a still view."""
        before, after = self._pictures[0], self._pictures[-1]
        change, known = changed(before, after)
        shown = change.ravel() if known is None else change[known]
        change = np.abs(change - median(shown[:: self.THIN]))  # all of it brighter: the camera's gain
        if gas.shape != change.shape:
            gas = cv2.resize(gas, change.shape[::-1], interpolation=cv2.INTER_AREA)
        plume = gas >= min(0.5, float(gas.max()))
        elsewhere = cv2.dilate(plume.view(np.uint8), AROUND) == 0
        if known is not None:
            elsewhere &= known
            plume &= known
        around, within = change[elsewhere], change[plume]
        usual = median(around[:: self.THIN]) if len(around) >= self.FEWEST else 0.0
        lively = median(within) if len(within) else usual  # not seen before: unknown
        self._looks.append((after.captured, (lively + self.FLOOR) / (usual + self.FLOOR)))
        while after.captured - self._looks[0][0] > self.MEMORY_S:
            self._looks.popleft()
        return statistics.median(ratio for _, ratio in self._looks)

    def lost(self) -> None:
        """There is no plume now."""
        self._looks.clear()


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that the flicker is measured from."""

    captured: float
    picture: Array  # (h, w) 0..1
    view: Array


def changed(before: Seen, after: Seen) -> tuple[Array, Array | None]:
    """What each cell of a view has changed by, and where that is known since it was seen before: (h, w) bool; None:
    everywhere."""
    transform = between(after.view, before.view)
    if transform is None:
        return reduce(after.picture - before.picture), None
    then, seen = np.zeros_like(after.picture), np.zeros(after.picture.shape, np.uint8)
    draw(before.picture, transform, then)
    draw(np.ones_like(seen), transform, seen, cv2.INTER_NEAREST)
    return reduce(after.picture - then), reduce(seen) > KNOWN


def drawn(cells: Array, transform: Array) -> Array:
    """Cells as another view shows them; what it did not see is 0."""
    out = np.zeros_like(cells)
    draw(cells, transform, out)
    return out


def median(values: Array) -> float:
    """Of (N,), as np.median without its look for NaN; a partition by one place, which NumPy does faster than by two."""
    half, parted = len(values) // 2, values.copy()
    parted.partition(half)
    return float(parted[half]) if len(values) % 2 else float(parted[half] + parted[:half].max()) / 2


def reduce(plane: Array) -> Array:
    """A picture or mask, any dtype, as float32 cells of area means; at most WIDTH x HEIGHT of them."""
    height, width = plane.shape
    return shrink(plane.astype(np.float32, copy=False), (min(WIDTH, width), min(HEIGHT, height)))


def lit_share(mask: Array, box: Sequence[int]) -> Array:
    """A mask, 0 or 255, as the share of each such cell that is lit, float32; nothing is lit outside of `box` (x, y,
    width, height). Bytes are shrunk at a quarter of the time that floats take, and round by a few 255ths."""
    share = np.zeros((min(HEIGHT, mask.shape[0]), min(WIDTH, mask.shape[1])), np.float32)
    rows, down = spanned(box[1], box[3], mask.shape[0], share.shape[0])
    columns, across = spanned(box[0], box[2], mask.shape[1], share.shape[1])
    part = share[rows, columns]
    np.divide(shrink(mask[down, across], part.shape[::-1]), np.float32(255), out=part)
    return share


def spanned(start: int, length: int, side: int, cells: int) -> tuple[slice, slice]:
    """The cells of a side that a stretch of it touches, and the pixels of these; all, where a cell is no whole number
    of pixels and would be mixed otherwise."""
    pixels, rest = divmod(side, cells)
    if rest:
        return np.s_[:], np.s_[:]
    first, last = start // pixels, -(-(start + length) // pixels)
    return slice(first, last), slice(first * pixels, last * pixels)


def shrink(plane: Array, size: tuple[int, int]) -> Array:
    """A picture as area means, `size` (width, height); by halves as far as that goes, which OpenCV does much faster."""
    (height, width), small = plane.shape, plane
    while not width % (2 * size[0]) and not height % (2 * size[1]):
        width, height = width // 2, height // 2
        small = cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA)
    if small is plane or (width, height) != size:
        small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    return small
