"""The virtual camera's truth is what its pictures show, and the benchmark measures against it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.registration import FPS, LAGS, faded, flight, fly, placed, quantiles, shot
from tests.edge import scenes

STILL = scenes.scene(2, 512, 640)


def test_a_view_shows_what_lies_there() -> None:
    view = placed(np.array([300.0, 250.0]), 0.0, 1.0)
    seen = 255 * shot(STILL, view, np.random.default_rng(0), 0.0)
    left, top = view[0, 2], view[1, 2]
    assert (left, top) == (300 - 159.5, 250 - 119.5)
    aside = placed(np.array([300.5, 250.5]), 0.0, 1.0)
    exact = 255 * shot(STILL, aside, np.random.default_rng(0), 0.0)
    np.testing.assert_allclose(exact, STILL[131:371, 141:461], atol=0.51)
    assert np.abs(seen - exact).max() > 1


@pytest.mark.parametrize("motion", ["pan", "tilt"])
def test_a_pan_stays_over_the_still(motion: str) -> None:
    for view in flight(motion, (640, 512), 600, np.random.default_rng(1)):
        left, top = view[:2, 2]
        assert 0 <= left <= 640 - 320
        assert 0 <= top <= 512 - 240


@pytest.mark.parametrize("motion", ["pan", "shake"])
def test_a_flight_is_followed(motion: str) -> None:
    found = fly(STILL, motion, 30, 3, 1.0)
    assert found["frames"] == len(found["cost"]) == 30
    for lag in LAGS:
        assert quantiles(found["errors"][lag])["median"] < 0.3


def test_a_camera_that_stands_has_no_error_at_all() -> None:
    assert set(fly(STILL, "still", 20, 4, 1.0)["errors"]["short"]) == {0.0}


def test_ground_without_structure_is_flagged() -> None:
    found = faded(STILL, 5, 1.0, round(3 * FPS))
    assert found["flagged"] == found["frames"] > 0
