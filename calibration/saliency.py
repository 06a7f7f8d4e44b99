"""Probability maps against masks: S-measure, weighted F, E-measure, mean absolute error; what camouflage papers print.

    S      structure: object-aware and region-aware similarity   Fan et al., ICCV 2017, alpha 0.5
    F_w    F with errors weighted by where they lie              Margolin et al., CVPR 2014, beta 1
    E      enhanced alignment, mean over 256 thresholds          Fan et al., IJCAI 2018
    MAE    mean absolute error                                   Perazzi et al., CVPR 2012

Written from the papers and held to the values of the package pysodmetrics, with which the gas papers score, by
`tests/calibration/saliency_reference.json`. The package itself is no dependency: no release of it accepts the NumPy
that this project runs on, nor the newest its OpenCV (1.6.2: numpy < 2.3.5, OpenCV < 5), and a benchmark that replaces
those two measures another device.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from calibration.metrics import VISIBLE_PX, share
from edge.records import Array

TINY = float(np.spacing(1.0))  # the MATLAB eps that all published values are computed with
THRESHOLDS = 256
BOTHER = 5.0  # weighted F: px from the plume after which a false pixel costs half as much more
SMEAR_PX, SMEAR_SIGMA = 7, 5.0  # weighted F: the window in which errors inside the plume excuse one another


@dataclass(slots=True)
class SaliencyScore:
    """The four measures. S, F_w and E are means over frames with a plume, MAE over all labelled frames.

    `least` px of truth make a plume; without `everywhere` MAE, too, passes over the frames that have none.
    """

    least: int = VISIBLE_PX
    everywhere: bool = True
    s_sum: float = 0.0
    weighted_f_sum: float = 0.0
    e_sum: float = 0.0
    gassy: int = 0
    mae_sum: float = 0.0
    frames: int = 0

    def add(self, probability: Array, truth: Array) -> None:
        """One frame: (H, W) float 0..1, and a mask (H, W), non-zero is gas."""
        truth = truth.astype(bool)
        gassy = bool(np.count_nonzero(truth) >= self.least)
        if gassy or self.everywhere:
            self.frames += 1
            self.mae_sum += mae(probability, truth)
        if gassy:
            self.gassy += 1
            self.s_sum += s_measure(probability, truth)
            self.weighted_f_sum += weighted_f(probability, truth)
            self.e_sum += e_measure(probability, truth)

    @property
    def s(self) -> float:
        """Mean S-measure."""
        return share(self.s_sum, self.gassy)

    @property
    def weighted_f(self) -> float:
        """Mean weighted F."""
        return share(self.weighted_f_sum, self.gassy)

    @property
    def e(self) -> float:
        """Mean E-measure."""
        return share(self.e_sum, self.gassy)

    @property
    def mae(self) -> float:
        """Mean absolute error."""
        return share(self.mae_sum, self.frames)


def mae(probability: Array, truth: Array) -> float:
    """Mean of |probability - truth|, 0..1; 0 is perfect."""
    return float(cv2.norm(probability.astype(np.float32), truth.astype(np.float32), cv2.NORM_L1) / truth.size)


def s_measure(probability: Array, truth: Array) -> float:
    """Structural similarity, 0..1: half of it compares plume and surroundings as wholes, half four regions around the
    plume's centroid.
    """
    gas = float(truth.mean())
    if gas in (0.0, 1.0):
        return float(abs(1.0 - gas - probability.mean()))
    probability = probability.astype(np.float64)
    wholes = gas * _even(probability[truth]) + (1 - gas) * _even(1 - probability[~truth])
    return max(0.0, 0.5 * wholes + 0.5 * _regions(probability, truth))


def e_measure(probability: Array, truth: Array) -> float:
    """Enhanced alignment of the map, cut at each of 256 thresholds, with the mask; mean over the thresholds.

    A perfect mask gets 0.997, since at threshold 0 everything is gas. As in the authors' code the sum is divided by one
    pixel less than there are.
    """
    levels = (probability * 255).astype(np.uint8)
    inside = _from_above(levels[truth])  # gas pixels at or above each threshold
    outside = _from_above(levels[~truth])
    pixels, gas = truth.size, int(np.count_nonzero(truth))
    if gas == 0:
        aligned = pixels - outside
    elif gas == pixels:
        aligned = inside
    else:
        a, b = (inside + outside) / pixels, gas / pixels
        aligned = (
            inside * _alignment(1 - a, 1 - b)
            + outside * _alignment(1 - a, -b)
            + (gas - inside) * _alignment(-a, 1 - b)
            + (pixels - gas - outside) * _alignment(-a, -b)
        )
    return float(aligned.mean() / (pixels - 1 + TINY))


def weighted_f(probability: Array, truth: Array) -> float:
    """F of a weighted precision and recall, 0..1: a false pixel costs more the further it lies from the plume, a missed
    one less where its neighbours are found. 0 without a plume.
    """
    gas = int(np.count_nonzero(truth))
    if gas == 0:
        return 0.0
    inverse = (~truth).astype(np.uint8)
    error = np.abs(probability.astype(np.float64) - truth)
    window = cv2.getGaussianKernel(SMEAR_PX, SMEAR_SIGMA)
    smeared = cv2.sepFilter2D(_mirrored(error, inverse), -1, window, window, borderType=cv2.BORDER_CONSTANT)
    missed = np.minimum(error, smeared)[truth].sum()
    distance = cv2.distanceTransform(inverse, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    false = (error * (2 - np.exp2(-distance / BOTHER)))[~truth].sum()
    recall = 1 - missed / gas
    precision = (gas - missed) / (gas - missed + false + TINY)
    return float(2 * recall * precision / (recall + precision + TINY))


def _mirrored(error: Array, inverse: Array) -> Array:
    """The errors with each pixel outside the plume replaced by that of the plume's pixel nearest to it."""
    _, nearest = cv2.distanceTransformWithLabels(inverse, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inside = inverse == 0
    of_label = np.zeros(int(nearest.max()) + 1)
    of_label[nearest[inside]] = error[inside]
    mirrored: Array = of_label[nearest]
    return mirrored


def _even(values: Array) -> float:
    """How near to 1, and how even, the values of a whole are."""
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + spread + TINY)


