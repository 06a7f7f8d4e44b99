"""Intervals, against values that are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.intervals import mean_interval, paired_interval, share_interval


def test_the_interval_of_a_mean_is_that_of_the_bootstrap() -> None:
    random = np.random.default_rng(3)
    values = list(random.normal(5.0, 2.0, 400))
    low, high = mean_interval(values)
    error = np.std(values) / math.sqrt(400)
    assert low == pytest.approx(np.mean(values) - 1.96 * error, abs=0.02)
    assert high == pytest.approx(np.mean(values) + 1.96 * error, abs=0.02)


def test_two_clips_are_drawn_in_three_ways() -> None:
    assert mean_interval([0.2, 0.8]) == pytest.approx((0.2, 0.8))  # a quarter of the draws each: within the 95 %


def test_the_same_figures_give_the_same_interval_and_missing_ones_are_left_out() -> None:
    values = [0.7, 0.8, 0.95, 0.6]
    assert mean_interval(values) == mean_interval([*values[:2], math.nan, *values[2:]])
    assert all(math.isnan(end) for end in mean_interval([0.7, math.nan]))
    assert mean_interval([0.7] * 5) == pytest.approx((0.7, 0.7))


def test_a_share_weighs_clips_by_their_length() -> None:
    low, high = share_interval([10, 0], [100, 900])
    assert (low, high) == pytest.approx((0.0, 0.1))
    assert all(math.isnan(end) for end in share_interval([3, 0], [100, 0]))


def test_a_pair_is_compared_clip_by_clip() -> None:
    theirs = [0.3, 0.9, 0.5, 0.7]
    assert paired_interval([their + 0.02 for their in theirs], theirs) == pytest.approx((0.02, 0.02))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_an_interval_lies_among_the_values(values: list[float]) -> None:
    low, high = mean_interval(values)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
