"""A mask in numbers: each can be worked out by hand for a plume that was drawn."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import summary
from edge.plume import lit_share
from edge.records import Array, Frame, Quality, Segmentation
from edge.summary import CONTOUR_POINTS, NOISE_FLOOR, Summariser
from tests.edge import scenes


def segmentation(
    mask: Array,
    *,
    index: int = 0,
    captured: float = 0.0,
    contrast: Array | float = 0.1,
    noise: float = 2.0,
    quality: Quality = Quality.GOOD,
    inner: tuple[int, int] = (240, 320),
) -> Segmentation:
    """As the segmenter would give it; `contrast` of the gas on the 0..1 scale, `inner` the model's (height, width)."""
    height, width = inner
    fine = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 0
    background = np.full(inner, 0.4, np.float32)
    image = background + np.where(fine, contrast, 0).astype(np.float32)
    half = cv2.resize(mask, (width // 2, height // 2), interpolation=cv2.INTER_NEAREST)
    logits = np.where(half > 0, np.log(0.9 / 0.1), -6.0).astype(np.float32)
    frame = Frame(mask, index, captured, 1e9 + captured)
    return Segmentation(frame, logits, mask, noise, image, background, quality)


def rectangle(x: int, y: int, width: int, height: int, size: tuple[int, int] = (320, 240)) -> Array:
    mask = np.zeros(size[::-1], np.uint8)
    mask[y : y + height, x : x + width] = 255
    return mask


def test_a_rectangle_is_measured() -> None:
    found = Summariser().step(segmentation(rectangle(40, 60, 80, 50), index=7, captured=0.5))
    assert (found.index, found.captured, found.utc) == (7, 0.5, 1e9 + 0.5)
    assert (found.width, found.height) == (320, 240)
    assert found.area_px == 4000
    assert found.area_share == pytest.approx(4000 / 76800)
    assert found.box == (40, 60, 80, 50)
    assert set(found.contour) == {(40, 60), (119, 60), (119, 109), (40, 109)}
    assert found.centroid == (pytest.approx(79.5), pytest.approx(84.5))
    assert found.cnr == pytest.approx(0.1 * 255 / 2.0, rel=1e-3)
    assert found.confidence == pytest.approx(0.9, abs=1e-3)
    assert found.noise == 2.0
    assert found.drift is None, "one frame shows no drift"


def test_no_gas_is_no_numbers() -> None:
    found = Summariser().step(segmentation(np.zeros((240, 320), np.uint8), quality=Quality.WARMING_UP))
    assert (found.area_px, found.area_share, found.box, found.contour) == (0, 0.0, None, ())
    assert (found.centroid, found.drift, found.origin, found.cnr, found.confidence) == (None, None, None, 0.0, 0.0)
    assert found.quality is Quality.WARMING_UP


def test_without_gas_nothing_of_a_plume_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("contour", "centroid", "contrast_to_noise", "confidence"):
        monkeypatch.setattr(summary, name, lambda *_, name=name: pytest.fail(f"{name} without gas"))
    found = Summariser().step(segmentation(np.zeros((240, 320), np.uint8)))
    assert (found.area_px, found.cnr, found.confidence) == (0, 0.0, 0.0)


@pytest.mark.parametrize("size", [(320, 240), (640, 512), (160, 120)])
def test_figures_are_in_source_pixels(size: tuple[int, int]) -> None:
    width, height = size
    mask = rectangle(width // 4, height // 4, width // 2, height // 2, size)
    found = Summariser().step(segmentation(mask))
    assert found.area_share == pytest.approx(0.25, rel=0.01)
    assert found.centroid == (pytest.approx(width / 2, abs=1), pytest.approx(height / 2, abs=1))
    assert found.origin == (pytest.approx(width / 2, rel=0.03), pytest.approx(height / 2, rel=0.03))
    assert found.cnr == pytest.approx(12.75, rel=0.02)


@pytest.mark.parametrize("size", [(320, 240), (640, 512), (500, 333), (160, 120), (70, 50)])
def test_shrinking_only_what_is_lit_changes_nothing(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        (left, right), (top, bottom) = (sorted(rng.integers(0, side, 2)) for side in size)
        mask = np.zeros(size[::-1], np.uint8)
        mask[top : bottom + 1, left : right + 1] = rng.choice(
            np.array((0, 255), np.uint8), (bottom + 1 - top, right + 1 - left)
        )
        box = left, top, right + 1 - left, bottom + 1 - top
        assert np.array_equal(lit_share(mask, box), lit_share(mask, (0, 0, *size)))


def test_dark_and_bright_gas_have_the_same_contrast() -> None:
    mask = rectangle(40, 60, 80, 50)
    dark, bright = (Summariser().step(segmentation(mask, contrast=sign * 0.05)).cnr for sign in (-1, 1))
    assert dark == pytest.approx(bright)


def test_clean_footage_has_no_endless_contrast() -> None:
    found = Summariser().step(segmentation(rectangle(40, 60, 80, 50), noise=0.0))
    assert found.cnr == pytest.approx(0.1 * 255 / NOISE_FLOOR, rel=1e-3)


@given(seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_contour_has_few_points_and_covers_the_largest_part(seed: int) -> None:
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.normal(0, 1, (240, 320)).astype(np.float32), (0, 0), rng.uniform(2, 12))
    mask = np.where(field > np.quantile(field, 0.8), np.uint8(255), np.uint8(0))
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mask, outlines, -1, 255, cv2.FILLED)  # no holes: the outline says all
    found = Summariser().step(segmentation(mask))
    assert 1 <= len(found.contour) <= CONTOUR_POINTS
    drawn = np.zeros_like(mask)
    cv2.fillPoly(drawn, [np.array(found.contour, np.int32)], 255)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    shares = [(drawn[labels == i] > 0).mean() for i in range(1, len(stats))]
    outlined = 1 + int(np.argmax(shares))
    assert max(shares) > 0.6
    assert stats[outlined, cv2.CC_STAT_AREA] > 0.85 * stats[1:, cv2.CC_STAT_AREA].max()


def test_the_contour_is_that_of_the_largest_part_and_the_box_holds_all() -> None:
    mask = rectangle(10, 10, 20, 10) | rectangle(100, 100, 60, 60)
    found = Summariser().step(segmentation(mask))
    assert found.box == (10, 10, 150, 150)
    assert min(found.contour) == (100, 100)


def watched(seconds: float, speed: float, *, fps: float = 15.0, turn: int = 0) -> list:
    """Summaries of a drawn plume that leaves (60, 150) at `speed` px/s to the right, or turned by 90 degrees."""
    summariser, found = Summariser(), []
    rng = np.random.default_rng(0)
    for i in range(int(seconds * fps)):
        depth = scenes.plume(i / fps, speed=speed)
        contrast = 0.15 * depth + rng.normal(0, 0.004, depth.shape).astype(np.float32)
        mask = np.where(depth > 0.25, np.uint8(255), np.uint8(0))
        mask, contrast = (np.ascontiguousarray(np.rot90(a, turn)) for a in (mask, contrast))
        background = np.full(mask.shape, 0.4, np.float32)
        logits = np.full((mask.shape[0] // 2, mask.shape[1] // 2), 1.0, np.float32)
        frame = Frame(mask, i, i / fps, i / fps)
        seen = Segmentation(frame, logits, mask, 1.0, background + contrast, background, Quality.GOOD)
        found.append(summariser.step(seen))
    return found


@pytest.mark.parametrize("fps", [9, 15, 30])
@pytest.mark.parametrize("speed", [15.0, 40.0, 80.0])
def test_drift_is_that_of_the_gas_and_not_of_the_centroid(speed: float, fps: float) -> None:
    found = watched(4, speed, fps=fps)[-1]
    assert found.drift is not None
    assert found.drift[0] == pytest.approx(speed, rel=0.5)
    assert abs(found.drift[1]) < 0.35 * speed
    assert found.origin == (pytest.approx(60, abs=20), pytest.approx(150, abs=12))


def test_drift_and_origin_turn_with_the_plume() -> None:
    found = watched(4, 40.0, turn=1)[-1]  # to the top now, from (150, 320 - 60)
    assert found.drift is not None
    assert found.drift[1] < -20
    assert abs(found.drift[0]) < 12
    assert found.origin == (pytest.approx(150, abs=12), pytest.approx(260, abs=20))


def test_the_origin_settles() -> None:
    origins = np.array([step.origin for step in watched(6, 40.0)[45:]])
    assert np.abs(origins - origins[-1]).max() < 12


@pytest.mark.parametrize("quality", [Quality.CUT, Quality.GAP])
def test_another_view_is_another_plume(quality: Quality) -> None:
    summariser = Summariser()
    for i in range(30):
        summariser.step(segmentation(rectangle(20, 20, 60, 40), captured=i / 15))
    found = summariser.step(segmentation(rectangle(200, 160, 60, 40), captured=2.0, quality=quality))
    assert found.drift is None
    assert found.origin == (pytest.approx(230, abs=4), pytest.approx(180, abs=4))


def test_a_plume_after_a_while_without_is_another_plume() -> None:
    summariser = Summariser()
    for i in range(30):
        summariser.step(segmentation(rectangle(20, 20, 60, 40), captured=i / 15))
    found = summariser.step(segmentation(rectangle(200, 160, 60, 40), captured=9.0))
    assert found.origin == (pytest.approx(230, abs=4), pytest.approx(180, abs=4))


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times at which a summariser looks at what a plume shows only over time, as they come."""
    times: list[float] = []
    look = Summariser._look

    def noted(self: Summariser, seen: Segmentation, box: tuple[int, int, int, int]) -> summary.Traits:
        times.append(seen.frame.captured)
        return look(self, seen, box)

    monkeypatch.setattr(Summariser, "_look", noted)
    return times


@pytest.mark.parametrize(("fps", "every"), [(9, 1), (15, 2), (25, 3)])
def test_drift_origin_and_flicker_are_looked_at_ten_times_a_second(
    fps: int, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    times, summariser = looked_at(monkeypatch), Summariser()
    found = [summariser.step(segmentation(rectangle(20 + i, 20, 60, 40), captured=i / fps)) for i in range(30)]
    assert times == [i / fps for i in range(0, 30, every)]
    for i in range(30):
        last = found[i - i % every]
        assert (found[i].drift, found[i].origin, found[i].flicker) == (last.drift, last.origin, last.flicker)
        assert found[i].box == (20 + i, 20, 60, 40), "the rest is of every frame"


def test_a_new_plume_a_camera_that_changes_and_a_view_that_moves_are_looked_at_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times, summariser = looked_at(monkeypatch), Summariser()
    gas, none, moved = rectangle(20, 20, 60, 40), rectangle(0, 0, 0, 0), np.array([[1.0, 0, 3], [0, 1, 0], [0, 0, 1]])
    frames = [
        segmentation(gas, captured=0.0),
        segmentation(none, captured=0.01),
        segmentation(gas, captured=0.02),
        segmentation(gas, captured=0.03),
        segmentation(gas, captured=0.04, quality=Quality.GAIN),
        segmentation(gas, captured=0.05),
        replace(segmentation(gas, captured=0.06), view=moved),
    ]
    for frame in frames:
        summariser.step(frame)
    assert times == [0.0, 0.02, 0.04, 0.06]


def test_a_plume_between_the_pixels_of_the_model_has_no_contrast() -> None:
    found = Summariser().step(segmentation(rectangle(101, 20, 1, 40), inner=(120, 160)))
    assert (found.area_px, found.cnr) == (40, 0.0)


def test_a_plume_of_a_single_pixel_has_all_its_numbers() -> None:
    found = Summariser().step(segmentation(rectangle(101, 77, 1, 1)))
    assert (found.area_px, found.box, found.contour) == (1, (101, 77, 1, 1), ((101, 77),))
    assert np.isfinite([found.cnr, found.confidence, *found.centroid, *found.origin]).all()
