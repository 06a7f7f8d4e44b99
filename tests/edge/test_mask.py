"""Masks come back at source resolution, without specks, and cost nothing where there is no gas."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge import mask
from edge.errors import ModelError


def blob(height: int = 120, width: int = 160) -> np.ndarray:
    logits = np.full((height, width), -5.0, np.float32)
    logits[40:80, 50:110] = 5.0
    return logits


@pytest.mark.parametrize("size", [(320, 240), (160, 120), (640, 512), (1280, 720), (100, 75)])
def test_a_mask_has_the_size_of_the_source(size: tuple[int, int]) -> None:
    found = mask.from_logits(blob(), size, 0.5, 16)
    assert found.shape == size[::-1]
    assert found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 255}
    wanted = size[0] * size[1] * 40 * 60 / (120 * 160)
    assert np.count_nonzero(found) == pytest.approx(wanted, rel=0.08)
    assert found[int(size[1] * 0.5), int(size[0] * 0.5)] == 255


def test_the_threshold_is_a_probability() -> None:
    logits = np.full((4, 4), mask.logit(0.6), np.float32)
    assert mask.from_logits(logits, (8, 8), 0.59, 0).all()
    assert not mask.from_logits(logits, (8, 8), 0.61, 0).any()


def test_specks_are_dropped_and_the_plume_stays() -> None:
    logits = blob()
    clean = mask.from_logits(logits, (320, 240), 0.5, 16)
    logits[10, 10] = 5.0  # 4 px at 320x240
    logits[100, 20] = 5.0
    assert np.array_equal(mask.from_logits(logits, (320, 240), 0.5, 16), clean)
    assert not np.array_equal(mask.from_logits(logits, (320, 240), 0.5, 0), clean)


def test_what_counts_as_a_speck_grows_with_the_picture() -> None:
    logits = np.full((120, 160), -5.0, np.float32)
    logits[60:63, 80:83] = 5.0  # about 36 px at 320x240, nine times as many at 960x720
    for size in ((320, 240), (960, 720), (160, 120)):
        assert mask.from_logits(logits, size, 0.5, 20).any()
        assert not mask.from_logits(logits, size, 0.5, 60).any()


def test_touching_corners_are_one_component() -> None:
    picture = np.zeros((40, 40), np.uint8)
    picture[10:14, 10:14] = picture[14:18, 14:18] = 255
    assert np.count_nonzero(mask.without_specks(picture.copy(), 20)) == 32
    assert not mask.without_specks(picture.copy(), 33).any()


def test_nothing_above_the_threshold_skips_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "resize", None)
    found = mask.from_logits(np.full((120, 160), -1.0, np.float32), (320, 240), 0.5, 16)
    assert found.shape == (240, 320)
    assert not found.any()


def test_logits_that_are_no_numbers_are_a_fault_and_no_empty_mask() -> None:
    logits = blob()
    logits[3, 3] = np.nan
    with pytest.raises(ModelError, match="not a number"):
        mask.from_logits(logits, (320, 240), 0.5, 16)


def test_a_part_counts_where_the_model_is_certain_somewhere_in_it():
    logits = np.full((60, 80), -4.0, np.float32)
    logits[10:20, 10:30] = mask.logit(0.7)
    logits[40:50, 10:30] = mask.logit(0.7)
    logits[44, 20] = mask.logit(0.95)
    found = mask.from_logits(logits, (80, 60), 0.6, 0, certain=0.9)
    assert not found[:30].any()
    assert np.count_nonzero(found[30:]) == 200
    assert np.count_nonzero(mask.from_logits(logits, (80, 60), 0.6, 0)) == 400
    assert not mask.from_logits(logits, (80, 60), 0.6, 0, certain=0.96).any()


def test_one_part_and_several_are_judged_alike():
    rng = np.random.default_rng(1)
    for _ in range(50):
        boxes = [(int(x), int(y)) for x, y in zip((5, 60, 110), rng.integers(5, 90, 3), strict=True)]
        sides, certain = rng.integers(2, 8, 3), rng.random(3) > 0.5
        alone, together = [np.zeros((120, 160), np.uint8) for _ in boxes], np.zeros((120, 160), np.uint8)
        seeds = np.zeros_like(together)
        for one, (x, y), side, sure in zip(alone, boxes, sides, certain, strict=True):
            one[y : y + side, x : x + side] = 255
            together |= one
            seeds[y, x] = 255 * sure
        apart = [mask.without_specks(one, 16, seeds) for one in alone]
        assert np.array_equal(mask.without_specks(together, 16, seeds), np.maximum.reduce(apart))
        assert [bool(one.any()) for one in apart] == [
            bool(side * side >= 16 and sure) for side, sure in zip(sides, certain, strict=True)
        ]


@pytest.mark.parametrize("size", [(160, 120), (320, 240), (640, 480), (640, 512), (500, 333), (100, 90)])
def test_interpolating_only_what_is_lit_changes_nothing(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for smooth in (0.6, 2.0, 8.0):
        cloud = cv2.GaussianBlur(rng.normal(0, 1, (120, 160)).astype(np.float32), (0, 0), smooth)
        logits = 3 * cloud / cloud.std() - 4
        whole = cv2.resize(logits, size, interpolation=cv2.INTER_LINEAR)
        plain = mask.without_specks(cv2.compare(whole, mask.logit(0.6), cv2.CMP_GT), 0)
        assert plain.any()
        assert np.array_equal(mask.from_logits(logits, size, 0.6, 0), plain)
