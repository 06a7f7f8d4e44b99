"""The curve finds the contrast that trials were drawn with, and its bands say what so few trials can."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import pod

TRIED = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)


def draw(
    trials: int, middle: float, slope: float, ceiling: float = 1.0, seed: int = 0
) -> tuple[list[float], list[bool]]:
    rng = np.random.default_rng(seed)
    contrasts = [value for value in TRIED for _ in range(trials)]
    chance = [ceiling / (1 + math.exp(-slope * (math.log(c) - math.log(middle)))) for c in contrasts]
    return contrasts, [bool(rng.random() < p) for p in chance]


def test_many_trials_find_the_curve() -> None:
    fitted = pod.fit(*draw(400, 2.5, 3.0, seed=1))
    best, low, high = fitted.points["50"]
    assert low < 2.5 < high
    assert best == pytest.approx(2.5, rel=0.08)
    assert fitted.points["90"][0] == pytest.approx(2.5 * 9 ** (1 / 3), rel=0.12)


def test_the_bounds_hold_as_often_as_they_say() -> None:
    fits = [pod.fit(*draw(12, 2.5, 3.0, seed=seed)) for seed in range(40)]
    for level, wanted in (("50", 2.5), ("90", 2.5 * 9 ** (1 / 3))):
        assert np.mean([one.points[level][1] <= wanted <= one.points[level][2] for one in fits]) >= 0.85


def test_fewer_trials_make_wider_bands() -> None:
    few, many = pod.fit(*draw(6, 2.5, 3.0)), pod.fit(*draw(60, 2.5, 3.0))
    assert np.mean(np.subtract(few.high, few.low)) > 2 * np.mean(np.subtract(many.high, many.low))


def test_curve_and_band_rise_and_enclose() -> None:
    fitted = pod.fit(*draw(20, 2.0, 4.0))
    assert fitted.contrasts[0] == pytest.approx(0.5)
    assert fitted.contrasts[-1] == pytest.approx(10.0)
    for values in (fitted.pod, fitted.low, fitted.high):
        assert np.all(np.diff(values) >= -1e-9)
    assert all(low <= value <= high for low, value, high in zip(fitted.low, fitted.pod, fitted.high, strict=True))


def test_what_never_succeeds_has_no_contrast() -> None:
    fitted = pod.fit(TRIED * 10, [False] * 80)
    assert fitted.points["50"][2] == math.inf
    assert fitted.points["50"][1] > 2.0
    assert max(fitted.high[:10]) < 0.1


def test_what_always_succeeds_is_only_bounded_from_above() -> None:
    fitted = pod.fit(TRIED * 10, [True] * 80)
    best, low, high = fitted.points["90"]
    assert low == 0.0
    assert best <= high < 1.0
    assert min(fitted.low) > 0.7


def test_a_clean_step_lies_between_the_contrasts_beside_it() -> None:
    best, low, high = pod.fit(TRIED * 10, [c >= 3.0 for c in TRIED] * 10).points["50"]
    assert 2.0 < best < 3.0
    assert 1.9 < low < best < high < 3.1


def test_a_ceiling_below_the_level_leaves_no_contrast_for_it() -> None:
    fitted = pod.fit(*draw(100, 1.5, 5.0, ceiling=0.7))
    assert fitted.points["50"][0] < 3.0
    assert fitted.points["90"] == (math.inf, math.inf, math.inf)
    assert fitted.pod[-1] == pytest.approx(0.7, abs=0.05)
