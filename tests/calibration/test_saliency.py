"""The measures of probability maps: by hand, by their bounds, and as the package says that the gas papers use."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibration.saliency import (
    SaliencyScore,
    e_measure,
    mae,
    probabilities,
    s_measure,
    stretched,
    weighted_f,
)
from tests.calibration.saliency_reference import pairs

REFERENCE = json.loads((Path(__file__).parent / "saliency_reference.json").read_text())
MEASURES = {"s": s_measure, "weighted_f": weighted_f, "e": e_measure, "mae": mae}
TOLERANCE = {
    "s": 1e-6,
    "weighted_f": 5e-4,
    "e": 1e-6,
    "mae": 1e-6,
}  # which of two equally near pixels is nearest is free


def block(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    """A mask of 20 x 30 px with one filled rectangle, corners included."""
    mask = np.zeros((20, 30), bool)
    mask[y1 : y2 + 1, x1 : x2 + 1] = True
    return mask


PLUME, NOTHING = block(8, 5, 17, 14), np.zeros((20, 30), bool)


def as_map(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.float32)


@pytest.mark.parametrize("name", MEASURES)
def test_each_measure_is_that_of_pysodmetrics(name: str) -> None:
    said = [MEASURES[name](probability, truth) for probability, truth in pairs()]
    assert said == pytest.approx([row[name] for row in REFERENCE], abs=TOLERANCE[name])


def test_a_perfect_map_has_the_best_values() -> None:
    assert mae(as_map(PLUME), PLUME) == 0.0
    assert s_measure(as_map(PLUME), PLUME) == pytest.approx(1.0)
    assert weighted_f(as_map(PLUME), PLUME) == pytest.approx(1.0)
    # At threshold 0 all is gas, which aligns with nothing: a quarter of the marks. The sum is divided by 599, not 600.
    assert e_measure(as_map(PLUME), PLUME) == pytest.approx((255 + 0.25) / 256 * 600 / 599)


def test_mae_is_the_mean_of_what_is_wrong() -> None:
    assert mae(np.full((20, 30), np.float32(0.25)), PLUME) == pytest.approx((500 * 0.25 + 100 * 0.75) / 600)


def test_without_a_plume_s_is_what_is_dark_and_with_nothing_else_what_is_lit() -> None:
    quarter = np.full((20, 30), np.float32(0.25))
    assert s_measure(quarter, NOTHING) == pytest.approx(0.75)
    assert s_measure(quarter, ~NOTHING) == pytest.approx(0.25)


def test_a_false_pixel_costs_more_the_further_away_it_is() -> None:
    near, far = as_map(PLUME), as_map(PLUME)
    near[9, 18] = far[9, 27] = 1.0  # 1 and 10 px from the plume
    for probability, distance in ((near, 1), (far, 10)):
        precision = 100 / (100 + 2 - 0.5 ** (distance / 5))
        assert weighted_f(probability, PLUME) == pytest.approx(2 * precision / (precision + 1))
    assert weighted_f(near, PLUME) > weighted_f(far, PLUME)


def test_a_missed_pixel_amid_found_ones_costs_only_its_share_of_the_window() -> None:
    holed = as_map(PLUME)
    holed[10, 12] = 0.0
    window = [math.exp(-(step**2) / 50) for step in range(-3, 4)]
    missed = (1.0 / sum(window)) ** 2  # the window's weight at its middle
    recall = 1 - missed / 100
    assert weighted_f(holed, PLUME) == pytest.approx(2 * recall / (recall + 1))


def test_weighted_f_without_a_plume_is_nothing() -> None:
    assert weighted_f(as_map(PLUME), NOTHING) == 0.0


def test_a_score_takes_plumes_for_structure_and_all_frames_for_the_error() -> None:
    score = SaliencyScore()
    score.add(as_map(PLUME), PLUME)
    score.add(as_map(NOTHING), PLUME)
    score.add(as_map(PLUME), NOTHING)
    assert (score.gassy, score.frames) == (2, 3)
    assert score.s == pytest.approx((1.0 + s_measure(as_map(NOTHING), PLUME)) / 2)
    assert score.weighted_f == pytest.approx(0.5)
    assert score.mae == pytest.approx((0 + 100 / 600 + 100 / 600) / 3)
    assert math.isnan(SaliencyScore().s)
    assert math.isnan(SaliencyScore().mae)


def test_a_score_can_pass_over_frames_without_a_plume_altogether() -> None:
    score = SaliencyScore(least=1, everywhere=False)
    score.add(as_map(PLUME), NOTHING)
    score.add(as_map(PLUME), block(8, 5, 8, 5))
    assert (score.gassy, score.frames) == (1, 1)
    assert score.mae == pytest.approx(99 / 600)


def test_a_map_is_stretched_from_its_least_to_its_greatest_value() -> None:
    assert stretched(np.float32([[0.02, 0.03], [0.04, 0.02]])) == pytest.approx(np.array([[0, 0.5], [1, 0]]), abs=1e-5)
    assert not stretched(np.full((4, 4), np.float32(0.7))).any(), "an even map says nothing"


def test_probabilities_are_of_the_interpolated_logits() -> None:
    logits = np.float32([[-2.0, 2.0], [0.0, 4.0]])
    assert probabilities(logits, (2, 2)) == pytest.approx(1 / (1 + np.exp(-logits)))
    fine = probabilities(logits, (6, 4))
    assert fine.shape == (4, 6)
    assert fine == pytest.approx(1 / (1 + np.exp(-cv2.resize(logits, (6, 4)))), abs=1e-6)


masks = arrays(bool, (12, 16))
maps = arrays(np.float32, (12, 16), elements=st.floats(0, 1, width=32))


@settings(max_examples=60, deadline=None)
@given(probability=maps, truth=masks)
def test_every_measure_stays_in_its_bounds(probability: np.ndarray, truth: np.ndarray) -> None:
    for name, measure in MEASURES.items():
        most = 192 / 191 if name == "e" else 1.0
        assert -1e-9 <= measure(probability, truth) <= most + 1e-6, name


@settings(max_examples=60, deadline=None)
@given(truth=masks)
def test_no_map_beats_the_truth_itself(truth: np.ndarray) -> None:
    assert s_measure(as_map(truth), truth) == pytest.approx(1.0)
    assert weighted_f(as_map(truth), truth) == pytest.approx(float(truth.any()))
    assert mae(as_map(truth), truth) == 0.0


@settings(max_examples=60, deadline=None)
@given(one=masks, other=masks)
def test_the_error_is_symmetric_in_map_and_mask(one: np.ndarray, other: np.ndarray) -> None:
    assert mae(as_map(one), other) == mae(as_map(other), one)
