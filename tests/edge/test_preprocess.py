"""Any picture becomes the model's input, and the mask finds its way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.preprocess import IGNORED, Preprocessor, fit
from edge.rendering import Range, Rendering
from tests.edge import models


def grey(height: int = models.HEIGHT, width: int = models.WIDTH, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def test_a_grey_picture_of_the_right_size_is_only_scaled() -> None:
    image = grey()
    found = Preprocessor(models.spec()).step(image)
    assert found.shape == (1, 1, models.HEIGHT, models.WIDTH)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0], image / 255, atol=1e-7)


def test_colour_becomes_grey_as_the_eye_sees_it() -> None:
    image = np.zeros((models.HEIGHT, models.WIDTH, 3), np.uint8)
    image[...] = (10, 200, 100)  # BGR
    level = round(0.114 * 10 + 0.587 * 200 + 0.299 * 100)
    np.testing.assert_allclose(Preprocessor(models.spec()).step(image), level / 255, atol=1 / 255)


def test_black_hot_is_turned_over() -> None:
    image = grey()
    found = Preprocessor(models.spec(), polarity="black_hot").step(image)
    np.testing.assert_allclose(found[0, 0], 1 - image / 255, atol=1e-6)


def test_shrinking_averages_over_areas() -> None:
    image = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (models.HEIGHT, models.WIDTH))  # a checkerboard
    found = Preprocessor(models.spec()).step(image)
    np.testing.assert_allclose(found, 0.5, atol=1e-3)


def test_buffers_are_reused() -> None:
    preprocessor = Preprocessor(models.spec())
    places = {preprocessor.step(grey(96, 128, seed)).ctypes.data for seed in range(3)}
    assert len(places) == 1


@given(width=st.integers(16, 400), height=st.integers(16, 400))
@settings(max_examples=100, deadline=None)
def test_a_letterbox_keeps_proportions_and_whole_logits(width: int, height: int) -> None:
    geometry = fit((width, height), models.spec(resize="letterbox"))
    assert 0 < geometry.width <= models.WIDTH
    assert 0 < geometry.height <= models.HEIGHT
    assert geometry.width == models.WIDTH or geometry.height == models.HEIGHT or max(width, height) < 20
    assert all(edge % 2 == 0 for edge in (geometry.x, geometry.y, geometry.width, geometry.height))
    assert geometry.x + geometry.width <= models.WIDTH
    assert geometry.y + geometry.height <= models.HEIGHT
    scale = min(models.WIDTH / width, models.HEIGHT / height)
    assert abs(geometry.width - width * scale) <= 4  # never narrower than a step of 4
    assert abs(geometry.height - height * scale) <= 4


def test_a_letterbox_shows_the_picture_in_its_middle_and_its_mirror_around() -> None:
    preprocessor = Preprocessor(models.spec(resize="letterbox"))
    image = grey(24, 64)  # twice as wide as the model's input would like
    found = preprocessor.step(image)[0, 0]
    geometry = preprocessor.geometry
    assert (geometry.x, geometry.y, geometry.width, geometry.height) == (0, 12, 64, 24)
    np.testing.assert_allclose(geometry.crop(found), image / 255, atol=1e-6)
    np.testing.assert_array_equal(found[11], found[12])
    np.testing.assert_array_equal(found[0], found[23])
    half = found[::2, ::2]
    np.testing.assert_array_equal(geometry.crop(half), geometry.crop(found)[::2, ::2])


def sixteen_bit(seed: int = 0, low: int = 7000, high: int = 7600) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (models.HEIGHT, models.WIDTH)).astype(np.uint16)


def test_sixteen_bits_are_mapped_by_the_scene_once() -> None:
    preprocessor = Preprocessor(models.spec())
    first = preprocessor.step(sixteen_bit()).copy()
    assert first.min() > 0.05
    assert first.max() < 0.95
    brighter = np.clip(sixteen_bit().astype(int) + 30, 0, 65535).astype(np.uint16)
    second = preprocessor.step(brighter)
    assert preprocessor.remapped is None
    assert np.allclose(second - first, (second - first).mean(), atol=1e-5), "the mapping moved with the scene"
    assert (second - first).mean() > 0.01


def test_a_scene_that_leaves_the_range_is_mapped_anew_and_says_how() -> None:
    preprocessor = Preprocessor(models.spec())
    before = preprocessor.step(sixteen_bit()).copy()
    preprocessor.step(sixteen_bit(1, 6000, 9900))
    assert preprocessor.remapped is not None
    gain, offset = preprocessor.remapped
    again = preprocessor.step(sixteen_bit())
    assert preprocessor.remapped is None
    np.testing.assert_allclose(gain * before + offset, again, atol=1e-5)


def test_a_range_that_something_hot_has_widened_narrows_again_in_time() -> None:
    preprocessor = Preprocessor(models.spec())
    preprocessor.step(sixteen_bit(0, 7000, 30_000))
    scene = sixteen_bit(1, 7000, 9000)
    spread = []
    for _ in range(320):
        spread.append(float(preprocessor.step(scene).std()))
    assert spread[0] == spread[250] < 0.1
    assert spread[-1] > 0.15


def test_sensor_noise_alone_is_not_blown_up() -> None:
    found = Preprocessor(models.spec()).step(sixteen_bit(0, 5000, 5004))
    assert found.std() < 0.05


def test_a_given_range_is_kept() -> None:
    preprocessor = Preprocessor(models.spec(), rendering=Rendering(range=Range(7000, 8000)))
    for low in (7000, 9000):
        image = sixteen_bit(2, low, low + 500)
        np.testing.assert_allclose(preprocessor.step(image)[0, 0], np.clip((image - 7000.0) / 1000, 0, 1), atol=1e-6)
        assert preprocessor.remapped is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_nothing_leaves_0_to_1(dtype: type) -> None:
    top = np.iinfo(dtype).max
    image = np.random.default_rng(3).choice([0, top], (100, 80)).astype(dtype)
    found = Preprocessor(models.spec(resize="letterbox")).step(image)
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-6


LOGO = ((0.0, 0.0), (0.25, 0.0), (0.25, 0.25), (0.0, 0.25))
CLOCK = ((0.7, 1.0), (1.0, 0.6), (1.0, 1.0))


@pytest.mark.parametrize("size", [(models.HEIGHT, models.WIDTH), (96, 128), (24, 64)], ids=["same", "larger", "wide"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_to_be_ignored_is_one_grey_whatever_stands_there(size: tuple[int, int], dtype: type) -> None:
    preprocessor = Preprocessor(models.spec(resize="letterbox"), rendering=Rendering(ignore=(LOGO, CLOCK)))
    image = grey(*size).astype(dtype) + dtype(100 if dtype is np.uint16 else 0)
    first = preprocessor.step(image).copy()
    image[: size[0] // 4, : size[1] // 4] = np.iinfo(dtype).max
    image[-(size[0] // 10) :, -(size[1] // 10) :] = 0
    np.testing.assert_array_equal(preprocessor.step(image), first)
    ignored = preprocessor.ignored
    assert ignored is not None
    assert 0.0625 + 0.06 < ignored.mean() < 0.22
    assert (preprocessor.geometry.crop(first[0, 0])[ignored] == IGNORED).all()


def test_nothing_is_ignored_by_default() -> None:
    preprocessor = Preprocessor(models.spec())
    preprocessor.step(grey())
    assert preprocessor.ignored is None
