"""Lines through measured points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Line:
    """y = base + slope x, by least squares, and how well that describes the points."""

    base: float
    slope: float
    r2: float  # share of the variance that the line explains
    exponent: float  # of y ~ x^exponent: 1 where cost grows in proportion


def line(x: Sequence[float], y: Sequence[float]) -> Line:
    """Through two or more points with different x, all above 0. Raises ValueError for fewer."""
    if len(set(x)) < 2:
        raise ValueError("a line wants two different points")
    xs, ys = np.array(x, float), np.array(y, float)
    slope, base = (float(value) for value in np.polyfit(xs, ys, 1))
    spread = float(((ys - ys.mean()) ** 2).sum())
    left = float(((ys - base - slope * xs) ** 2).sum())
    return Line(base, slope, 1.0 - left / spread if spread else 1.0, float(np.polyfit(np.log(xs), np.log(ys), 1)[0]))