def _regions(probability: Array, truth: Array) -> float:
    """Structural similarity of the four parts around the centroid, each weighted by its area."""
    rows, columns = np.nonzero(truth)
    y, x = round(float(rows.mean())) + 1, round(float(columns.mean())) + 1
    total = 0.0
    for part in np.s_[:y, :x], np.s_[:y, x:], np.s_[y:, :x], np.s_[y:, x:]:
        if truth[part].size:
            total += truth[part].size / truth.size * _similarity(probability[part], truth[part].astype(np.float64))
    return total


def _similarity(x: Array, y: Array) -> float:
    """The structural similarity index of two patches, each taken as one window."""
    n = x.size - 1 + TINY
    mx, my = float(x.mean()), float(y.mean())
    x, y = x - mx, y - my
    above = 4 * mx * my * float((x * y).sum()) / n
    below = (mx * mx + my * my) * (float((x * x).sum()) + float((y * y).sum())) / n
    if above == 0:
        return float(below == 0)
    return above / (below + TINY)


def _from_above(levels: Array) -> Array:
    """How many of the values are at or above 255, 254, …, 0."""
    return np.cumsum(np.bincount(levels, minlength=THRESHOLDS)[::-1])


def _alignment(a: Array, b: float) -> Array:
    """How well two values agree that are given as differences from their means, 0..1."""
    aligned: Array = (2 * a * b / (a * a + b * b + TINY) + 1) ** 2 / 4
    return aligned


def stretched(probability: Array) -> Array:
    """The map spread over 0..1 by its own least and greatest value, as the gas papers do before they score."""
    least, greatest = float(probability.min()), float(probability.max())
    spread: Array = (probability - least) / (greatest - least + 1e-8)
    return spread


def probabilities(logits: Array, size: tuple[int, int]) -> Array:
    """(H, W) float32 0..1 at `size` (width, height) from logits (h, w), interpolated as the masks are."""
    fine = logits if logits.shape == (size[1], size[0]) else cv2.resize(logits, size, interpolation=cv2.INTER_LINEAR)
    sigmoid: Array = 0.5 + 0.5 * np.tanh(0.5 * fine)
    return sigmoid
