"""Logits -> mask at source resolution."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.errors import ModelError
from edge.records import Array

REFERENCE_PX = 320 * 240  # the resolution that ModelSpec.min_component_px is given at
ROOM = 2  # cells around what is lit: one that interpolation reaches, one for the edge of the cut
Part = tuple[slice, slice]


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
    smallest = min_component_px * width * height / REFERENCE_PX
    mask = np.zeros((height, width), np.uint8)
    pixels, fine = interpolated(logits, size, bar)
    mask[pixels] = without_specks(cv2.compare(fine, bar, cv2.CMP_GT), smallest, cv2.compare(fine, sure, cv2.CMP_GT))
    return mask


def interpolated(logits: Array, size: tuple[int, int], bar: float) -> tuple[Part, Array]:
    """The rectangle of the picture outside which nothing exceeds `bar`, and the logits there, one for each pixel."""
    (rows, columns), (across, down) = logits.shape, size
    x, y, w, h = cv2.boundingRect(cv2.compare(logits, bar, cv2.CMP_GT))
    left, right = max(0, x - ROOM), min(columns, x + w + ROOM)
    top, bottom = max(0, y - ROOM), min(rows, y + h + ROOM)
    pixels = np.s_[
        top * down // rows : -(-bottom * down // rows), left * across // columns : -(-right * across // columns)
    ]
    if across % columns or down % rows:  # a cell is no whole number of pixels: a part would be interpolated otherwise
        return pixels, cv2.resize(logits, size)[pixels]
    part = logits[top:bottom, left:right]
    return pixels, cv2.resize(part, (part.shape[1] * (across // columns), part.shape[0] * (down // rows)))


def without_specks(mask: Array, smallest: float, seeds: Array | None = None) -> Array:
    """The mask without the components of less than `smallest` px and without those that hold no pixel of `seeds`;
    changed in place."""
    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return mask
    part = np.s_[y : y + height, x : x + width]
    lit, sure = mask[part], None if seeds is None else seeds[part]
    count, labels = cv2.connectedComponents(lit, connectivity=8)
    if count == 2:  # the background and one more, as nearly always
        if cv2.countNonZero(lit) < smallest or (sure is not None and not cv2.countNonZero(sure)):
            lit.fill(0)
        return mask
    dropped = np.bincount(labels[lit > 0], minlength=count) < smallest
    if sure is not None:
        dropped |= np.bincount(labels[sure > 0], minlength=count) == 0
    if dropped[1:].any():
        dropped[0] = True  # the background
        lit[:] = np.where(dropped, np.uint8(0), np.uint8(255)).take(labels)
    return mask
