"""Roughly where a picture lies over the key: how far it has slid, from both at less than half size.

Where the two correlate best, of all shifts at once: Gauss and Newton would see no further than the finest texture goes,
and corners cost ten times as much. No frequency counts for much more than another, and no cell for much more than the
rest, or one bright edge would speak for the view. The shift is good to some tenths of a px, and is to be refined and
judged.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge.records import STILL, Array
from edge.warp import shifted

CELL = 2.5  # px of a reduced picture in one of these, each way; 64 x 48 are transformed twice as fast as 80 x 60
FURTHEST = 5  # cells that the way may be; so wide a rim of the key is left out, and what is compared stays the same
WINDOW = 2 * FURTHEST + 1  # ways that are looked at, each way
CLIPPED = 3.0  # mean sizes that a cell may have
TO_PX: Array = np.array([[CELL, 0, (CELL - 1) / 2], [0, CELL, (CELL - 1) / 2], [0, 0, 1]])  # from cells
WHITE = 0.3  # mean sizes of a frequency below which it is noise, and counts for less


class Approach:
    """The key, in cells."""

    def __init__(self, detail: Array) -> None:
        small = reduced(detail)
        self._most = CLIPPED * float(np.abs(small).mean())
        inner = np.s_[FURTHEST:-FURTHEST, FURTHEST:-FURTHEST]
        corner = np.s_[: -2 * FURTHEST, : -2 * FURTHEST]  # there, no way lies in the middle of all that are looked at
        key = np.zeros_like(small)
        key[corner] = np.clip(small[inner], -self._most, self._most)
        waves = cv2.dft(key, flags=cv2.DFT_COMPLEX_OUTPUT)
        size = cv2.magnitude(waves[..., 0], waves[..., 1])
        waves /= (size + (WHITE * float(size.mean()) + 1e-12))[..., None]
        self._spectrum: Array = cv2.dft(cv2.idft(waves, flags=cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT))

    def find(self, detail: Array, start: Array) -> Array | None:
        """A warp, px of the reduced key -> px of the reduced picture, that turns and zooms as `start` does; None where
        it is not near it."""
        start = start.copy()
        start[:2, 2] = np.rint(start[:2, 2])  # px of a slide meet the cells as those of the key do
        seen = reduced(detail, start)
        np.maximum(np.minimum(seen, self._most, out=seen), -self._most, out=seen)
        alike = cv2.idft(cv2.mulSpectrums(cv2.dft(seen), self._spectrum, 0, conjB=True))
        _, _, _, (x, y) = cv2.minMaxLoc(alike[:WINDOW, :WINDOW])
        if not (0 < x < WINDOW - 1 and 0 < y < WINDOW - 1):
            return None
        right, down = peak(*alike[y, x - 1 : x + 2].tolist()), peak(*alike[y - 1 : y + 2, x].tolist())
        return start @ shifted(CELL * (x + right - FURTHEST), CELL * (y + down - FURTHEST))


def peak(before: float, most: float, after: float) -> float:
    """Where the parabola through three values has its peak, from the middle one."""
    return 0.5 * (after - before) / (2 * most - before - after + 1e-12)


def reduced(detail: Array, warp: Array = STILL) -> Array:
    """In cells, as a warp lays it, 0 beyond; four px make one."""
    size = max(WINDOW, round(detail.shape[1] / CELL)), max(WINDOW, round(detail.shape[0] / CELL))
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(detail, (warp @ TO_PX)[:2], size, flags=how))
