"""Exact Poisson bounds, against values out of printed tables."""

from __future__ import annotations

import pytest

from edge.rate import cumulative, interval


@pytest.mark.parametrize(
    ("events", "low", "high"),
    [(1, 0.0253, 5.572), (2, 0.2422, 7.225), (5, 1.623, 11.668), (10, 4.795, 18.390), (100, 81.36, 121.63)],
)
def test_bounds_are_those_of_garwoods_table(events, low, high):
    assert interval(events, 1.0) == pytest.approx((low, high), rel=1e-3)


def test_nothing_seen_in_an_hour_bounds_the_rate_by_three():
    low, high = interval(0, 1.0)
    assert low == 0
    assert high == pytest.approx(2.996, abs=1e-3)


def test_ten_times_the_footage_gives_a_tenth_of_the_bound():
    assert interval(0, 10.0)[1] == pytest.approx(interval(0, 1.0)[1] / 10)


def test_many_events_do_not_overflow():
    low, high = interval(3000, 1.0)
    assert 2890 < low < 3000 < high < 3115
    assert cumulative(3000, 1e5) == 0
    assert cumulative(4, 0) == 1
