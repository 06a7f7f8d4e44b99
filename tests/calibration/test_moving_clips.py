"""Clips of a moving camera: gas and ground go together, nearer things do not, and the registration is carried."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.flight import Flight, look, steps, track
from calibration.follow import born, carried, evidence
from calibration.leak import draw_leak
from calibration.movers import Mover
from calibration.noise import NoiseBank
from calibration.plume import simulate
from calibration.render import GAS, UNKNOWN, Renderer, label
from calibration.terrain import Layer, overflight

SIZE = (96, 112)
PAN = track(np.random.default_rng(0), Flight(pan=4.0), SIZE, 8)


@pytest.fixture(scope="module")
def bank() -> NoiseBank:
    return NoiseBank(np.random.default_rng(0), count=4)


def test_a_share_of_the_clips_moves_and_says_how() -> None:
    renderer = Renderer(1, None, SIZE, frames=6, moving=0.3)
    clips = [renderer.clip() for _ in range(60)]
    moving = [clip for clip in clips if clip.steps is not None]
    assert 9 < len(moving) < 28
    assert all(clip.steps is not None and clip.steps.shape == (6, 2, 3) for clip in moving)
    leaking = [bool((clip.masks == GAS).any()) for clip in moving]
    assert 0.3 < np.mean(leaking) < 1.0, "moving views leak as often as still ones"


def test_without_a_share_of_moving_clips_there_is_none() -> None:
    assert all(Renderer(seed, None, SIZE, frames=3).clip().steps is None for seed in range(6))


def test_through_the_registration_the_ground_stands_still(bank: NoiseBank) -> None:
    plain, followed = [], []
    for seed in range(12):
        view = overflight(np.random.default_rng(seed), bank, None, SIZE, 6)
        (before, now), step = view.frames[-2:], steps(view.course.read)[-1]
        plain.append(np.abs(now - before)[12:-12, 12:-12].mean())
        followed.append(np.abs(now - look(before, step, SIZE))[12:-12, 12:-12].mean())
    assert np.mean(followed) < 0.5 * np.mean(plain)


def test_a_plume_stays_with_the_ground(bank: NoiseBank) -> None:
    leak = replace(
        draw_leak(np.random.default_rng(7), SIZE, 8), x=56.0, y=48.0, speed=0.5, jet=0.0, pulsing=0.0, onset=-1.0,
        radius=2.0, cell=2.0, depth=0.5, turbulence=0.2, fading=6.0,
    )  # fmt: skip
    depth, earlier = simulate(np.random.default_rng(7), bank, leak, SIZE, 8, track=PAN)
    source = [np.unravel_index(frame.argmax(), SIZE)[1] for frame in depth]
    assert source[0] - source[-1] == pytest.approx(4.0 * 7, abs=8)
    assert np.unravel_index(earlier[0].argmax(), SIZE)[1] == pytest.approx(source[0], abs=8)


def test_what_is_nearer_shifts_by_more_than_the_ground() -> None:
    post = np.zeros((160, 200), np.float32)
    post[:, 98:102] = 1
    layer = Layer(post, post, parallax=1.5)
    seen = [look(post, layer.place(matrix, SIZE), SIZE).mean(0).argmax() for matrix in (PAN[0], PAN[4])]
    assert seen[0] - seen[1] == pytest.approx(1.5 * 4.0 * 4, abs=1.5)


def test_an_overflight_knows_what_has_just_come_into_view(bank: NoiseBank) -> None:
    views = [overflight(np.random.default_rng(seed), bank, None, SIZE, 4) for seed in range(12)]
    fresh = [view.course.fresh.mean() for view in views if view.course is not None and view.course.fresh is not None]
    assert len(fresh) == len(views)
    assert min(fresh) < 0.05 < max(fresh) < 1.0


def test_gas_that_is_fixed_to_the_ground_and_never_changes_is_unknown() -> None:
    patch = np.zeros((200, 300), np.float32)
    patch[90:110, 150:170] = 0.1
    place = np.array([[1, 0, 100.0], [0, 1, 50.0], [0, 0, 1]])
    change = np.stack([look(patch, place @ matrix, SIZE) for matrix in PAN])
    here = change[-1] > 0.09
    assert (label(change, change[0], 0.02, PAN)[-1][here] == UNKNOWN).all()
    growing = change * np.linspace(0.2, 1, len(PAN), dtype=np.float32)[:, None, None]
    assert (label(growing, growing[0], 0.02, PAN)[-1][here] == GAS).mean() > 0.9


def test_evidence_follows_the_ground() -> None:
    change = np.zeros((8, *SIZE), np.float32)
    change[3, 40:56, 40:56] = 0.5
    near = evidence(change, np.zeros(SIZE, np.float32), PAN)
    shift = int(4.0 * 4)
    assert near[7, 48, 48 - shift] > 0.3
    assert near[7, 48, 48 + 40] < 0.05


def test_new_ground_is_a_strip_at_the_rim() -> None:
    new = born(PAN, SIZE)
    assert not new[0].any()
    assert new[1, :, -3:].all()
    assert not new[1, :, :-5].any()


def test_what_goes_over_the_ground_is_carried_with_it() -> None:
    spot = np.zeros((8, *SIZE), np.float32)
    spot[:, 40:50, 60:70] = 1
    thing = carried(Mover(spot, spot, spot[0]), PAN)
    assert thing.opacity[0, 45, 65] == thing.opacity[5, 45, 65 - 20] == 1
