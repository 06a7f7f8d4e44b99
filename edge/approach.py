"""Roughly where a picture lies over the key: how far it has slid, from both at half size.

Gauss and Newton find the way over some px there, as far as a shake goes, which at full size they would not; corners,
which would, cost five times as much. The shift is good to some tenths of a px, and is to be refined and judged.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge.records import Array
from edge.warp import draw, in_cells, shifted

CELL = 2  # px of a reduced picture in one of these, each way
RIM = 1  # cells at the edges whose slope is not known
STEPS = 5  # of Gauss and Newton
CLIPPED = 2.0  # mean differences that a cell may show: what moves by itself has no greater say than what stands
CLOSE = 0.25  # cells: a smaller step is the last
FURTHEST = 3.5  # cells that the way may be: further, the slopes speak of something else


class Approach:
    """The key, at half size."""

    def __init__(self, detail: Array) -> None:
        small = halved(detail)
        inner = np.s_[RIM:-RIM, RIM:-RIM]
        slopes = np.stack(
            [cv2.Sobel(small, cv2.CV_32F, *order, scale=0.125)[inner].ravel() for order in ((1, 0), (0, 1))]
        )
        normal = (slopes @ slopes.T).astype(np.float64) + 1e-12 * np.eye(2)
        self._values: Array = small[inner].copy()
        self._inverse: Array = np.linalg.solve(normal, slopes).astype(np.float32)

    def find(self, detail: Array, start: Array) -> Array | None:
        """A warp, px of the reduced key -> px of the reduced picture, that turns and zooms as `start` does; None where
        it does not come to rest near it."""
        small = halved(detail)
        warp = in_cells(start, CELL) @ shifted(RIM, RIM)
        way = np.zeros(2)
        for _ in range(STEPS):
            seen = self._values.copy()  # where the picture shows nothing, nothing differs
            draw(small, warp, seen)
            rest = (seen - self._values).ravel()
            most = CLIPPED * float(np.abs(rest).mean())
            step = self._inverse @ np.clip(rest, -most, most)
            way -= step
            warp = warp @ shifted(-step[0], -step[1])
            if np.abs(way).max() > FURTHEST:
                return None
            if np.abs(step).max() < CLOSE:
                return in_cells(warp @ shifted(-RIM, -RIM), 1 / CELL)
        return None


def halved(detail: Array) -> Array:
    """Area means."""
    size = max(2 * RIM + 1, detail.shape[1] // CELL), max(2 * RIM + 1, detail.shape[0] // CELL)
    return np.asarray(cv2.resize(detail, size, interpolation=cv2.INTER_AREA))
