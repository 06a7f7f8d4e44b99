"""The figures that decide whether a model ships, against values worked out by hand."""

import math

import numpy as np
import pytest

from calibration.clips import Box
from calibration.metrics import BoundaryScore, BoxScore, MaskScore, boundary_f, boundary_iou


def block(x1: int, y1: int, x2: int, y2: int, shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    """A mask with one filled rectangle, corners included."""
    mask = np.zeros(shape, np.uint8)
    mask[y1 : y2 + 1, x1 : x2 + 1] = 255
    return mask


EMPTY = np.zeros((20, 30), np.uint8)


def test_sums_pixels_over_the_clip_before_dividing_and_averages_j_over_frames() -> None:
    score = MaskScore()
    score.add(block(0, 0, 9, 9), block(5, 0, 14, 9))  # 100 and 100 px, 50 in common
    score.add(block(0, 0, 4, 3), block(0, 0, 4, 3))  # 20 px, exact
    assert score.iou == pytest.approx((50 + 20) / (150 + 20))
    assert score.j == pytest.approx((50 / 150 + 1.0) / 2)
    assert score.precision == pytest.approx(70 / 120)
    assert score.recall == pytest.approx(70 / 120)


def test_a_missed_plume_counts_zero_in_j_and_a_false_one_only_in_the_sums() -> None:
    score = MaskScore()
    score.add(EMPTY, block(0, 0, 3, 3))
    score.add(block(0, 0, 3, 3), block(0, 0, 3, 3))
    score.add(block(0, 0, 3, 3), EMPTY)
    assert score.j == 0.5
    assert score.iou == pytest.approx(16 / 48)
    assert score.precision == 0.5
    assert score.recall == 0.5


@pytest.mark.parametrize(("pixels", "false"), [(15, 0.0), (16, 1.0)])
def test_a_gas_free_frame_is_false_from_16_px_on(pixels: int, false: float) -> None:
    score = MaskScore()
    score.add(block(0, 0, pixels - 1, 0), EMPTY)
    assert score.false_share == false


def test_a_frame_with_a_speck_of_truth_is_neither_gassy_nor_gas_free() -> None:
    score = MaskScore()
    score.add(block(0, 0, 9, 9), block(0, 0, 14, 0))  # 15 px of truth
    assert (score.gassy, score.gas_free, score.frames) == (0, 0, 1)
    assert math.isnan(score.j)
    assert math.isnan(score.presence)
    assert score.iou == pytest.approx(10 / (100 + 15 - 10))


def test_presence_is_the_share_of_frames_answered_rightly() -> None:
    score = MaskScore()
    score.add(block(20, 10, 25, 15), block(0, 0, 9, 9))  # found, if in the wrong place
    score.add(EMPTY, block(0, 0, 9, 9))  # missed
    score.add(EMPTY, EMPTY)  # rightly dark
    score.add(block(0, 0, 9, 9), EMPTY)  # false
    assert score.presence == 0.5


def test_nothing_measured_is_nan_not_zero() -> None:
    assert all(math.isnan(figure) for figure in (MaskScore().iou, MaskScore().false_share, BoxScore().inside_share))
    assert math.isnan(BoundaryScore().f)


def test_boxes_hold_both_their_corners() -> None:
    score = BoxScore()
    score.add(block(4, 4, 9, 4), Box(2, 2, 6, 6))  # x = 4, 5, 6 inside, 7, 8, 9 outside
    score.add(block(7, 7, 9, 9), Box(2, 2, 6, 6))  # just outside
    score.add(EMPTY, Box(2, 2, 6, 6))
    assert score.inside_share == pytest.approx(3 / 15)
    assert score.touched_share == pytest.approx(1 / 3)


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
