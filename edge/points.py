"""The px of a key that a fit looks at: the steepest ones of each tile, and what is known of them once and for all."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge.records import Array

TILES, POINTS = (3, 4), 170  # rows and columns, and points of each, so that one bright roof does not speak for the view
RIM = 2  # px at the edges that no point lies in
SLACK = 0.15  # px: what sampling alone misplaces steep structure by
THIN = 3  # one point of so many is enough for a first step from afar


@dataclass(frozen=True, slots=True)
class Points:
    """N px of a picture's structure, float32."""

    cells: Array  # (N,) int: their places as they come in memory
    places: Array  # (3, N): x, y, 1
    values: Array  # (N,)
    slopes: Array  # (7, N): what a value changes by with shift (x, y), zoom, turn, stretch, shear, gain
    energy: Array  # (N,): of the slope, squared
    slack: Array  # (N,): four times what may differ though all is in its place, squared
    sums: Array  # (3, N), to be summed over those within another picture: their share, the structure squared, energy

    @classmethod
    def of(cls, detail: Array, middle: tuple[float, float]) -> Points:
        """Of a picture (h, w) that turns and zooms about its `middle`, x and y; a zoom is told in px at the right."""
        across, down = (cv2.Sobel(detail, cv2.CV_32F, *order, scale=0.125) for order in ((1, 0), (0, 1)))
        at = steepest(across * across + down * down)
        x, y = (side.astype(np.float32) for side in at[::-1])
        places, values, gx, gy = np.stack((x, y, np.ones_like(x))), detail[at], across[at], down[at]
        x, y = (x - middle[0]) / middle[0], (y - middle[1]) / middle[0]
        slopes = np.stack((gx, gy, gx * x + gy * y, gy * x - gx * y, gx * x - gy * y, gx * y + gy * x, values))
        energy = gx * gx + gy * gy
        sums = np.stack((np.full_like(x, 1 / len(x)), values * values, energy))
        return cls(np.ravel_multi_index(at, detail.shape), places, values, slopes, energy, 4 * SLACK**2 * energy, sums)

    def thinned(self) -> Points:
        """Every THINth of them."""
        few = Points(*(np.ascontiguousarray(getattr(self, part)[..., ::THIN]) for part in self.__slots__))
        few.sums[0] = 1 / len(few.values)
        return few


def steepest(energy: Array) -> tuple[Array, Array]:
    """Rows and columns of the points of most energy, in each tile as many."""
    rows, columns = [], []
    height, width = (side // count for side, count in zip(energy.shape, TILES, strict=True))
    for y, x in np.ndindex(TILES):
        top, left = max(RIM, y * height), max(RIM, x * width)
        bottom, right = min(energy.shape[0] - RIM, (y + 1) * height), min(energy.shape[1] - RIM, (x + 1) * width)
        tile = energy[top:bottom, left:right]
        count = min(POINTS, tile.size)
        best = np.argpartition(tile, tile.size - count, axis=None)[-count:]
        ys, xs = np.unravel_index(best, tile.shape)
        rows.append(ys + top)
        columns.append(xs + left)
    return np.concatenate(rows), np.concatenate(columns)
