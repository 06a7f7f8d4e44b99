"""How good masks are, for training and benchmarks alike. Every score is a running sum: one `add` a frame, then read it.

IoU, precision and recall are summed over all frames of a clip before the division; J and the boundary figures are means
over the frames whose truth has `VISIBLE_PX` pixels or more. A figure that nothing was measured for is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from calibration.clips import Box
from edge.records import Array

VISIBLE_PX = 16  # masks below this size are no plume: neither in truth (J) nor in prediction (false alarms)


def share(part: float, whole: float) -> float:
    """part / whole, NaN of nothing."""
    return part / whole if whole else math.nan


@dataclass(slots=True)
class MaskScore:
    """Masks against masks.

    A frame is gas-free when its truth is empty, and gassy when its truth has `VISIBLE_PX` or more; the few in between
    count in the pixel sums only.
    """

    intersection: int = 0
    union: int = 0
    predicted: int = 0
    actual: int = 0
    frames: int = 0
    gassy: int = 0
    found: int = 0  # gassy frames whose mask has VISIBLE_PX or more
    gas_free: int = 0
    false: int = 0  # gas-free frames whose mask has VISIBLE_PX or more
    j_sum: float = 0.0

    def add(self, mask: Array, truth: Array) -> None:
        """One frame: two masks (H, W), non-zero is gas."""
        mask, truth = mask.astype(bool), truth.astype(bool)
        intersection = int(np.count_nonzero(mask & truth))
        predicted, actual = int(np.count_nonzero(mask)), int(np.count_nonzero(truth))
        union = predicted + actual - intersection
        self.frames += 1
        self.intersection += intersection
        self.union += union
        self.predicted += predicted
        self.actual += actual
        if actual >= VISIBLE_PX:
            self.gassy += 1
            self.found += predicted >= VISIBLE_PX
            self.j_sum += intersection / union
        elif actual == 0:
            self.gas_free += 1
            self.false += predicted >= VISIBLE_PX

    @property
    def iou(self) -> float:
        """Intersection over union, both summed over the clip."""
        return share(self.intersection, self.union)

    @property
    def precision(self) -> float:
        """Share of the predicted pixels that are gas."""
        return share(self.intersection, self.predicted)

    @property
    def recall(self) -> float:
        """Share of the gas pixels that are predicted."""
        return share(self.intersection, self.actual)

    @property
    def j(self) -> float:
        """Mean IoU of the gassy frames (DAVIS' region similarity J; a missed plume counts 0)."""
        return share(self.j_sum, self.gassy)

    @property
    def false_share(self) -> float:
        """Share of the gas-free frames that are lit."""
        return share(self.false, self.gas_free)

    @property
    def presence(self) -> float:
        """Share of frames in which 'there is a plume' is answered rightly."""
        return share(self.found + self.gas_free - self.false, self.gassy + self.gas_free)


@dataclass(slots=True)
class BoxScore:
    """Masks against boxes that hold the plume: how much lands inside, and how often."""

    inside: int = 0
    predicted: int = 0
    touched: int = 0
    frames: int = 0

    def add(self, mask: Array, box: Box) -> None:
        """One frame: a mask (H, W), non-zero is gas, and its box."""
        inside = int(np.count_nonzero(mask[max(box.y1, 0) : box.y2 + 1, max(box.x1, 0) : box.x2 + 1]))
        self.inside += inside
        self.predicted += int(np.count_nonzero(mask))
        self.touched += inside > 0
        self.frames += 1

    @property
    def inside_share(self) -> float:
        """Share of the predicted pixels that fall inside their frame's box."""
        return share(self.inside, self.predicted)

    @property
    def touched_share(self) -> float:
        """Share of the frames whose mask touches the box."""
        return share(self.touched, self.frames)


@dataclass(slots=True)
class BoundaryScore:
    """How well outlines match, over gassy frames: Boundary IoU and the boundary measure F of DAVIS."""

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
