"""Rendered clips: repeatable, physical, and labelled by what can be seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.leak import draw_leak
from calibration.noise import NoiseBank, divergence_free, fractal
from calibration.plume import simulate
from calibration.render import GAS, NONE, UNKNOWN, Renderer, label

SIZE = (96, 112)


def test_the_same_seed_gives_the_same_clips() -> None:
    a, b, other = (Renderer(seed, None, SIZE, frames=5) for seed in (1, 1, 2))
    clips = [(a.clip(), b.clip(), other.clip()) for _ in range(4)]
    assert all(np.array_equal(x.frames, y.frames) and np.array_equal(x.masks, y.masks) for x, y, _ in clips)
    assert not all(np.array_equal(x.frames, z.frames) for x, _, z in clips)


def test_clips_hold_gas_and_clean_air() -> None:
    renderer = Renderer(5, None, SIZE, frames=6)
    clips = [renderer.clip() for _ in range(40)]
    leaking = sum(bool((clip.masks == GAS).any()) for clip in clips)
    assert 10 < leaking < 38
    assert {clip.steps_per_lag for clip in clips} == {(1, 4), (2, 8)}
    assert {clip.background is None for clip in clips} == {True, False}


def test_wind_is_free_of_divergence() -> None:
    x, y = divergence_free(np.random.default_rng(0))
    along = np.gradient(x, axis=1) + np.gradient(y, axis=0)
    across = np.abs(np.gradient(x, axis=0)) + np.abs(np.gradient(y, axis=1))
    assert np.abs(along[1:-1, 1:-1]).mean() < 0.1 * across.mean()


def test_fields_are_periodic_and_of_unit_spread() -> None:
    field = fractal(np.random.default_rng(0), 128)
    assert field.std() == pytest.approx(1.0, abs=1e-3)
    assert np.abs(field[0] - field[-1]).mean() < 3 * np.abs(np.diff(field, axis=0)).mean()


@pytest.mark.parametrize("direction", [0.0, np.pi / 2, np.pi])
def test_gas_goes_where_the_wind_goes(direction: float) -> None:
    rng = np.random.default_rng(7)
    bank = NoiseBank(rng, count=4)
    leak = replace(
        draw_leak(rng, SIZE, 8), x=56.0, y=48.0, speed=2.0, angle=direction, turbulence=0.2, meander=0.1, gust=0.1,
        jet=0.0, pulsing=0.0, onset=-1.0, depth=0.5, cell=2.0, radius=1.5,
    )  # fmt: skip
    depth, earlier = simulate(rng, bank, leak, SIZE, 8)
    assert depth.shape == (8, *SIZE)
    assert earlier.max() > 0, "a developed plume was there before"
    yy, xx = np.mgrid[: SIZE[0], : SIZE[1]]
    mass = depth[-1] / depth[-1].sum()
    centre = np.array([(mass * xx).sum() - leak.x, (mass * yy).sum() - leak.y])
    assert centre @ np.array([np.cos(direction), np.sin(direction)]) > 4


def test_before_its_onset_a_leak_is_not_there() -> None:
    rng = np.random.default_rng(8)
    leak = replace(draw_leak(rng, SIZE, 8), onset=4.0, x=56.0, y=48.0, pulsing=0.0)
    depth, earlier = simulate(rng, NoiseBank(rng, count=4), leak, SIZE, 8)
    assert not earlier.any()
    assert not depth[:4].any()
    assert depth[5:].any()


def test_only_visible_gas_is_labelled() -> None:
    change = np.zeros((3, 40, 40), np.float32)
    change[1:, 5:15, 5:15] = 0.1
    change[1:, 25:35, 25:35] = 0.001
    masks = label(change, np.zeros((40, 40), np.float32), bar=0.01)
    assert (masks[0] == NONE).all()
    assert masks[1, 10, 10] == GAS
    assert masks[1, 30, 30] == NONE


def test_gas_that_the_background_holds_and_that_never_changes_is_unknown() -> None:
    change = np.zeros((3, 40, 40), np.float32)
    change[:, 5:15, 5:15] = 0.1
    assert label(change, change[0], bar=0.01)[2, 10, 10] == UNKNOWN
    assert label(change, None, bar=0.01)[2, 10, 10] == UNKNOWN
    assert label(change, np.zeros((40, 40), np.float32), bar=0.01)[2, 10, 10] == GAS
