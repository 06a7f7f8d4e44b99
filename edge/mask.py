"""Logits -> mask at source resolution."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.errors import ModelError
from edge.records import Array

REFERENCE_PX = 320 * 240  # the resolution that ModelSpec.min_component_px is given at


def logit(probability: float) -> float:
    """Where a probability lies before the sigmoid, so that the threshold costs no exp per pixel."""
    return math.log(probability / (1.0 - probability))


def from_logits(
    logits: Array, size: tuple[int, int], threshold: float, min_component_px: int, certain: float = 0.0
) -> Array:
    """Mask (H, W) uint8, 0 or 255, of `size` (width, height) from logits (h, w) that show the whole source.

    The logits are interpolated, not the mask, so edges are as fine as the source. Components (8-connected) smaller than
    `min_component_px`, given at 320x240, are dropped, and so are those whose probability nowhere exceeds `certain`
    (hysteresis, as in Canny's edges). Raises ModelError for logits that are not numbers.
    """
    width, height = size
    bar, sure, highest = logit(threshold), logit(max(threshold, certain)), float(logits.max())
    if math.isnan(highest):
        raise ModelError("the model's logits are not a number; its file or the runtime is broken; try another backend")
    if highest <= sure:
        return np.zeros((height, width), np.uint8)
    fine = logits if logits.shape == (height, width) else cv2.resize(logits, size, interpolation=cv2.INTER_LINEAR)
    mask = cv2.compare(fine, bar, cv2.CMP_GT)
    return without_specks(mask, min_component_px * width * height / REFERENCE_PX, cv2.compare(fine, sure, cv2.CMP_GT))


def without_specks(mask: Array, smallest: float, seeds: Array | None = None) -> Array:
    """The mask without the components of less than `smallest` px and without those that hold no pixel of `seeds`;
    changed in place."""
    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return mask
    part = np.s_[y : y + height, x : x + width]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask[part], connectivity=8)
    dropped = stats[:, cv2.CC_STAT_AREA] < smallest
    if seeds is not None:
        dropped |= np.bincount(labels[seeds[part] > 0], minlength=len(stats)) == 0
    dropped[0] = False  # the background
    if dropped.any():
        mask[part][dropped[labels]] = 0
    return mask
