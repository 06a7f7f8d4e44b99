"""Colour palettes brought back to grey: each colour becomes its place along the palette's curve, 0 to 255.

A palette is a curve through the colour cube. The nearest of its 256 colours comes from a table of the cube; what the
colour lies before or behind that one is read off the curve's direction there, so that differences of less than a level,
which video coding and rounding leave in a colour, are not lost. The curves of thermal cameras differ a little from
maker to maker: a colour beside the curve goes to the nearest place on it.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from edge.errors import ConfigError
from edge.records import Array

# Corners (place 0..1, red, green, blue) of straight lines that follow the makers' usual curves to a few levels.
CURVES: dict[str, tuple[tuple[float, int, int, int], ...]] = {
    "ironbow": (
        (0.00, 0, 0, 10),
        (0.04, 0, 0, 80),
        (0.11, 20, 0, 123),
        (0.22, 84, 0, 152),
        (0.36, 167, 0, 154),
        (0.45, 202, 14, 136),
        (0.53, 223, 53, 66),
        (0.57, 231, 72, 20),
        (0.66, 243, 113, 1),
        (0.78, 253, 172, 0),
        (0.87, 255, 216, 12),
        (0.93, 255, 239, 102),
        (1.00, 255, 255, 246),
    ),
    "rainbow": (
        (0.00, 0, 0, 40),
        (0.15, 0, 0, 220),
        (0.35, 0, 200, 255),
        (0.50, 0, 200, 60),
        (0.65, 220, 240, 0),
        (0.80, 255, 130, 0),
        (0.92, 230, 0, 0),
        (1.00, 255, 220, 220),
    ),
    "lava": (
        (0.00, 0, 0, 20),
        (0.20, 20, 60, 110),
        (0.40, 100, 20, 90),
        (0.60, 200, 30, 20),
        (0.80, 250, 140, 10),
        (0.92, 255, 230, 60),
        (1.00, 255, 255, 240),
    ),
}
ALIASES = {"iron": "ironbow"}
OPENCV = "opencv-"  # before the names of OpenCV's colour maps: opencv-jet, opencv-inferno, …
CLOSED = ("hsv", "twilight", "twilight_shifted")  # those whose ends are of one colour

SHIFT = 2  # the table's cube has a cell for every 4 x 4 x 4 colours
SIDE = 256 >> SHIFT
REACH = 4.0  # levels along the curve by which the nearest colour in the table may be off


def names() -> list[str]:
    """Every palette that `check` accepts."""
    maps = [name[len("COLORMAP_") :].lower() for name in dir(cv2) if name.startswith("COLORMAP_")]
    return sorted([*CURVES, *ALIASES, *(OPENCV + name for name in maps if name not in CLOSED)])


def check(name: str) -> str:
    """The name itself. Raises ConfigError for one that is not known."""
    if name not in names():
        raise ConfigError(f"palette '{name}': not known; known are {', '.join(names())}")
    return name


def colours(name: str) -> Array:
    """(256, 3) uint8, BGR, from dark to bright. Raises ConfigError."""
    check(name)
    if name.startswith(OPENCV):
        number = getattr(cv2, f"COLORMAP_{name[len(OPENCV) :].upper()}")
        ramp = np.arange(256, dtype=np.uint8)[:, None]
        return np.asarray(cv2.applyColorMap(ramp, number)[:, 0])
    corners = np.array(CURVES[ALIASES.get(name, name)])
    places = np.linspace(0, 1, 256)
    return np.stack([np.rint(np.interp(places, corners[:, 0], corners[:, c])) for c in (3, 2, 1)], 1).astype(np.uint8)


class Palette:
    """One palette, ready to be undone. Raises ConfigError for an unknown name."""

    def __init__(self, name: str) -> None:
        self._nearest, self._from, self._along = _tables(name)

    def grey(self, image: Array) -> Array:
        """(H, W, 3 BGR) uint8 -> (H, W) float32, 0..255."""
        blue, green, red = (channel.astype(np.int32) for channel in cv2.split(image >> SHIFT))
        level = self._nearest[(blue * SIDE + green) * SIDE + red]
        beyond = cv2.LUT(level, self._from)
        for channel, along in zip(cv2.split(image), self._along, strict=True):
            beyond += channel * cv2.LUT(level, along)
        return np.asarray(np.clip(level + np.clip(beyond, -REACH, REACH), 0, 255))


@functools.cache
def _tables(name: str) -> tuple[Array, Array, Array]:
    """The level nearest to each cell of the colour cube (SIDE ** 3,); then, for each level, what to add to the product
    of a colour and the third, (3, 256) levels a step in each channel, for the levels that the colour lies beyond it."""
    curve = colours(name).astype(np.float32)
    step = np.gradient(curve, axis=0)
    square = (step**2).sum(1, keepdims=True)
    # a curve that stands still, as at the ends of some, tells nothing of direction
    along = np.divide(step, square, out=np.zeros_like(step), where=square > 0.25)
    side = (np.arange(SIDE, dtype=np.float32) + 0.5) * (1 << SHIFT) - 0.5
    plane = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)
    nearest = np.empty((SIDE, SIDE * SIDE), np.uint8)
    for blue, row in zip(side, nearest, strict=True):  # |a - b|² without a², which is the same for every level
        row[:] = ((curve**2).sum(1) - 2 * (blue * curve[:, 0] + plane @ curve[:, 1:].T)).argmin(1)
    return nearest.ravel(), -(curve * along).sum(1), np.ascontiguousarray(along.T)
