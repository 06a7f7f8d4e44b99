"""A camera that was knocked shows; weather, people and plumes do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from edge.quality import Watch
from edge.records import Array, Quality
from edge.view import View
from tests.edge import scenes

SCENE = scenes.scene()


def seconds(view: View, picture: Callable[[int], Array] | Array, count: int, start: int) -> list[bool]:
    """A look a second, from second `start`; whether the view had changed at each."""
    found = []
    for second in range(start, start + count):
        seen = picture(second) if callable(picture) else picture
        small = cv2.resize(np.float32(scenes.shot(seen, second)) / 255, (80, 60), interpolation=cv2.INTER_AREA)
        found.append(view.step(small, float(second)))
    return found


@pytest.fixture
def settled() -> View:
    view = View()
    assert not any(seconds(view, SCENE, 40, 0))
    return view


@pytest.mark.parametrize(
    "knocked",
    [scenes.shifted(SCENE, 24, 0), scenes.shifted(SCENE, 0, -20), scenes.scene(9), 255 - SCENE],
    ids=["aside", "up", "elsewhere", "turned over"],
)
def test_another_view_shows_after_seconds_and_until_it_is_accepted(settled: View, knocked: Array) -> None:
    found = seconds(settled, knocked, 300, 40)
    assert not any(found[:10])
    assert all(found[16:]), "the wrong view must not be learnt"


def test_a_view_that_comes_back_is_good_again(settled: View) -> None:
    assert seconds(settled, scenes.scene(9), 60, 40)[-1]
    found = seconds(settled, SCENE, 20, 100)
    assert not any(found[4:])
    assert not any(seconds(settled, SCENE, 60, 120))


def test_a_short_look_elsewhere_does_not_count(settled: View) -> None:
    found = seconds(settled, scenes.scene(9), 8, 40) + seconds(settled, SCENE, 60, 48)
    assert not any(found)


@pytest.mark.parametrize(
    "change", [lambda v: 0.5 * v + 40, lambda v: 0.25 * v + 100, lambda v: np.clip(v + 40, 0, 255)]
)
def test_gain_and_offset_are_no_other_view(settled: View, change: Callable[[Array], Array]) -> None:
    assert not any(seconds(settled, change(SCENE), 60, 40))


def test_jitter_of_a_mast_is_no_other_view(settled: View) -> None:
    rng = np.random.default_rng(0)
    assert not any(seconds(settled, lambda _: scenes.shifted(SCENE, *rng.normal(0, 1.5, 2)), 60, 40))


def test_a_plume_that_fills_much_of_the_view_is_no_other_view(settled: View) -> None:
    gas = cv2.resize(scenes.plume(0.0, x=0), (320, 240)) * 90
    assert not any(seconds(settled, SCENE + gas, 60, 40))


def test_a_lorry_before_a_third_of_the_view_is_no_other_view(settled: View) -> None:
    parked = SCENE.copy()
    parked[120:, 80:280] = 90
    assert not any(seconds(settled, parked, 60, 40))


def test_a_day_that_turns_warm_into_cold_is_followed(settled: View) -> None:
    """What was darker than its surroundings becomes brighter, each place in its own time."""
    other = scenes.scene(5)

    def at(second: int) -> Array:
        share = min(1.0, (second - 40) / 600)
        return np.asarray((1 - share) * SCENE + share * other)

    assert not any(seconds(settled, at, 700, 40))


def test_clouds_alone_cannot_be_told_from_another_view() -> None:
    view = View()
    assert not any(seconds(view, lambda second: 120 + 0.2 * (scenes.scene(second // 3) - 120), 200, 0))


def frames(picture: Array, count: int, fps: float, start: float) -> Iterator[tuple[Array, float]]:
    for i in range(count):
        yield scenes.shot(picture, i), start + i / fps


def flags(watch: Watch, picture: Array, count: int, start: float, fps: float = 5.0) -> list[Quality]:
    seen = frames(picture, count, fps, start)
    return [watch.step(image, np.float32(image) / np.float32(255), captured).quality for image, captured in seen]


def test_a_knocked_camera_is_believed_but_flagged_until_an_operator_accepts_the_view() -> None:
    watch = Watch()
    flags(watch, SCENE, 150, 0.0)
    watch.reset()  # it was away, and has been knocked meanwhile
    knocked = flags(watch, scenes.scene(9), 150, 60.0)
    assert knocked[-1] is Quality.VIEW_CHANGED
    assert knocked[-1].believable
    assert knocked[-1].names == ("view_changed",)
    watch.accept_view()
    assert flags(watch, scenes.scene(9), 200, 90.0)[-1] is Quality.GOOD
