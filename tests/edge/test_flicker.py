"""Gas is livelier than the view around it; what only looks like a plume is not, from half a second after it came."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import pytest

from edge.plume import Flicker, reduce
from edge.records import Array
from edge.warp import shifted
from tests.edge import scenes

VIEW = scenes.scene()
PLUME = scenes.plume(0.0) > 0.2
GHOST = 25 * PLUME


def watched(views: Iterable[Array], fps: float = 15.0, gas: Array = PLUME, noise: float = 1.0) -> list[float]:
    """The flicker of each view (H, W), grey levels, through a noisy camera."""
    flicker, share, found = Flicker(), reduce(gas.astype(np.float32)), []
    for i, view in enumerate(views):
        flicker.see(i / fps, np.float32(scenes.shot(view, i, noise)) / np.float32(255))
        found.append(flicker.step(share))
    return found


@pytest.mark.parametrize("depth", [8, 25, 80])
@pytest.mark.parametrize("fps", [9, 15, 30, 60])
def test_gas_is_livelier_than_the_view(fps: int, depth: float) -> None:
    found = watched((VIEW + depth * scenes.plume(i / fps) for i in range(2 * fps)), fps)
    assert min(found[fps:]) > 1.6


@pytest.mark.parametrize("noise", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("fps", [9, 15, 30, 60])
def test_what_came_at_once_and_stands_is_not(fps: int, noise: float) -> None:
    found = watched((VIEW + (i >= fps) * GHOST for i in range(3 * fps)), fps, noise=noise)
    assert max(found[:fps]) < 1.3
    if noise < 1:
        assert max(found[fps : 2 * fps]) > 3, "it came unseen"
    assert max(found[round(1.7 * fps) :]) < 1.3


def test_a_camera_that_breathes_does_not_flicker() -> None:
    assert max(watched(VIEW + GHOST + 6 * np.sin(i) for i in range(60))) < 1.3


def test_a_still_picture_does_not_flicker() -> None:
    assert set(watched([VIEW + GHOST] * 10, noise=0.0)) == {1.0}


def test_where_all_of_the_view_is_gas_it_is_compared_with_stillness() -> None:
    everywhere = np.ones(VIEW.shape, bool)
    found = watched((VIEW + 40 * scenes.plume(i / 15, x=-400) for i in range(30)), gas=everywhere)
    assert found[-1] > 1.6


def test_a_plume_of_a_single_pixel_has_its_flicker() -> None:
    speck = np.zeros(VIEW.shape, bool)
    speck[100, 100] = True
    assert watched([VIEW] * 10, gas=speck)[-1] == pytest.approx(1.0, abs=1.5)


def test_another_resolution_begins_anew() -> None:
    flicker = Flicker()
    for side in (80, 40):
        for at in (0.0, 0.3):
            flicker.see(side + at, np.zeros((60, side), np.float32))
            assert flicker.step(reduce(PLUME.astype(np.float32))) == 1.0


def test_below_a_moving_view_the_ground_does_not_flicker_and_gas_does() -> None:
    """A shake of 3 px, known to the pixel fraction; a ghost and a plume that stand on the ground."""
    wide = scenes.scene(4, 280, 360)

    def played(gas: Callable[[int], Array]) -> float:
        flicker, rng = Flicker(), np.random.default_rng(0)
        for i in range(30):
            view = shifted(*(20 + rng.normal(0, 3, 2)))
            seen = wide.copy()
            seen[20:260, 20:340] += gas(i)
            cut = cv2.warpAffine(seen, view[:2], (320, 240), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
            image = np.float32(scenes.shot(cut, i)) / np.float32(255)
            flicker.see(i / 15, image, view)
            found = flicker.step(reduce(PLUME.astype(np.float32)))
        return found

    assert played(lambda i: GHOST) < 1.5
    assert played(lambda i: 40 * scenes.plume(i / 15)) > 2
