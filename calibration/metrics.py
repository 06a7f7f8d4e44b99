"""How good masks are, for training and benchmarks alike. Every score is a running sum: one `add` a frame, then read it.

IoU, precision and recall are summed over all frames of a clip before the division; J and F1 are means over the frames
whose truth has `VISIBLE_PX` pixels or more. A figure that nothing was measured for is NaN. Outlines are scored in
`calibration.boundary`, probability maps in `calibration.saliency`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    f1_sum: float = 0.0

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
            self.f1_sum += 2 * intersection / (predicted + actual)
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
    def f1(self) -> float:
        """Mean F1 of the gassy frames' pixels; the gas papers print its mean with J as "J&F" (DAVIS' F is another)."""
        return share(self.f1_sum, self.gassy)

    @property
    def j_and_f1(self) -> float:
        """Mean of J and F1."""
        return (self.j + self.f1) / 2

    @property
    def false_share(self) -> float:
        """Share of the gas-free frames that are lit."""
        return share(self.false, self.gas_free)

    @property
    def presence(self) -> float:
        """Share of frames in which 'there is a plume' is answered rightly."""
        return share(self.found + self.gas_free - self.false, self.gassy + self.gas_free)


@dataclass(slots=True)
class StretchedScore:
    """Probability maps against masks as the gas papers score them: J and F1 of what lies above the middle between a
    frame's own least and greatest probability, over frames with any truth; the others are passed over.

    FGSTP and JVLGS (`test.py`, `kfold_test.py` in the authors' repositories). No threshold has to hold from frame to
    frame, and nothing that lights up in a gas-free frame counts: figures for comparison with theirs, not for a product.
    Left out of their way: the last two frames of each clip, which they never score; on SimGas the frames without truth
    in which their mask has a pixel, which count 0 there; and JVLGS' opening of its masks by an ellipse of 9 px.
    """

    j_sum: float = 0.0
    f1_sum: float = 0.0
    frames: int = 0

    def add(self, spread: Array, truth: Array) -> None:
        """One frame: (H, W) 0..1, spread over that range by `saliency.stretched`, and a mask (H, W)."""
        mask, truth = spread > 0.5, truth.astype(bool)
        predicted, actual = int(np.count_nonzero(mask)), int(np.count_nonzero(truth))
        if not actual:
            return
        intersection = int(np.count_nonzero(mask & truth))
        self.frames += 1
        self.j_sum += intersection / (predicted + actual - intersection)
        self.f1_sum += 2 * intersection / (predicted + actual)

    @property
    def j(self) -> float:
        """Mean IoU."""
        return share(self.j_sum, self.frames)

    @property
    def f1(self) -> float:
        """Mean F1 of the pixels."""
        return share(self.f1_sum, self.frames)

    @property
    def j_and_f1(self) -> float:
        """Mean of J and F1."""
        return (self.j + self.f1) / 2


@dataclass(slots=True)
class BoxScore:
    """Masks against boxes that hold the plume: how much lands inside, how often, and how well the mask's box fits."""

    inside: int = 0
    predicted: int = 0
    touched: int = 0
    frames: int = 0
    iou_sum: float = 0.0

    def add(self, mask: Array, box: Box) -> None:
        """One frame: a mask (H, W), non-zero is gas, and its box."""
        inside = int(np.count_nonzero(mask[max(box.y1, 0) : box.y2 + 1, max(box.x1, 0) : box.x2 + 1]))
        self.inside += inside
        self.predicted += int(np.count_nonzero(mask))
        self.touched += inside > 0
        self.frames += 1
        self.iou_sum += box_iou(around(mask), box)

    @property
    def inside_share(self) -> float:
        """Share of the predicted pixels that fall inside their frame's box."""
        return share(self.inside, self.predicted)

    @property
    def touched_share(self) -> float:
        """Share of the frames whose mask touches the box."""
        return share(self.touched, self.frames)

    @property
    def iou(self) -> float:
        """Mean IoU of the box around the whole mask with the true one; a frame without a mask counts 0."""
        return share(self.iou_sum, self.frames)


def around(mask: Array) -> Box | None:
    """The smallest box that holds all of a mask; None of an empty one."""
    x, y, width, height = cv2.boundingRect((mask != 0).astype(np.uint8))
    return Box(x, y, x + width - 1, y + height - 1) if width else None


def box_iou(one: Box | None, other: Box) -> float:
    """IoU of two boxes in px, corners included; 0 where one is missing."""
    if one is None:
        return 0.0
    width = min(one.x2, other.x2) - max(one.x1, other.x1) + 1
    height = min(one.y2, other.y2) - max(one.y1, other.y1) + 1
    common = max(width, 0) * max(height, 0)
    areas = sum((box.x2 - box.x1 + 1) * (box.y2 - box.y1 + 1) for box in (one, other))
    return common / (areas - common)
