"""How far a figure can be trusted: bootstrap intervals over clips.

Clips, not frames, are drawn: the frames of one clip are alike. With the eight clips of SimGas the intervals are wide,
and still a little too narrow, as any bootstrap's are that draws from so few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge.records import Array

Interval = tuple[float, float]
RESAMPLES, SEED = 10_000, 0
CONFIDENCE = 0.95
NOTHING: Interval = (math.nan, math.nan)


def mean_interval(values: Sequence[float]) -> Interval:
    """95 % interval of the mean of the values that are there; NaN of fewer than two."""
    present = np.array([value for value in values if not math.isnan(value)])
    if len(present) < 2:
        return NOTHING
    return _percentiles(present[_draws(len(present))].mean(axis=1))


def share_interval(parts: Sequence[float], wholes: Sequence[float]) -> Interval:
    """95 % interval of sum(parts) / sum(wholes), both drawn by clip; clips without a whole are left out."""
    pairs = np.array([(part, whole) for part, whole in zip(parts, wholes, strict=True) if whole], float)
    if len(pairs) < 2:
        return NOTHING
    part, whole = pairs[_draws(len(pairs))].sum(axis=1).T
    return _percentiles(part / whole)


def paired_interval(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """95 % interval of the mean difference of two methods on the same clips."""
    return mean_interval([our - their for our, their in zip(ours, theirs, strict=True)])


def _draws(count: int) -> Array:
    return np.random.default_rng(SEED).integers(0, count, (RESAMPLES, count))


def _percentiles(means: Array) -> Interval:
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
