"""Every colour of a palette finds its way back to its level, through coding and rounding."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge import palette
from edge.errors import ConfigError
from edge.palette import Palette
from edge.preprocess import Preprocessor
from edge.records import Array
from edge.rendering import Rendering
from tests.edge import models, scenes

OURS = ["ironbow", "rainbow", "lava"]


def painted(levels: Array, name: str) -> Array:
    """Grey levels (uint8) in a palette's colours, BGR."""
    return palette.colours(name)[levels]


@pytest.mark.parametrize("name", [*OURS, "iron", "opencv-inferno", "opencv-jet", "opencv-parula"])
def test_a_palette_is_undone(name: str) -> None:
    levels = np.arange(256, dtype=np.uint8)[None].repeat(2, 0)
    found = Palette(name).grey(painted(levels, name))
    assert found.dtype == np.float32
    error = np.abs(found - levels)
    assert error.max() < 3
    assert float(np.sqrt((error**2).mean())) < 0.5, "the sensor's own noise is larger"


@pytest.mark.parametrize("name", ["ironbow", "rainbow", "opencv-inferno"])
def test_a_plume_of_three_levels_survives_palette_and_coding(name: str) -> None:
    view = scenes.scene(0)
    gas = view + 3 * (scenes.plume(0.0) > 0.3)
    before, after = (Palette(name).grey(coded(painted(shot(picture), name))) for picture in (view, gas))
    inside = scenes.plume(0.0) > 0.4
    assert (after - before)[inside].mean() == pytest.approx(3, abs=0.6)
    assert (after - before)[scenes.plume(0.0) < 0.05].mean() == pytest.approx(0, abs=0.2)


def shot(view: Array) -> Array:
    return scenes.shot(view, 0, noise=0.0)


def coded(image: Array) -> Array:
    """Through a JPEG of good quality, which halves the resolution of colour."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1], cv2.IMREAD_COLOR))


@pytest.mark.parametrize("name", OURS)
def test_our_curves_rise_evenly_and_never_cross_themselves(name: str) -> None:
    curve = palette.colours(name).astype(float)
    step = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    assert step.min() > 0.5
    apart = np.linalg.norm(curve[:, None] - curve[None], axis=2)
    far = np.abs(np.subtract.outer(np.arange(256), np.arange(256))) > 24
    assert apart[far].min() > 20


def test_ironbow_goes_from_black_over_blue_red_and_orange_to_white() -> None:
    blue, green, red = palette.colours("ironbow")[[0, 50, 130, 185, 255]].astype(int).T
    assert (red + green + blue)[0] < 20
    assert blue[1] > 2 * red[1]
    assert red[2] > 3 * green[2]
    assert red[3] > green[3] > 3 * blue[3]
    assert min(red[4], green[4], blue[4]) > 240
    assert np.all(np.diff(0.299 * red + 0.587 * green + 0.114 * blue) > 0)


def test_a_colour_beside_the_curve_goes_to_the_nearest_place_on_it() -> None:
    beside = np.clip(palette.colours("ironbow")[None, 120].astype(int) + 9, 0, 255).astype(np.uint8)[None]
    assert Palette("ironbow").grey(beside)[0, 0] == pytest.approx(120, abs=6)


def test_a_palette_that_nobody_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"palette 'irn': not known; known are iron, ironbow, lava, opencv-autumn"):
        Palette("irn")


def test_palettes_whose_ends_are_of_one_colour_are_not_offered() -> None:
    assert not {"opencv-hsv", "opencv-twilight"} & set(palette.names())


@pytest.mark.parametrize("polarity", ["white_hot", "black_hot"])
def test_the_model_sees_the_same_with_and_without_a_palette(polarity: str) -> None:
    levels = scenes.shot(scenes.scene(1, models.HEIGHT * 2, models.WIDTH * 2), 0)
    plain = Preprocessor(models.spec(), polarity=polarity).step(levels).copy()  # type: ignore[arg-type]
    drawn = Preprocessor(models.spec(), polarity=polarity, rendering=Rendering(palette="ironbow"))  # type: ignore[arg-type]
    np.testing.assert_allclose(drawn.step(painted(levels, "ironbow")), plain, atol=0.5 / 255)
    np.testing.assert_allclose(drawn.step(levels), plain, atol=1e-6)  # the operator has turned the palette off
