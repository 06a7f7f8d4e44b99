"""Pictures are laid over each other to a fraction of a pixel, a view that stands stays exactly where it is, and where
there is too little to see nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import pytest

from edge.records import STILL, Array
from edge.registration import Key, Structure
from edge.steady import Sight, State, Steady
from edge.warp import between, carried, reach
from tests.edge import scenes

WIDE = scenes.scene(3, 480, 640)
SIZE = (320, 240)


def placed(dx: float = 0.0, dy: float = 0.0, turn: float = 0.0, zoom: float = 1.0) -> Array:
    """Px of a view of SIZE -> px of WIDE; the middle of the first lies (dx, dy) beside that of the second."""
    cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
    return np.array([[cos, -sin, 320 + dx], [sin, cos, 240 + dy], [0, 0, 1]]) @ [[1, 0, -160], [0, 1, -120], [0, 0, 1]]


def plane(view: Array, seed: int, ground: Array = WIDE, noise: float = 1.0) -> Array:
    cut = cv2.warpAffine(ground, view[:2], SIZE, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    return np.float32(scenes.shot(cut, seed, noise)) / np.float32(255)


def watched(views: Iterable[Array], ground: Array = WIDE, fps: float = 15.0) -> list[Sight]:
    steady = Steady()
    return [steady.step(plane(view, i, ground), i / fps, look=i % 4 == 0) for i, view in enumerate(views)]


def error(found: Array, true: Array) -> float:
    """Of the worst corner, px."""
    return reach(np.linalg.inv(true) @ found, SIZE)


@pytest.mark.parametrize(
    "true",
    [placed(0.4, -0.3), placed(7.3, 2.6), placed(-21, 14.5), placed(3, 1, turn=0.03), placed(-2, 0.5, zoom=1.04)],
)
@pytest.mark.parametrize(("contrast", "bar"), [(1.0, 0.4), (0.15, 0.9)])
def test_a_picture_is_laid_over_another(true: Array, contrast: float, bar: float) -> None:
    faint = 120 + contrast * (WIDE - 120)
    fit = Key(Structure(plane(placed(), 1, faint))).fit(Structure(plane(true, 2, faint)), STILL)
    assert fit.good
    assert error(fit.matrix, np.linalg.inv(placed()) @ true) < bar


def test_a_prior_finds_what_is_too_far_away_without_it() -> None:
    true = placed(70, -40)
    key, seen = Key(Structure(plane(placed(), 1))), Structure(plane(true, 2))
    motion = np.linalg.inv(placed()) @ true
    told = key.fit(seen, motion @ placed(2, 1) @ np.linalg.inv(placed()))
    assert told.good
    assert error(told.matrix, motion) < 0.6


@pytest.mark.parametrize("ground", [np.full_like(WIDE, 128), np.indices(WIDE.shape)[0].astype(np.float32) / 3])
def test_without_structure_no_fit_is_good(ground: Array) -> None:
    key = Key(Structure(plane(placed(), 1, ground)))
    for seed in range(2, 8):
        assert not key.fit(Structure(plane(placed(3, 1), seed, ground)), STILL).good


def test_another_scene_does_not_fit() -> None:
    key = Key(Structure(plane(placed(), 1)))
    assert not key.fit(Structure(plane(placed(), 2, scenes.scene(9, 480, 640))), STILL).good


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0])
def test_a_view_that_stands_is_the_same_to_the_last_bit(noise: float) -> None:
    steady = Steady()
    sights = [steady.step(plane(placed(), i, noise=noise), i / 15, look=i % 4 == 0) for i in range(100)]
    assert {sight.state for sight in sights} == {State.STILL}
    assert all(between(sight.view, STILL) is None for sight in sights)


def test_gas_before_a_camera_that_stands_is_no_motion_of_it() -> None:
    steady = Steady()
    ground = WIDE[120:360, 160:480]
    for i in range(75):
        seen = np.float32(scenes.shot(ground + 60 * min(1, i / 30) * scenes.plume(i / 15), i)) / 255
        assert steady.step(seen, i / 15, look=i % 4 == 0).state is State.STILL


def test_a_pan_is_followed_and_at_its_end_the_view_stands_still_again() -> None:
    way = [0.0] * 10 + [1.7 * i for i in range(45)] + [1.7 * 44] * 30
    sights = watched(placed(dx, 0) for dx in way)
    assert {sight.state for sight in sights[:10]} == {State.STILL}
    assert {sight.state for sight in sights[13:50]} == {State.MOVING}
    for now in range(22, 50):
        found, true = (
            between(sights[now].view, sights[now - 8].view),
            placed(way[now]) @ np.linalg.inv(placed(way[now - 8])),
        )
        assert found is not None
        assert error(found, true) < 0.7
    assert sights[-1].state is State.STILL
    assert between(sights[-1].view, sights[-2].view) is None
    assert carried(np.array([[160.0, 120.0]]), sights[-1].view)[0] == pytest.approx((160 + way[-1], 120), abs=0.7)


def test_a_shake_is_followed() -> None:
    shaken = [placed(*np.random.default_rng(i).normal(0, 3, 2)) for i in range(40)]
    sights = watched(shaken)
    for i in range(12, 40):
        found, true = between(sights[i].view, sights[i - 2].view), np.linalg.inv(shaken[i - 2]) @ shaken[i]
        assert found is not None
        assert error(found, true) < 0.7


def test_what_was_lost_is_found_where_it_was() -> None:
    """Blur for a third of a second, in the middle of a pan."""
    steady, way = Steady(), [1.5 * i for i in range(40)]
    sights = []
    for i, dx in enumerate(way):
        seen = plane(placed(dx), i)
        sights.append(steady.step(cv2.GaussianBlur(seen, (0, 0), 12) if 20 <= i < 25 else seen, i / 15))
    assert {sight.state for sight in sights[20:25]} == {State.LOST}
    assert {sight.state for sight in sights[26:]} == {State.MOVING}
    assert not any(sight.renewed for sight in sights[1:])
    assert error(sights[30].view, placed(way[30]) @ np.linalg.inv(placed())) < 1.0


def test_a_flight_over_ground_without_structure_is_lost_until_there_is_some() -> None:
    steady, flat = Steady(), np.full_like(WIDE, 120)
    sights = [steady.step(plane(placed(1.5 * i), i, flat if 20 <= i < 60 else WIDE), i / 15) for i in range(75)]
    assert {sight.state for sight in sights[20:60]} == {State.LOST}
    assert any(sight.renewed for sight in sights[20:60])
    assert {sight.state for sight in sights[-5:]} == {State.MOVING}


def test_corners_that_move_are_a_doubt_and_no_more_than_that() -> None:
    steady = Steady()
    steady.step(plane(placed(), 0), 0.0)
    assert steady.told(True, 0.1) is State.LOST
    assert steady.told(False, 0.2) is State.STILL
