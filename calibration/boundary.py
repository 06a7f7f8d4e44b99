"""How well outlines match: Boundary IoU and the boundary measure F of DAVIS."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from calibration.metrics import VISIBLE_PX, share
from edge.records import Array


@dataclass(slots=True)
class BoundaryScore:
    """Both measures, means over the frames whose truth has `VISIBLE_PX` pixels or more."""

    iou_sum: float = 0.0
    f_sum: float = 0.0
    frames: int = 0
    width: float = field(default=0.02)  # of Boundary IoU's band, share of the image diagonal
    tolerance: float = field(default=0.008)  # of F's match, share of the image diagonal

    def add(self, mask: Array, truth: Array) -> None:
        """One frame: two masks (H, W), non-zero is gas. Frames with less than `VISIBLE_PX` of truth are passed over."""
        mask, truth = mask.astype(bool), truth.astype(bool)
        if np.count_nonzero(truth) < VISIBLE_PX:
            return
        self.frames += 1
        self.iou_sum += boundary_iou(mask, truth, self.width)
        self.f_sum += boundary_f(mask, truth, self.tolerance)

    @property
    def iou(self) -> float:
        """Mean Boundary IoU."""
        return share(self.iou_sum, self.frames)

    @property
    def f(self) -> float:
        """Mean boundary F."""
        return share(self.f_sum, self.frames)


def boundary_iou(mask: Array, truth: Array, width: float = 0.02) -> float:
    """IoU of the inner bands along both outlines; `width` is a share of the diagonal. 1 when both masks are empty.

    Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021. The image's edge
    counts as an outline.
    """
    steps = max(round(width * math.hypot(*mask.shape)), 1)
    a, b = _inner_band(mask, steps), _inner_band(truth, steps)
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0


def boundary_f(mask: Array, truth: Array, tolerance: float = 0.008) -> float:
    """F of outline precision and recall; a pixel matches when the other outline is within `tolerance` of the diagonal.

    Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016 (DAVIS),
    with its customary dilation in place of bipartite matching. 1 when neither mask has an outline, 0 when only one has.
    """
    ours, theirs = _outline(mask), _outline(truth)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    disc = _disc(math.ceil(tolerance * math.hypot(*mask.shape)))
    precision = np.count_nonzero(ours & _dilate(theirs, disc)) / np.count_nonzero(ours)
    recall = np.count_nonzero(theirs & _dilate(ours, disc)) / np.count_nonzero(theirs)
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _inner_band(mask: Array, steps: int) -> Array:
    """Pixels of the mask within `steps` 8-neighbour steps of what is not mask, the outside of the image included."""
    padded = np.pad(mask, 1).astype(np.uint8)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=steps)
    return mask & ~eroded[1:-1, 1:-1].astype(bool)


def _outline(mask: Array) -> Array:
    """Pixels that differ from their neighbour to the right, below, or below right: an outline one pixel wide."""
    wide = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask != wide[:-1, 1:]) | (mask != wide[1:, :-1]) | (mask != wide[1:, 1:])


def _disc(radius: int) -> Array:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius).astype(np.uint8)


def _dilate(mask: Array, kernel: Array) -> Array:
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)
