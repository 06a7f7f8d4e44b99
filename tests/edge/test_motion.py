"""A shift of the whole view is measured to a fraction of a pixel; what moves within the view is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.motion import shift
from edge.plume import reduce
from tests.edge import scenes


@given(dx=st.floats(-24, 24), dy=st.floats(-24, 24), seed=st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_a_shift_is_found(dx: float, dy: float, seed: int) -> None:
    view = scenes.scene(seed) / 255
    found = shift(reduce(view), reduce(scenes.shifted(view, dx, dy)))
    assert (4 * found.dx, 4 * found.dy) == (pytest.approx(dx, abs=2.5), pytest.approx(dy, abs=2.5))
    if np.hypot(dx, dy) > 3:
        assert found.explained > 0.2


def test_a_still_view_has_not_moved() -> None:
    view = scenes.scene()
    found = shift(reduce(scenes.shot(view, 1)) / 255, reduce(scenes.shot(view, 2)) / 255)
    assert np.hypot(found.dx, found.dy) < 0.1


def test_the_pictures_are_left_as_they_are() -> None:
    before, after = (reduce(scenes.scene(seed)) for seed in (1, 2))
    copies = before.copy(), after.copy()
    shift(before, after)
    assert np.array_equal(before, copies[0])
    assert np.array_equal(after, copies[1])


def test_identical_and_flat_pictures_do_not_divide_by_zero() -> None:
    flat = np.full((60, 80), 0.5, np.float32)
    assert shift(flat, flat.copy()).explained == 0.0


def test_an_aircraft_pulls_the_peak_but_undoing_its_flight_explains_nothing() -> None:
    """As in night footage: a hot horizon, a bare sky that is all noise, and one bright thing that moves."""
    sky = np.full((240, 320), 25.0, np.float32)
    sky[215:] = np.linspace(60, 250, 25, dtype=np.float32)[:, None]
    views = [sky.copy(), sky.copy()]
    for view, at in zip(views, (120, 136), strict=True):
        view[100:116, at : at + 24] = 255
    found = shift(*(reduce(scenes.shot(view, i, noise=2)) / np.float32(255) for i, view in enumerate(views)))
    assert 4 * found.dx == pytest.approx(16, abs=2)
    assert found.explained < 0.2 or found.response < 0.15
