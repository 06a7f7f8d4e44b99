"""Outlines against outlines, with values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from calibration.boundary import BoundaryScore, boundary_f, boundary_iou
from tests.calibration.test_metrics import EMPTY, block


def test_boundary_iou_of_a_shifted_square_is_that_of_its_bands() -> None:
    # 20 x 30 image: diagonal 36.06, so 2 % is a band of one pixel. A 6 x 6 square has a band of 20 px; shifted by one,
    # the two rings share the top and bottom rows' 5 columns each and nothing else.
    mask, truth = block(5, 5, 10, 10).astype(bool), block(6, 5, 11, 10).astype(bool)
    assert boundary_iou(mask, mask) == 1.0
    assert boundary_iou(mask, truth) == pytest.approx(10 / 30)


def test_the_images_edge_is_an_outline_to_boundary_iou() -> None:
    full = np.ones((20, 30), bool)
    inner = np.zeros((20, 30), bool)
    inner[0, :] = True
    assert boundary_iou(full, inner) == pytest.approx(30 / 96)  # the frame's rim is 96 px, its top row 30


def test_boundary_f_forgives_the_tolerance_and_no_more() -> None:
    shape = (240, 320)  # diagonal 400: 0.008 of it rounds up to 4 px
    truth = block(100, 100, 160, 160, shape).astype(bool)
    assert boundary_f(block(104, 100, 164, 160, shape).astype(bool), truth) == 1.0
    # One further: the left and right sides miss (some 60 px each, of 242), the top and bottom still match.
    assert boundary_f(block(105, 100, 165, 160, shape).astype(bool), truth) == pytest.approx(0.53, abs=0.03)
    assert boundary_f(block(120, 120, 140, 140, shape).astype(bool), truth) == 0.0
    assert boundary_f(truth, truth) == 1.0


def test_boundary_f_is_the_harmonic_mean_of_outline_precision_and_recall() -> None:
    shape = (240, 320)
    one, two = block(20, 20, 60, 60, shape).astype(bool), block(220, 120, 260, 160, shape).astype(bool)
    assert boundary_f(one | two, one) == pytest.approx(
        2 * 0.5 * 1.0 / 1.5
    )  # half of the outline is right, all is found


def test_boundary_f_of_an_empty_mask() -> None:
    nothing, plume = EMPTY.astype(bool), block(5, 5, 10, 10).astype(bool)
    assert boundary_f(nothing, plume) == 0.0
    assert boundary_f(plume, nothing) == 0.0
    assert boundary_f(nothing, nothing) == 1.0


def test_boundary_score_passes_over_frames_without_a_plume() -> None:
    score = BoundaryScore()
    score.add(block(5, 5, 10, 10), EMPTY)
    score.add(block(5, 5, 10, 10), block(5, 5, 10, 10))
    score.add(EMPTY, block(5, 5, 10, 10))
    assert score.frames == 2
    assert (score.iou, score.f) == (0.5, 0.5)


def test_no_plume_no_figure() -> None:
    assert math.isnan(BoundaryScore().iou)
    assert math.isnan(BoundaryScore().f)


masks = arrays(bool, (14, 18))


@settings(max_examples=80, deadline=None)
@given(mask=masks, truth=masks)
def test_both_measures_stay_in_their_bounds_and_know_no_sides(mask: np.ndarray, truth: np.ndarray) -> None:
    for measure in (boundary_iou, boundary_f):
        assert 0 <= measure(mask, truth) <= 1
        assert measure(mask, truth) == pytest.approx(measure(truth, mask))
        assert measure(truth, truth) == 1.0
