"""A controlled release is what it was asked to be: contrast, size, onset, and a camera that moves as told."""

import itertools

import numpy as np
import pytest

from calibration.noise import NoiseBank
from calibration.release import (
    MARGIN,
    OUTLINE,
    PAN_PX_S,
    SHAKE_PX,
    Release,
    film,
    fitted,
    path,
    plain_camera,
    release,
    scene_size,
)
from edge.records import Array
from edge.study import sigma_between

VIEW, FPS, FRAMES, ONSET = (120, 160), 15.0, 75, 15
SCENE = scene_size(VIEW)
BANK = NoiseBank(np.random.default_rng(0), count=4)


def made(seed: int = 1, contrast: float = 0.05, size: float = 0.03) -> Release:
    rng = np.random.default_rng(seed)
    return release(rng, BANK, SCENE, contrast=contrast, size=size, frames=FRAMES, onset=ONSET, fps=FPS)


def flat(level: float = 0.4) -> list[Array]:
    return [np.full(SCENE, level, np.float32)] * FRAMES


@pytest.mark.parametrize("size", [0.005, 0.03, 0.1])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_size_and_contrast_are_as_asked(seed: int, size: float) -> None:
    gas = made(seed, size=size)
    inside = gas.opacity[gas.developed :] > OUTLINE
    area = inside.sum(axis=(1, 2)).mean() / (MARGIN**2 * SCENE[0] * SCENE[1])
    assert area == pytest.approx(size, rel=0.35)  # what grows out of the scene is lost
    assert gas.contrast[gas.developed :][inside].mean() == pytest.approx(0.05, rel=0.1)


def test_gas_may_be_darker_than_the_scene() -> None:
    np.testing.assert_allclose(made(contrast=-0.05).contrast, -made().contrast, atol=1e-6)


def test_nothing_leaks_before_the_onset() -> None:
    gas = made()
    assert not gas.contrast[: gas.onset].any()
    assert gas.contrast[gas.onset + 5].any()
    assert gas.onset < gas.developed < FRAMES


def test_a_plume_that_fits_lies_in_the_view() -> None:
    gas = made(size=0.01)
    height, width = SCENE
    y, x = round((1 - MARGIN) / 2 * height), round((1 - MARGIN) / 2 * width)
    inside = (gas.opacity[gas.developed :] > OUTLINE).mean(axis=0)
    assert inside[y:-y, x:-x].sum() > 0.8 * inside.sum()


def test_the_same_seed_gives_the_same_plume() -> None:
    np.testing.assert_array_equal(made(5).contrast, made(5).contrast)
    assert not np.array_equal(made(5).contrast, made(6).contrast)


def test_the_camera_adds_the_noise_that_is_asked_for_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    camera = plain_camera(rng, BANK, VIEW, 3 / 255)
    shown = [image for image, _ in film(flat(), None, np.zeros((FRAMES, 2)), camera, VIEW)]
    assert shown[0].shape == VIEW
    pairs = [sigma_between(a / 255, b / 255) for a, b in itertools.pairwise(shown)]
    assert 255 * np.median(pairs) == pytest.approx(3.0, rel=0.15)
    silent = plain_camera(rng, BANK, VIEW, 0.0)
    assert {image.min() for image, _ in film(flat(), None, np.zeros((FRAMES, 2)), silent, VIEW)} == {102}


def test_gas_is_seen_where_the_truth_says() -> None:
    gas = made(contrast=0.1)
    camera = plain_camera(np.random.default_rng(0), BANK, VIEW, 0.0)
    *_, (image, opacity) = film(flat(), gas, np.zeros((FRAMES, 2)), camera, VIEW)
    brighter = image > 102 + 10
    inside = opacity > OUTLINE
    assert (brighter & inside).sum() > 0.8 * inside.sum()
    assert brighter[opacity < 0.05].sum() == 0


def test_a_pan_moves_scene_and_gas_alike() -> None:
    rng = np.random.default_rng(3)
    track = path(rng, "pan", FRAMES, FPS)
    steps = np.linalg.norm(np.diff(track, axis=0), axis=1)
    np.testing.assert_allclose(steps, PAN_PX_S / FPS)
    np.testing.assert_allclose(track.mean(axis=0), 0, atol=PAN_PX_S / FPS)
    ramp = np.tile(np.linspace(0.2, 0.8, SCENE[1], dtype=np.float32), (SCENE[0], 1))
    slope = float(ramp[0, 1] - ramp[0, 0])
    camera = plain_camera(rng, BANK, VIEW, 0.0)
    played = list(film([ramp] * FRAMES, made(), track, camera, VIEW))
    moved = (played[-1][0].astype(float) - played[0][0])[5, :].mean() / 255 / slope
    assert moved == pytest.approx(track[-1, 0] - track[0, 0], abs=1.0)


def test_a_shake_stays_around_the_middle_and_a_fixed_camera_in_it() -> None:
    rng = np.random.default_rng(4)
    assert path(rng, "shake", 2000, FPS).std() == pytest.approx(SHAKE_PX, rel=0.1)
    assert not path(rng, "still", FRAMES, FPS).any()


@pytest.mark.parametrize("shape", [(256, 320), (256, 320, 3), (90, 300), (600, 200)])
def test_pictures_are_fitted_undistorted(shape: tuple[int, ...]) -> None:
    image = np.zeros(shape, np.uint8)
    y, x = shape[0] // 2, shape[1] // 2
    image[y - 20 : y + 20, x - 20 : x + 20] = 255
    seen = fitted(image, SCENE)
    assert seen.shape == SCENE
    ys, xs = np.nonzero(seen > 0.5)
    assert np.ptp(ys) == pytest.approx(np.ptp(xs), abs=2)
    assert seen.max() == 1.0
