"""How far did the view shift between two reduced pictures?"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from edge.records import Array

OBJECT = 0.03  # share of the view that a single moving thing may fill


@dataclass(frozen=True, slots=True)
class Shift:
    """A translation of the whole view."""

    dx: float  # px of the pictures compared; content moved right and down where positive
    dy: float
    response: float  # share of the correlation's energy in its peak, 0..1
    explained: float  # share of the difference between the pictures that the shift takes away; 0 or less: no view shift


def shift(before: Array, after: Array) -> Shift:
    """Phase correlation of two pictures (h, w) float32, Hann-windowed, checked by undoing the shift that was found.

    The check tells a moving camera from a moving object: a plume, a cloud or a person can pull the correlation's peak
    away from zero, but then shifting the view by it makes the pictures less alike, not more.
    """
    height, width = before.shape
    # windowed here: OpenCV 5 multiplies the window into the caller's own arrays; without its mean the window itself,
    # which never moves, leaves no peak
    window = hann(width, height)
    (dx, dy), response = cv2.phaseCorrelate((before - before.mean()) * window, (after - after.mean()) * window)
    back = cv2.warpAffine(
        after, np.array([[1, 0, -dx], [0, 1, -dy]], np.float64), (width, height), borderMode=cv2.BORDER_REPLICATE
    )
    margin = int(max(abs(dx), abs(dy))) + 1
    if 2 * margin >= min(height, width):
        return Shift(dx, dy, response, 0.0)
    inner = np.s_[margin : height - margin, margin : width - margin]
    unmoved, moved = np.abs(after[inner] - before[inner]), np.abs(back[inner] - before[inner])
    # capped, or a bird before a bare sky would speak for the whole view
    limit = np.quantile(unmoved, 1.0 - OBJECT)
    remains, was = float(np.minimum(moved, limit).mean()), float(np.minimum(unmoved, limit).mean())
    return Shift(dx, dy, response, 1.0 - remains / was if was > 0 else 0.0)


@functools.cache
def hann(width: int, height: int) -> Array:
    window: Array = cv2.createHanningWindow((width, height), cv2.CV_32F)
    return window
