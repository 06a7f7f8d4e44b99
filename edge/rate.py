"""How often something happens, as far as a count can tell."""

from __future__ import annotations

import math
from collections.abc import Callable

CONFIDENCE = 0.95


def interval(events: int, hours: float) -> tuple[float, float]:
    """Bounds of the events an hour, exact for a Poisson process (Garwood, Biometrika 28, 1936), at 95 %.

    Two-sided, but of no events at all only the upper bound says something, and it takes the whole 5 %: 3.0 / hours.
    """
    if events == 0:
        return 0.0, -math.log(1 - CONFIDENCE) / hours
    tail = (1 - CONFIDENCE) / 2
    low = _solve(lambda mean: 1 - cumulative(events - 1, mean) < tail, events)
    high = _solve(lambda mean: cumulative(events, mean) > tail, events)
    return low / hours, high / hours


def cumulative(events: int, mean: float) -> float:
    """Probability of at most so many events where `mean` are expected."""
    if mean == 0:
        return 1.0
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(events + 1))


def _solve(below: Callable[[float], bool], events: int) -> float:
    """The mean up to which `below` holds."""
    low, high = 0.0, 2.0 * events + 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2
