"""The figures that decide whether a model ships, against values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibration.clips import Box
from calibration.metrics import BoxScore, MaskScore, StretchedScore, around, box_iou


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
    assert all(math.isnan(figure) for figure in (MaskScore().iou, MaskScore().false_share, MaskScore().j_and_f1))
    assert all(math.isnan(figure) for figure in (BoxScore().inside_share, BoxScore().iou, StretchedScore().j_and_f1))


def test_boxes_hold_both_their_corners() -> None:
    score = BoxScore()
    score.add(block(4, 4, 9, 4), Box(2, 2, 6, 6))  # x = 4, 5, 6 inside, 7, 8, 9 outside
    score.add(block(7, 7, 9, 9), Box(2, 2, 6, 6))  # just outside
    score.add(EMPTY, Box(2, 2, 6, 6))
    assert score.inside_share == pytest.approx(3 / 15)
    assert score.touched_share == pytest.approx(1 / 3)


def test_f1_is_the_mean_of_the_gassy_frames_pixels() -> None:
    score = MaskScore()
    score.add(block(0, 0, 9, 9), block(5, 0, 14, 9))  # 100 and 100 px, 50 in common
    score.add(block(0, 0, 4, 3), block(0, 0, 4, 3))  # exact
    score.add(block(0, 0, 9, 9), EMPTY)  # no plume: not counted
    assert score.f1 == pytest.approx((2 * 50 / 200 + 1.0) / 2)
    assert score.j_and_f1 == pytest.approx(((50 / 150 + 1.0) / 2 + (2 * 50 / 200 + 1.0) / 2) / 2)


def test_the_gas_papers_score_cuts_in_the_middle_and_passes_over_empty_frames() -> None:
    score = StretchedScore()
    spread = np.zeros((20, 30))
    spread[0, :6] = 0.0, 0.4, 0.5, 0.6, 0.9, 1.0  # three of them above the middle
    score.add(spread, block(4, 0, 7, 0))  # two in common: 3 predicted, 4 true
    score.add(spread, EMPTY)
    score.add(np.zeros((20, 30)), block(0, 0, 0, 0))  # missed, though but one pixel
    assert score.frames == 2
    assert score.j == pytest.approx((2 / 5 + 0) / 2)
    assert score.f1 == pytest.approx((4 / 7 + 0) / 2)
    assert score.j_and_f1 == pytest.approx((score.j + score.f1) / 2)


def test_the_box_around_a_mask_holds_all_its_parts() -> None:
    assert around(block(3, 2, 8, 4) | block(20, 10, 20, 10)) == Box(3, 2, 20, 10)
    assert around(EMPTY) is None


def test_box_iou_counts_corners_and_a_missing_box_as_nothing() -> None:
    assert box_iou(Box(2, 2, 5, 5), Box(2, 2, 5, 5)) == 1.0
    assert box_iou(Box(0, 0, 3, 3), Box(2, 2, 5, 5)) == pytest.approx(4 / 28)
    assert box_iou(Box(0, 0, 3, 3), Box(4, 0, 5, 3)) == 0.0
    assert box_iou(None, Box(0, 0, 3, 3)) == 0.0


def test_the_boxes_iou_is_a_mean_over_frames_and_a_dark_frame_is_none() -> None:
    score = BoxScore()
    score.add(block(0, 0, 3, 3), Box(2, 2, 5, 5))
    score.add(EMPTY, Box(2, 2, 5, 5))
    assert score.iou == pytest.approx((4 / 28 + 0) / 2)


masks = arrays(bool, (9, 11))


@settings(max_examples=80, deadline=None)
@given(mask=masks, truth=masks)
def test_overlap_stays_in_its_bounds_and_knows_no_sides(mask: np.ndarray, truth: np.ndarray) -> None:
    one, other = MaskScore(), MaskScore()
    one.add(mask, truth)
    other.add(truth, mask)
    assert one.iou == pytest.approx(other.iou, nan_ok=True)
    assert one.precision == pytest.approx(other.recall, nan_ok=True)
    for figure in (one.iou, one.j, one.f1, one.precision, one.recall, one.presence):
        assert math.isnan(figure) or 0 <= figure <= 1
    if one.gassy:
        assert one.f1 == pytest.approx(2 * one.j / (1 + one.j)), "F1 and IoU of one frame say the same"


corners = st.tuples(*[st.integers(0, 8)] * 4).map(
    lambda c: Box(min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)


@settings(deadline=None)
@given(one=corners, other=corners)
def test_box_iou_is_that_of_the_filled_boxes(one: Box, other: Box) -> None:
    filled = [block(*box) > 0 for box in (one, other)]
    iou = np.count_nonzero(filled[0] & filled[1]) / np.count_nonzero(filled[0] | filled[1])
    assert box_iou(one, other) == pytest.approx(iou)
