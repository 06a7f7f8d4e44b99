"""Capture times keep the camera's spacing, whatever network and clocks do, and never run backwards."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture.clock import WRAP_S, StreamClock


def captured(stamps: list[float], arrivals: list[float]) -> list[float]:
    clock = StreamClock()
    return [clock.step(stamp, arrived) for stamp, arrived in zip(stamps, arrivals, strict=True)]


def bursts(count: int, fps: float = 25.0, every: int = 8, start: float = 1000.0) -> tuple[list[float], list[float]]:
    """Stamps, and arrivals of `every` frames at once, 20 ms after the last of them was taken."""
    stamps = [i / fps for i in range(count)]
    last = [stamps[min(i // every * every + every - 1, count - 1)] for i in range(count)]
    return stamps, [start + at + 0.02 + 1e-4 * (i % every) for i, at in enumerate(last)]


def test_bursts_are_spread_out_again() -> None:
    stamps, arrivals = bursts(200)
    times = captured(stamps, arrivals)
    assert np.diff(times[8:]) == pytest.approx(1 / 25, abs=1e-3)
    assert max(at - time for at, time in zip(arrivals, times, strict=True)) < 8 / 25 + 0.01


def test_the_first_burst_is_not_believed() -> None:
    clock = StreamClock()
    settled = []
    for stamp, arrived in zip(*bursts(60, every=20), strict=True):
        clock.step(stamp, arrived)
        settled.append(clock.settled)
    assert not any(settled[:20])
    assert all(settled[24:40])


def test_jitter_of_the_network_hardly_shows() -> None:
    rng = np.random.default_rng(0)
    stamps = [i / 25 for i in range(1000)]
    arrivals = sorted(5.0 + stamp + 0.01 + rng.exponential(0.02) for stamp in stamps)
    times = captured(stamps, arrivals)
    assert np.diff(times[100:]) == pytest.approx(1 / 25, abs=2e-3)


@pytest.mark.parametrize("rate", [1 - 2e-4, 1 + 2e-4], ids=["slow", "fast"])
def test_a_crystal_that_is_off_is_followed_for_hours(rate: float) -> None:
    arrivals = [i / 5 for i in range(3 * 3600 * 5)]
    times = captured([rate * at for at in arrivals], arrivals)
    assert max(at - time for at, time in zip(arrivals, times, strict=True)) < 0.02


def test_a_32_bit_counter_that_wraps_is_counted_on() -> None:
    stamps, arrivals = bursts(400)
    wrapped = [(WRAP_S - 7.01 + stamp) % WRAP_S for stamp in stamps]
    assert wrapped != sorted(wrapped)
    assert captured(wrapped, arrivals) == pytest.approx(captured(stamps, arrivals), abs=1e-6)


@pytest.mark.parametrize("jump", [-500.0, -0.5, +0.5, +500.0], ids=["far back", "back", "on", "far on"])
def test_a_clock_that_is_set_costs_no_more_than_a_burst(jump: float) -> None:
    stamps, arrivals = bursts(400)
    jumped = [stamp + jump * (i >= 200) for i, stamp in enumerate(stamps)]
    times = captured(jumped, arrivals)
    late = [at - time for at, time in zip(arrivals, times, strict=True)]
    assert all(-1e-6 < by < 0.35 for by in late)
    assert np.diff(times[208:]) == pytest.approx(1 / 25, abs=1e-3)


def test_a_clock_that_stood_still_is_given_up() -> None:
    stamps, arrivals = bursts(200)
    paused = [at + 60 * (i >= 100) for i, at in enumerate(arrivals)]
    times = captured(stamps, paused)
    assert all(at - time < 0.4 for at, time in zip(paused, times, strict=True))


def test_without_stamps_the_arrival_counts() -> None:
    clock = StreamClock()
    assert [clock.step(None, at) for at in (1.0, 1.1)] == [1.0, 1.1]
    assert clock.settled
    stuck = StreamClock()
    assert [stuck.step(0.0, at) for at in (1.0, 1.1, 1.2)] == [1.0, 1.1, 1.2]


def test_a_repeated_frame_has_the_time_of_the_first() -> None:
    stamps, arrivals = bursts(100)
    stamps[50:50], arrivals[50:50] = [stamps[49]], [arrivals[49] + 0.05]
    times = captured(stamps, arrivals)
    assert 0 < times[50] - times[49] < 1e-4
    assert times[51] - times[49] == pytest.approx(1 / 25, abs=1e-3)


@given(st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(1e-4, 10.0)), min_size=2, max_size=60))
@settings(deadline=None, max_examples=300)
def test_times_rise_and_are_never_in_the_future(frames: list[tuple[float, float]]) -> None:
    arrivals = list(itertools.accumulate(gap for _, gap in frames))
    times = captured([stamp for stamp, _ in frames], arrivals)
    assert all(before < after for before, after in itertools.pairwise(times))
    assert all(time <= at + 1e-6 for time, at in zip(times, arrivals, strict=True))
