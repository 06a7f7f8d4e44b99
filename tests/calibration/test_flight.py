"""A virtual camera goes where it is told, and its registration errs as much as it should."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration.flight import (
    FLIGHTS,
    Flight,
    draw_flight,
    look,
    misread,
    registered,
    roll_rows,
    rows_late,
    steps,
    to_and_fro,
    track,
)
from calibration.noise import fractal
from edge.records import Array

SIZE = (96, 112)


def ground(seed: int = 0) -> Array:
    field = fractal(np.random.default_rng(seed), 256, 1.4)
    return np.asarray(cv2.GaussianBlur((110 + 40 * field).clip(0, 255).astype(np.uint8), (0, 0), 1.0))


def flown(flight: Flight, frames: int = 12, seed: int = 0) -> Array:
    return track(np.random.default_rng(seed), flight, SIZE, frames)


def centre(path: Array) -> Array:
    """(T, 2) where the view's centre is."""
    return (path @ np.array([(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2, 1.0]))[:, :2]


def test_a_pan_goes_to_its_end_and_back_at_one_speed() -> None:
    way = centre(flown(Flight(pan=2.0, room=(10.0, 5.0)), 21))
    moved = np.diff(way, axis=0)
    assert way[:, 0].max() - way[0, 0] == pytest.approx(10)
    assert np.abs(moved[:, 0]) == pytest.approx(2.0)
    assert moved[:, 1] == pytest.approx(0)
    assert way[20, 0] == pytest.approx(way[0, 0])


@pytest.mark.parametrize("room", [7.0, 10.0])
def test_a_triangle_never_leaves_its_room(room: float) -> None:
    way = to_and_fro(2.0 * np.arange(-50, 50), room)
    assert np.abs(way).max() == pytest.approx(room, abs=1.0)
    assert way[50] == 0


def test_a_still_camera_does_not_move_and_a_seed_is_a_flight() -> None:
    assert np.allclose(flown(FLIGHTS["still"]), np.eye(3))
    one, same, other = (flown(FLIGHTS["shake"], seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_shake_has_its_rms_length() -> None:
    way = centre(flown(FLIGHTS["shake"], 4000))
    assert np.sqrt(((way - way.mean(0)) ** 2).sum(1).mean()) == pytest.approx(3.0, rel=0.05)


def test_an_orbit_turns_about_the_middle_of_the_view() -> None:
    path = flown(FLIGHTS["orbit"], 60)
    assert np.abs(centre(path) - centre(path)[0]).max() < 1e-9
    turned = np.rad2deg(np.arctan2(path[:, 1, 0], path[:, 0, 0]))
    assert np.abs(turned).max() == pytest.approx(12.0)


def test_a_step_finds_the_present_ground_in_the_previous_view() -> None:
    path, picture = flown(Flight(pan=3.3, tilt=-1.2, orbit=0.01, climb=0.004), 4), ground()
    place = np.array([[1, 0, 70.0], [0, 1, 80.0], [0, 0, 1]])
    views = [look(picture, place @ matrix, SIZE).astype(np.float32) for matrix in path]
    back = look(views[2], steps(path)[3], SIZE, outside=0)
    inner = (slice(10, -10), slice(10, -10))
    assert np.abs(back - views[3])[inner].mean() < 1.0
    assert np.abs(views[2] - views[3])[inner].mean() > 5.0
    assert np.array_equal(steps(path)[0], np.eye(3, dtype=np.float32)[:2])


def error_px(path: Array, read: Array) -> Array:
    """(T,) px by which the middle of each view is misplaced against the first one's."""
    off = (centre(read) - centre(path)) - (centre(read) - centre(path))[0]
    return np.asarray(np.hypot(*off.T))


def test_registration_is_off_by_little_and_by_more_without_texture() -> None:
    path = flown(Flight(pan=1.0), 60)
    sharp, soft = (
        np.median([error_px(path, misread(np.random.default_rng(seed), path, texture)) for seed in range(40)])
        for texture in (0.05, 0.002)
    )
    assert 0.05 < sharp < 0.3
    assert soft > 2 * sharp


def test_footage_is_registered_as_it_moved() -> None:
    path, picture = flown(Flight(pan=2.5, tilt=1.0, orbit=0.01), 8), ground(1)
    place = np.array([[1, 0, 70.0], [0, 1, 80.0], [0, 0, 1]])
    found = registered(np.stack([look(picture, place @ matrix, SIZE) for matrix in path]))
    assert found is not None
    assert error_px(path, found).max() < 0.5


def test_what_has_no_texture_is_not_registered() -> None:
    assert registered(np.full((3, *SIZE), 90, np.uint8)) is None


def test_a_rolling_shutter_leans_what_stands_upright() -> None:
    flight = Flight(pan=4.0, readout=0.5)
    late = rows_late(np.random.default_rng(0), flight, flown(flight), SIZE[0])
    upright = np.zeros(SIZE, np.float32)
    upright[:, 50:60] = 1
    leaning = roll_rows(upright, late[5])
    x = (leaning * np.arange(SIZE[1])).sum(1) / leaning.sum(1)
    assert x[0] - x[-1] == pytest.approx(2.0, abs=0.1)
    assert x[SIZE[0] // 2] == pytest.approx(54.5, abs=0.1)


def test_flights_are_drawn_from_hovering_to_sweeping() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_flight(rng, SIZE) for _ in range(200)]
    speeds = [np.hypot(one.pan, one.tilt) for one in drawn]
    assert min(speeds) == 0
    assert max(speeds) > 3
    assert any(one.readout for one in drawn)
    faster = draw_flight(np.random.default_rng(5), SIZE, pace=2.0)
    slower = draw_flight(np.random.default_rng(5), SIZE)
    assert faster == replace(slower, **{name: 2 * getattr(slower, name) for name in ("pan", "tilt", "orbit", "climb")})
