"""The benchmark flies the virtual camera over its stills, and measures what the device sees in px of the camera."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cost import shot
from benchmarks.registration import FPS, LAGS, Eye, apart, faded, flown, fly, quantiles
from edge import contract
from edge.records import STILL as HERE
from edge.steady import State
from edge.warp import shifted
from tests.edge import scenes

STILL = scenes.scene(2, 512, 640)
SPEC, _ = contract.load("student.int8")


def test_a_flight_begins_in_the_middle_of_the_still() -> None:
    view = next(iter(flown(STILL, "pan", 3, np.random.default_rng(0))))
    np.testing.assert_allclose(view, shifted(160, 136), atol=1e-9)
    seen = shot(STILL, view, np.random.default_rng(0), 0.0)
    assert np.abs(seen - STILL[136:376, 160:480]).max() <= 0.51


@pytest.mark.parametrize("motion", ["pan", "tilt"])
def test_a_pan_stays_over_the_still(motion: str) -> None:
    for view in flown(STILL, motion, 600, np.random.default_rng(1)):
        left, top = view[:2, 2]
        assert 0 <= left <= 640 - 320
        assert 0 <= top <= 512 - 240


def test_views_are_told_in_px_of_the_camera() -> None:
    """What the device compares is smaller; 3 px of the camera are 3 px all the same."""
    eye, rng = Eye(SPEC), np.random.default_rng(1)
    views = [shifted(160 + 3 * i, 136) for i in range(8)]
    found = [eye.step(shot(STILL, view, rng, 1.0), i) for i, view in enumerate(views)]
    assert found[-1][1] is State.MOVING
    moved = np.linalg.inv(found[-2][0]) @ found[-1][0]
    np.testing.assert_allclose(moved[:2, 2], (3, 0), atol=0.5)


def test_an_error_is_how_far_places_are_off() -> None:
    assert apart((shifted(5, 0), shifted(5, 2)), (HERE, HERE)) == pytest.approx(2)
    assert apart((HERE, HERE), (HERE, HERE)) == 0


@pytest.mark.parametrize("motion", ["pan", "shake"])
def test_a_flight_is_followed(motion: str) -> None:
    found = fly(SPEC, STILL, motion, 30, 3, 1.0)
    assert found["frames"] == len(found["cost"]) == 30
    for lag in LAGS:
        assert quantiles(found["errors"][lag])["median"] < 0.3


def test_a_camera_that_stands_has_no_error_at_all() -> None:
    assert set(fly(SPEC, STILL, "still", 20, 4, 1.0)["errors"]["short"]) == {0.0}


def test_ground_without_structure_is_flagged() -> None:
    found = faded(SPEC, STILL, 5, 1.0, round(3 * FPS))
    assert found["flagged"] == found["frames"] > 0
