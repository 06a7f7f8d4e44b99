"""What a plume shows only over time: which way its gas drifts, where it comes from, and that it flickers at all.

All work on reduced pictures of at most 80 x 60 cells, in source pixels and seconds outside.
"""

from __future__ import annotations

import math
import statistics
from collections import deque

import cv2
import numpy as np

from edge.records import Array, Point

WIDTH, HEIGHT = 80, 60
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
        self._before: tuple[float, Array, Array] | None = None
        self._velocity: Array | None = None  # cells a second

    def step(self, captured: float, contrast: Array, gas: Array) -> Array | None:
        """`contrast` and `gas` (share of a cell that is gas), (h, w) float32. Cells a second (x, y)."""
        if self._before is None:
            self._before = captured, contrast, gas
            return None
        then, earlier, gas_then = self._before
        elapsed = captured - then
        if elapsed < self.STEP_S:
            return self._velocity
        self._before = captured, contrast, gas
        inside = cv2.compare(cv2.min(gas, gas_then), 0.9, cv2.CMP_GT).astype(bool)
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
    change = change - change.mean()  # all of it brighter: a gust of gas or of gain, no transport
    xx, xy, yy = float(gx @ gx), float(gx @ gy), float(gy @ gy)
    ridge = 1e-3 * (xx + yy) + 1e-9
    return np.linalg.solve(np.array([[xx + ridge, xy], [xy, yy + ridge]]), -np.array([gx @ change, gy @ change]))


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

    def __init__(self) -> None:
        self._persistence: Array | None = None
        self._then = 0.0
        self._since = 0.0

    def step(self, captured: float, gas: Array, drift: Array | None) -> Point | None:
        """`gas` (h, w), share of a cell that is gas now. The origin in cells (x, y); None while there is too little."""
        gas = (gas >= min(self.SHARE, float(gas.max()))).astype(np.float32)
        if self._persistence is None:
            self._persistence, self._since = gas, captured
        else:
            # a running mean at first, then exponential
            share = (captured - self._then) / (min(captured - self._since, self.MEMORY_S) + 1e-6)
            cv2.accumulateWeighted(gas, self._persistence, min(1.0, share))
        self._then = captured
        persistence = self._persistence
        highest = float(persistence.max())
        if highest <= 0:
            return None
        ys, xs = np.nonzero(persistence >= self.PERSISTENT * highest)
        if drift is None:
            weight = persistence[ys, xs]
            return float(xs @ weight / weight.sum()) + 0.5, float(ys @ weight / weight.sum()) + 0.5
        along = xs * drift[0] + ys * drift[1]
        end = np.argsort(along, kind="stable")[: max(1, round(self.END * len(along)))]
        return float(xs[end].mean()) + 0.5, float(ys[end].mean()) + 0.5


class Flicker:
    """How much livelier a plume is than the rest of the view: the change of its median cell over a quarter of a second,
    as a multiple of that elsewhere.

    Gas is never still. What a mask may take for it is: the ghost of something that has left, a halo that a camera's
    filter lays around a hot engine, a cloud too slow to see; their ratio is 1. One look is as good as another, so the
    median over the last half second stands for the present: the moment in which a ghost came to be does not count.
    """

    LAG_S = 0.25
    MEMORY_S = 0.5
    FLOOR = 0.1  # grey levels; where a codec keeps the view still, noise says nothing
    FEWEST = 20  # cells elsewhere that tell what is usual

    def __init__(self) -> None:
        self._pictures: deque[tuple[float, Array]] = deque()  # the oldest one is LAG_S old
        self._looks: deque[tuple[float, float]] = deque()  # the last MEMORY_S

    def see(self, captured: float, picture: Array) -> None:
        """Take a picture (h, w) float32 in grey levels, 0..255, with or without a plume."""
        if self._pictures and self._pictures[-1][1].shape != picture.shape:  # the camera has another resolution
            self._pictures.clear()
        self._pictures.append((captured, picture))
        while len(self._pictures) > 1 and captured - self._pictures[1][0] >= self.LAG_S - 1e-3:
            self._pictures.popleft()

    def step(self, gas: Array) -> float:
        """Of the picture seen last, with `gas` (h, w), share of a cell that is gas. Where all of the view is gas there
        is nothing to compare it with but a still view."""
        (_, before), (captured, after) = self._pictures[0], self._pictures[-1]
        change = after - before
        change = np.abs(change - median(change))  # all of it brighter: the camera's gain
        if gas.shape != change.shape:
            gas = cv2.resize(gas, change.shape[::-1], interpolation=cv2.INTER_AREA)
        plume = gas >= min(0.5, float(gas.max()))
        elsewhere = cv2.dilate(plume.view(np.uint8), AROUND) == 0
        usual = median(change[elsewhere]) if np.count_nonzero(elsewhere) >= self.FEWEST else 0.0
        self._looks.append((captured, (median(change[plume]) + self.FLOOR) / (usual + self.FLOOR)))
        while captured - self._looks[0][0] > self.MEMORY_S:
            self._looks.popleft()
        return statistics.median(ratio for _, ratio in self._looks)

    def lost(self) -> None:
        """There is no plume now."""
        self._looks.clear()


def median(values: Array) -> float:
    """As np.median, without its look for NaN, which costs more than the median."""
    half = values.size // 2
    if values.size % 2:
        return float(np.partition(values, half, axis=None)[half])
    return float(np.partition(values, (half - 1, half), axis=None)[half - 1 : half + 1].mean())


def reduce(plane: Array) -> Array:
    """A picture or mask, any dtype, as float32 cells of area means; at most WIDTH x HEIGHT of them."""
    height, width = plane.shape
    return shrink(plane.astype(np.float32, copy=False), (min(WIDTH, width), min(HEIGHT, height)))


def shrink(plane: Array, size: tuple[int, int]) -> Array:
    """A picture as area means, `size` (width, height); by halves as far as that goes, which OpenCV does much faster."""
    height, width = plane.shape
    while not width % (2 * size[0]) and not height % (2 * size[1]):
        width, height = width // 2, height // 2
        plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    small: Array = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return small
