"""A shift of the whole view is measured to a fraction of a pixel; what moves within the view is not taken for one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge.motion import NO_SHIFT, shift
from edge.records import Array
from tests.edge import scenes


def picture(view: Array, seed: int = 0, noise: float = 1.0) -> Array:
    """What is compared: half the size, 8 bits."""
    return cv2.resize(scenes.shot(view, seed, noise), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


@given(dx=st.floats(-24, 24), dy=st.floats(-24, 24), seed=st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_a_shift_is_found(dx: float, dy: float, seed: int) -> None:
    assume(np.hypot(dx, dy) > 1.5)
    view = scenes.scene(seed)
    found = shift(picture(view, 1), picture(scenes.shifted(view, dx, dy), 2))
    assert (2 * found.dx, 2 * found.dy) == (pytest.approx(dx, abs=0.7), pytest.approx(dy, abs=0.7))
    assert found.share > 0.4
    assert found.spread > 0.5


def test_a_still_view_has_not_moved() -> None:
    view = scenes.scene()
    assert shift(picture(view, 1), picture(view, 2)).share < 0.1


def test_the_pictures_are_left_as_they_are() -> None:
    before, after = (picture(scenes.scene(seed)) for seed in (1, 2))
    copies = before.copy(), after.copy()
    shift(before, after)
    assert np.array_equal(before, copies[0])
    assert np.array_equal(after, copies[1])


def test_where_there_is_nothing_to_track_nothing_moves() -> None:
    flat = np.full((120, 160), 128, np.uint8)
    assert shift(flat, flat.copy()) == NO_SHIFT


def test_an_aircraft_is_not_the_view() -> None:
    """As in night footage: a hot horizon, a bare sky that is all noise, and one bright thing that moves."""
    sky = np.full((240, 320), 25.0, np.float32)
    sky[215:] = np.linspace(60, 250, 25, dtype=np.float32)[:, None]
    views = [sky.copy(), sky.copy()]
    for view, at in zip(views, (120, 136), strict=True):
        view[100:116, at : at + 24] = 255
    found = shift(*(picture(view, i, noise=2) for i, view in enumerate(views)))
    assert found.share < 0.25 or found.spread < 0.3


def test_burnt_in_text_does_not_hold_a_panning_view() -> None:
    wide = scenes.scene(3, 240, 600)
    views = wide[:, 100:420], wide[:, 110:430]
    shown = []
    for seed, view in enumerate(views):
        image = scenes.shot(view, seed)
        cv2.putText(image, "WHITE HOT 238 SW", (40, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
        cv2.putText(image, "FLIR", (240, 225), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
        shown.append(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    found = shift(*shown)
    assert 2 * found.dx == pytest.approx(-10, abs=0.7)
    assert found.share > 0.25
    assert found.spread > 0.3
