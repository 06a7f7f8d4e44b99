"""Memory is read from the kernel, and its growth is a line through what was read."""

import math
import os

import numpy as np
import pytest

from benchmarks import memory


def test_growth_is_in_kilobytes_per_thousand_frames() -> None:
    points = [(1000 * k, 150.0 + 0.25 * k) for k in range(10)]
    assert memory.slope(points) == pytest.approx(250)
    assert memory.slope([(0, 150.0), (9000, 150.0)]) == pytest.approx(0)
    assert math.isnan(memory.slope([(500, 150.0)]))


def test_thinning_keeps_both_ends() -> None:
    points = [(k, float(k)) for k in range(1000)]
    kept = memory.thinned(points, 50)
    assert len(kept) == 50
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert memory.thinned(points[:3], 50) == points[:3]


def test_resident_memory_follows_what_a_process_holds() -> None:
    before = memory.resident(os.getpid(), "VmRSS")
    held = np.ones(50_000_000, np.uint8)
    grown = memory.resident(os.getpid(), "VmRSS") - before
    assert 45 < grown < 60
    assert memory.resident(os.getpid(), "VmHWM") >= before + held.nbytes / 1e6 - 5
