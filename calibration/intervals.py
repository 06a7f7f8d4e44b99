"""How far a figure can be trusted: bootstrap intervals over clips, and what a count of rare events says of their rate.

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


def most_events(count: int, confidence: float = CONFIDENCE) -> float:
    """The greatest mean under which `count` or fewer events are no rarer than 1 - confidence: the exact upper bound of
    a Poisson mean (3.0 for no event at 95 %). Divide it by the hours watched for a rate.
    """
    low, high = float(count), count + 10.0 * math.sqrt(count + 1.0) + 10.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(count, middle) > 1 - confidence else (low, middle)
    return high


def _at_most(count: int, mean: float) -> float:
    """Probability of `count` or fewer events."""
    return (
        math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1)) if mean else 1.0
    )


def _draws(count: int) -> Array:
    return np.random.default_rng(SEED).integers(0, count, (RESAMPLES, count))


def _percentiles(means: Array) -> Interval:
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
