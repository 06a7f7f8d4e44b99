"""Probability of detection as a curve over contrast, with the bands that the trials allow.

    POD(c) = ceiling / (1 + exp(-slope (ln c - ln c50)))

The ceiling is what no contrast mends: a plume too small for the alarm, a moving object that holds the alarm elsewhere.
The likelihood is evaluated on a grid of all three, so that neither trials that all succeed nor trials that all fail
break the fit; a band or bound is the range of what it bounds over the parameters whose log-likelihood lies within
1.92 of the best (profile likelihood, 95 %).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.records import Array

DROP = 1.92  # half of the 95 % quantile of chi squared with one degree of freedom
BEYOND = 8.0  # the grid of c50 reaches so many times beyond the contrasts that were tried
CLAIMED = 3.0  # and a contrast is given so many times beyond them
SLOPES = (0.5, 12.0)  # per unit of ln c
CEILINGS = (0.025, 1.0)
CELLS, ROUNDS = (90, 30, 30), 3  # of the grid; each round looks closer at where the likelihood of the last one was high


@dataclass(frozen=True, slots=True)
class Curve:
    """A fit. Contrasts far beyond those that were tried are infinite (above) or 0 (below)."""

    contrasts: tuple[float, ...]  # of the curve
    pod: tuple[float, ...]
    low: tuple[float, ...]  # of the band
    high: tuple[float, ...]
    points: dict[str, tuple[float, float, float]]  # "50", "90": contrast with its bounds


def fit(tried: Sequence[float], found: Sequence[bool], levels: Sequence[float] = (0.5, 0.9)) -> Curve:
    """From trials at contrasts above 0, each found or not; `levels` are the PODs whose contrast is wanted."""
    logs, hits = np.log(np.asarray(tried, float)), np.asarray(found, bool)
    reach = math.log(BEYOND)
    ranges = [(logs.min() - reach, logs.max() + reach), SLOPES, CEILINGS]
    for _ in range(ROUNDS):
        middles, slopes, ceilings = parameters = _grid(ranges)
        likelihood = _likelihood(logs, hits, parameters)
        best = np.unravel_index(int(likelihood.argmax()), likelihood.shape)
        near = likelihood >= likelihood[best] - DROP
        ranges = [_around(values, near, axis) for axis, values in enumerate(parameters)]
    shown = np.geomspace(math.exp(logs.min()), math.exp(logs.max()), 31)
    pods = [curve(math.log(contrast), middles[near], slopes[near], ceilings[near]) for contrast in shown]
    claimed = math.exp(logs.min()) / CLAIMED, math.exp(logs.max()) * CLAIMED
    points = {}
    for level in levels:
        contrasts = _contrasts(level, parameters, claimed)
        points[f"{100 * level:g}"] = float(contrasts[best]), float(contrasts[near].min()), float(contrasts[near].max())
    return Curve(
        contrasts=tuple(shown.tolist()),
        pod=tuple(float(curve(math.log(c), middles[best], slopes[best], ceilings[best])) for c in shown),
        low=tuple(float(pod.min()) for pod in pods),
        high=tuple(float(pod.max()) for pod in pods),
        points=points,
    )


def curve(log_contrast: float, middle: Array, slope: Array, ceiling: Array) -> Array:
    """POD at one contrast for many parameters; never quite 0 or 1, so that its logarithms are finite."""
    return np.clip(ceiling / (1.0 + np.exp(-slope * (log_contrast - middle))), 1e-6, 1.0 - 1e-6)


def _likelihood(logs: Array, hits: Array, parameters: Sequence[Array]) -> Array:
    """Log-likelihood of all trials at each point of the grid."""
    total = np.zeros(parameters[0].shape)
    for value in np.unique(logs):
        pod = curve(value, *parameters)
        at = logs == value
        total += int(hits[at].sum()) * np.log(pod) + int((~hits[at]).sum()) * np.log1p(-pod)
    return total


def _contrasts(level: float, parameters: Sequence[Array], claimed: tuple[float, float]) -> Array:
    """The contrast at which the POD is `level`, at each point of the grid."""
    middles, slopes, ceilings = parameters
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.exp(middles - np.log(ceilings / level - 1.0) / slopes)
    found = np.where(ceilings > level, found, np.inf)
    found[found > claimed[1]] = np.inf
    found[found < claimed[0]] = 0.0
    return found


def _around(values: Array, near: Array, axis: int) -> tuple[float, float]:
    """Where along an axis the likelihood is high, and a step more each way."""
    line = np.unique(values)
    there = np.nonzero(near.any(axis=tuple(other for other in range(3) if other != axis)))[0]
    return float(line[max(there[0] - 1, 0)]), float(line[min(there[-1] + 1, len(line) - 1)])


def _grid(ranges: Sequence[tuple[float, float]]) -> tuple[Array, Array, Array]:
    """ln c50, slope and ceiling, each (CELLS)."""
    (first, last), (flat, steep), (low, high) = ranges
    axes = np.linspace(first, last, CELLS[0]), np.geomspace(flat, steep, CELLS[1]), np.linspace(low, high, CELLS[2])
    middle, slope, ceiling = np.meshgrid(*axes, indexing="ij")
    return middle, slope, ceiling
