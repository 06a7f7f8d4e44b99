"""A shake is found at half size, and what moves by itself does not carry the view along."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.approach import Approach
from edge.records import STILL, Array
from edge.registration import Structure
from edge.warp import shifted
from tests.edge import scenes

WIDE = scenes.scene(3, 240, 320)


def detail(dx: float, dy: float, seed: int, other: Array | None = None) -> Array:
    cut = cv2.warpAffine(WIDE, shifted(80 + dx, 60 + dy)[:2], (160, 120), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    if other is not None:
        cut[30:70, 40:90] = other
    return Structure(np.float32(scenes.shot(cut, seed, 1.0)) / np.float32(255)).detail


@pytest.mark.parametrize("way", [(0, 0), (1.5, -0.7), (-3, 2.5), (0.3, 4)])
def test_a_shift_of_some_px_is_found(way: tuple[float, float]) -> None:
    found = Approach(detail(0, 0, 1)).find(detail(*way, 2), STILL)
    assert found is not None
    np.testing.assert_allclose(found[:2, 2], (-way[0], -way[1]), atol=0.3)
    assert np.array_equal(found[:2, :2], np.eye(2))


def test_it_begins_where_it_is_told() -> None:
    approach, seen = Approach(detail(0, 0, 1)), detail(14, -9, 2)
    found = approach.find(seen, shifted(-12, 8))
    assert found is not None
    np.testing.assert_allclose(found[:2, 2], (-14, 9), atol=0.3)


def test_what_is_too_far_away_is_not_found() -> None:
    found = Approach(detail(0, 0, 1)).find(detail(40, 25, 2), STILL)
    assert found is None or np.abs(found[:2, 2]).max() <= 8


def test_what_moves_by_itself_does_not_carry_the_view_along() -> None:
    """A twelfth of the view goes another way, its edges stay; what is left is within reach of Gauss and Newton."""
    crowd = WIDE[100:140, 200:250]
    before, after = detail(0, 0, 1, crowd), detail(1, 0.5, 2, np.roll(crowd, 3, axis=1))
    found = Approach(before).find(after, STILL)
    assert found is not None
    np.testing.assert_allclose(found[:2, 2], (-1, -0.5), atol=0.8)


def test_the_finest_texture_shows_no_nearer_way() -> None:
    """Its slopes speak of nothing further than a px."""
    rng = np.random.default_rng(4)
    ground = cv2.GaussianBlur(rng.normal(0.5, 0.5, (160, 200)).astype(np.float32), (0, 0), 0.8)
    before, after = (Structure(ground[20 - y : 140 - y, 20 - x : 180 - x].copy()).detail for x, y in ((0, 0), (5, -4)))
    found = Approach(before).find(after, STILL)
    assert found is not None
    np.testing.assert_allclose(found[:2, 2], (5, -4), atol=0.8)
