"""What of a picture is compared: reduced, and freed of what is coarser than some px."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from edge.records import Array

REDUCED = 160  # widest that pictures are compared at, px
COARSE = 4.0  # px of the reduced picture: structure finer than about this counts
REACH = 10  # px beyond which the mean that this is told from weighs next to nothing
AROUND = 2 * REACH + 1, 2 * REACH + 1
CONTRAST = 32.0  # grey levels of the standard deviation in the 8 bits that corners are tracked in


class Structure:
    """Of a plane (h, w) float32 0..1, which must stay as it is until `detail` has been asked for."""

    def __init__(self, plane: Array) -> None:
        height, width = plane.shape
        self.plane = width, height
        shrink = min(1.0, REDUCED / width)
        self.size = round(width * shrink), round(height * shrink)
        self.scale = width / self.size[0], height / self.size[1]  # px of the plane in one of these
        self.small: Array = plane if shrink == 1 else cv2.resize(plane, self.size, interpolation=cv2.INTER_AREA)

    @functools.cached_property
    def detail(self) -> Array:
        """(h, w), by far the most that it takes."""
        around = cv2.GaussianBlur(self.small, AROUND, COARSE)
        return np.asarray(np.subtract(self.small, around, out=around))

    def eight_bits(self) -> Array:
        """For the tracker."""
        gain = CONTRAST / max(float(self.detail.std()), 1e-6)
        grey: Array = np.clip(128 + gain * self.detail, 0, 255).astype(np.uint8)
        return grey


def gathered(weights: Array, cells: Array, size: tuple[int, int]) -> Array:
    """Weights (K, N) of the detail in N cells of pictures (width, height), as weights (K, h w), float32, of the reduced
    picture: the transpose of `detail`."""
    width, height = size
    made = np.zeros((len(weights), height * width), np.float32)
    made[:, cells] = weights
    for one in made:
        plane = one.reshape(height, width)
        wide = cv2.copyMakeBorder(plane, REACH, REACH, REACH, REACH, cv2.BORDER_CONSTANT, value=0)
        spread = cv2.GaussianBlur(wide, AROUND, COARSE, borderType=cv2.BORDER_CONSTANT)
        for _ in range(2):  # what the mean sees beyond an edge mirrors what lies before it: rows, then columns
            spread[REACH + 1 : 2 * REACH + 1] += spread[REACH - 1 :: -1]
            spread[-2 * REACH - 1 : -REACH - 1] += spread[: -REACH - 1 : -1]
            spread = spread[REACH:-REACH].T
        plane -= spread
    return made
