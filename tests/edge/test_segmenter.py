"""The segmenter keeps time, carries state from step to step, and says when a mask is not to be believed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import contract, payload
from edge.errors import ModelError
from edge.records import Array, Frame, Quality, Segmentation
from edge.rendering import Rendering
from edge.segmenter import Segmenter, background_state, open_segmenter
from edge.summary import Summariser
from edge.warp import shifted
from tests.conftest import check
from tests.edge import models, scenes

VIEW = scenes.scene(0, models.HEIGHT * 4, models.WIDTH * 4)  # as large as the quality checks like it


def segmenter(**options: str) -> tuple[Segmenter, models.HandBackend]:
    backend = models.HandBackend()
    return Segmenter(models.spec(**options), backend), backend


def frame(index: int, captured: float, view: Array = VIEW, noise: float = 1.0) -> Frame:
    return Frame(scenes.shot(view, index, noise), index, captured, 1e9 + captured)


def gassy(view: Array = VIEW) -> Array:
    """The view with a bright plume, 4 % of it."""
    seen = view.copy()
    seen[80:120, 100:150] = np.minimum(seen[80:120, 100:150] + 60, 255)
    return seen


def play(seg: Segmenter, views: list[Array], fps: float = 15.0, start: float = 0.0) -> list[Segmentation]:
    return [seg.step(frame(i, start + i / fps, view)) for i, view in enumerate(views)]


def test_gas_is_found_where_it_is() -> None:
    seg, _ = segmenter()
    play(seg, [VIEW] * 15)
    found = seg.step(frame(15, 1.0, gassy()))
    truth = gassy() != VIEW
    assert found.mask.shape == VIEW.shape
    assert found.mask[truth].all()
    assert np.logical_or(found.mask > 0, truth).sum() < 1.4 * truth.sum()  # a cell of the logits is 8 px here
    assert found.quality is Quality.GOOD


def test_the_background_is_what_the_frame_was_compared_with() -> None:
    seg, backend = segmenter()
    first, second = play(seg, [VIEW, gassy()])
    np.testing.assert_array_equal(first.background, first.image)  # nothing earlier: compared with itself
    np.testing.assert_allclose(second.background, first.image, atol=1e-6)
    np.testing.assert_array_equal(second.background, backend.fed[1]["background"][0, 0])
    np.testing.assert_array_equal(second.image, backend.fed[1]["frame"][0, 0])


def test_records_stay_as_they_were_given() -> None:
    """The backend's and the preprocessor's buffers are reused; what was handed out must not change with them."""
    seg, _ = segmenter()
    first = seg.step(frame(0, 0.0))
    kept = [array.copy() for array in (first.logits, first.mask, first.image, first.background)]
    seg.step(frame(1, 0.1, gassy()))
    for before, after in zip(kept, (first.logits, first.mask, first.image, first.background), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_clock_tells_the_step_and_the_age() -> None:
    seg, backend = segmenter()
    for i, captured in enumerate((100.0, 100.1, 100.3)):
        seg.step(frame(i, captured))
    clocks = np.stack([fed["clock"][0] for fed in backend.fed])
    np.testing.assert_allclose(clocks, [[0, 0], [0.1, 0.1], [0.2, 0.3]], atol=1e-5)


def test_lags_are_fed_from_the_past() -> None:
    seg, backend = segmenter()
    play(seg, [VIEW] * 6)
    np.testing.assert_allclose(backend.fed[5]["past"], backend.fed[3]["frame"], atol=5e-5)  # 0.133 s at 15 fps
    np.testing.assert_array_equal(backend.fed[0]["past"], backend.fed[0]["frame"])


@pytest.mark.parametrize("fps", [9, 15, 30])
def test_it_warms_up_for_the_longest_lag(fps: int) -> None:
    seg, _ = segmenter()
    found = play(seg, [VIEW] * fps, fps)
    warm = [Quality.WARMING_UP not in step.quality for step in found]
    assert warm == [i / fps >= models.LAG_S - 1e-3 for i in range(fps)]


@pytest.mark.parametrize("jump", [2.0, -0.5])
def test_a_gap_and_a_clock_that_runs_back_start_anew(jump: float) -> None:
    seg, backend = segmenter()
    play(seg, [VIEW] * 15, start=10.0)
    found = seg.step(frame(15, 11.0 + jump, gassy()))
    assert found.quality == Quality.GAP | Quality.WARMING_UP
    np.testing.assert_array_equal(backend.fed[-1]["background"], backend.fed[-1]["frame"])
    np.testing.assert_array_equal(backend.fed[-1]["clock"], [[0, 0]])
    assert Quality.GAP not in seg.step(frame(16, 11.1 + jump)).quality


def test_dropped_frames_are_no_gap() -> None:
    seg, _ = segmenter()
    times = [0.0, 0.07, 0.13, 0.2, 0.45, 0.5, 0.75]  # the gap of this model is 0.333 s
    assert all(not seg.step(frame(i, t)).quality & Quality.GAP for i, t in enumerate(times))


def test_a_cut_starts_anew() -> None:
    seg, backend = segmenter()
    other = scenes.scene(9, *VIEW.shape)
    play(seg, [VIEW] * 15)
    found = seg.step(frame(15, 1.0, other))
    assert Quality.CUT in found.quality
    assert not found.mask.any()
    np.testing.assert_array_equal(backend.fed[-1]["background"], backend.fed[-1]["frame"])


def test_a_gain_step_keeps_the_plume() -> None:
    """The remembered pictures follow the camera's gain: nothing but the plume stands out, before and after."""
    seg, _ = segmenter()
    play(seg, [VIEW] * 15)
    before = seg.step(frame(15, 1.0, gassy()))
    after = seg.step(frame(16, 16 / 15, 0.8 * gassy() + 30))
    assert Quality.GAIN in after.quality
    both, either = np.logical_and(before.mask, after.mask).sum(), np.logical_or(before.mask, after.mask).sum()
    assert both / either > 0.85


def test_a_shutter_waits_for_the_scene() -> None:
    """Nothing is computed, nothing remembered, and the plume is there again with the first picture after it."""
    seg, backend = segmenter()
    play(seg, [VIEW] * 15)
    closed = np.full_like(VIEW, 118)
    shut = [seg.step(frame(15 + i, 1.0 + i / 15, closed)) for i in range(3)]
    assert all(step.quality is Quality.SHUTTER and not step.mask.any() for step in shut)
    assert len(backend.fed) == 15
    after = seg.step(frame(18, 1.2, gassy()))
    assert after.quality is Quality.GOOD
    assert after.mask.any()


def test_a_lens_cap_stays_flagged_over_the_gap_that_it_makes() -> None:
    seg, _ = segmenter()
    play(seg, [VIEW] * 15)
    flags = [seg.step(frame(15 + i, 1.0 + i / 15, np.full_like(VIEW, 118))).quality for i in range(30)]
    assert all(Quality.SHUTTER in flag for flag in flags)


@pytest.mark.parametrize("level", [9000, 30_000])
def test_a_shutter_of_a_16_bit_camera_changes_nothing(level: int) -> None:
    """Whether the shutter's temperature lies in the scene's range or far from it."""
    seg, backend = segmenter()

    def shot(i: int, view: Array) -> Frame:
        noisy = view + np.random.default_rng(i).normal(0, 10, view.shape)
        return Frame(noisy.astype(np.uint16), i, i / 15, i / 15)

    deep = 20 * VIEW + 8000
    for i in range(15):
        seg.step(shot(i, deep))
    shut = [seg.step(shot(15 + i, np.full_like(deep, level))).quality for i in range(3)]
    assert all(flag in (Quality.SHUTTER, Quality.DARK, Quality.SATURATED) for flag in shut)
    after = seg.step(shot(18, deep + 1200 * (gassy() != VIEW)))
    assert after.quality is Quality.GOOD
    assert after.mask[85:115, 105:145].all()
    assert not after.mask[150:].any()
    assert len(backend.fed) == 16


def test_a_new_mapping_of_16_bits_keeps_the_plume() -> None:
    seg, _ = segmenter()
    deep = 20 * np.float32(VIEW) + 8000

    def shot(i: int, view: Array) -> Frame:
        noisy = view + np.random.default_rng(i).normal(0, 10, view.shape)
        return Frame(noisy.astype(np.uint16), i, i / 15, i / 15)

    for i in range(15):
        assert not seg.step(shot(i, deep)).quality & Quality.GAIN
    warm = 1200 * (gassy() != VIEW)
    before = seg.step(shot(15, deep + warm))
    hot = deep + warm
    hot[:20] += 20_000  # something hot enters at the top, and the range must grow
    after = seg.step(shot(16, hot))
    assert Quality.GAIN in after.quality
    assert before.mask[85:115, 105:145].all()
    assert after.image.max() <= 1
    assert not after.mask[150:].any(), "the new mapping lit up what did not change"


@pytest.mark.parametrize("size", [(320, 240), (640, 512), (720, 576), (128, 96), (300, 200)])
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_masks_come_back_at_source_resolution(size: tuple[int, int], resize: str) -> None:
    seg, _ = segmenter(resize=resize)
    view = cv2.resize(VIEW, size, interpolation=cv2.INTER_AREA)
    gas = cv2.resize(gassy(), size, interpolation=cv2.INTER_AREA)
    play(seg, [view] * 15)
    found = seg.step(frame(15, 1.0, gas))
    assert found.mask.shape == (size[1], size[0])
    ys, xs = np.nonzero(found.mask)
    wanted_y, wanted_x = np.nonzero(gas - view > 30)
    assert xs.mean() == pytest.approx(wanted_x.mean(), abs=0.02 * size[0])
    assert ys.mean() == pytest.approx(wanted_y.mean(), abs=0.02 * size[1])


def test_reset_makes_the_next_frame_the_first() -> None:
    seg, backend = segmenter()
    play(seg, [VIEW] * 5)
    seg.reset()
    play(seg, [scenes.scene(5, *VIEW.shape)])
    np.testing.assert_array_equal(backend.fed[-1]["past"], backend.fed[-1]["frame"])


def test_the_same_frames_give_the_same_masks() -> None:
    views = [VIEW] * 8 + [gassy()] * 8
    a, b = (play(segmenter()[0], views) for _ in range(2))
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)
        np.testing.assert_array_equal(one.mask, other.mask)


def test_nothing_after_a_frame_changes_its_mask() -> None:
    one = play(segmenter()[0], [VIEW] * 10)
    other = play(segmenter()[0], [VIEW] * 8 + [gassy()] * 2)
    for a, b in zip(one[:8], other[:8], strict=True):
        np.testing.assert_array_equal(a.mask, b.mask)


def test_a_model_that_computes_no_numbers_is_a_fault() -> None:
    class Broken(models.HandBackend):
        def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
            return {name: np.full_like(array, np.nan) for name, array in super().run(inputs).items()}

    with pytest.raises(ModelError, match="not a number"):
        Segmenter(models.spec(), Broken()).step(frame(0, 0.0))


def test_the_background_state_is_found_by_what_it_is() -> None:
    assert background_state(models.spec()) == "background"
    for name in contract.shipped():
        assert background_state(contract.load(name)[0]) is not None


def test_a_model_is_opened_by_path_or_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGSTP_CACHE", str(tmp_path))
    opened = open_segmenter(str(models.shipped_like(tmp_path)), "onnxruntime")
    assert opened.spec.name == "tiny"
    assert not opened.step(frame(0, 0.0)).mask.any()
    with pytest.raises(ModelError, match="no such ModelSpec"):
        open_segmenter("student.int3")


def test_a_model_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = models.shipped_like(tmp_path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="sha256"):
        open_segmenter(str(path), "onnxruntime")


def test_no_gas_is_found_where_the_view_is_ignored() -> None:
    box = ((0.3, 0.4), (0.5, 0.4), (0.5, 0.7), (0.3, 0.7))  # where the plume of `gassy` is
    seg = Segmenter(models.spec(), models.HandBackend(), rendering=Rendering(ignore=(box,)))
    play(seg, [VIEW] * 15)
    found = seg.step(frame(15, 1.0, gassy()))
    height, width = VIEW.shape
    assert not found.mask[int(0.4 * height) : int(0.7 * height), int(0.3 * width) : int(0.5 * width)].any()
    aside = VIEW.copy()
    aside[80:120, 180:230] = np.minimum(aside[80:120, 180:230] + 60, 255)
    assert seg.step(frame(16, 1.07, aside)).mask[85:115, 185:225].all()


def test_a_clock_in_the_picture_does_not_hide_that_it_hangs() -> None:
    corner = ((0.0, 0.0), (0.3, 0.0), (0.3, 0.2), (0.0, 0.2))
    held = scenes.shot(VIEW, 0)
    flags = {}
    for ignore in ((), (corner,)):
        seg = Segmenter(models.spec(), models.HandBackend(), rendering=Rendering(ignore=ignore))
        for i in range(40):
            held[2:10, 2:40] = 5 * i
            flags[ignore] = seg.step(Frame(held.copy(), i, i / 15, 0.0)).quality
    assert Quality.FROZEN not in flags[()]
    assert Quality.FROZEN in flags[(corner,)]


def test_the_view_outlives_a_camera_that_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    seg, _ = segmenter()
    watch = seg._watch
    seg.reset(keep_view=True)
    assert seg._watch is watch
    seg.reset()
    assert seg._watch is not watch


class Careful(models.HandBackend):
    """Lets in what it takes for gas a tenth as fast, as the network does."""

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        said, background = super().run(inputs), inputs["background"]
        lit = said["logits"].repeat(2, axis=2).repeat(2, axis=3) > 0
        slowly = background + np.float32(0.1) * (said["background_next"] - background)
        return said | {"background_next": np.where(lit, slowly, said["background_next"])}


def flown(views: list[Array], *, gas: bool, fps: float = 15.0) -> tuple[list[Segmentation], list[Array]]:
    """A pan of 2 px a frame over a wide scene; and where the gas, which stands on the ground, is in each view."""
    seg = Segmenter(models.spec(size=(320, 240)), Careful())
    truth = np.zeros(WIDE.shape, np.float32)
    truth[100:140, 260:320] = 60
    found, masks = [], []
    for i, view in enumerate(views):
        cut, there = (cv2.warpAffine(p, view[:2], (320, 240), flags=cv2.WARP_INVERSE_MAP) for p in (WIDE, truth))
        on = gas and i >= 20
        found.append(seg.step(frame(i, i / fps, cut + there if on else cut)))
        masks.append(there > 30 if on else np.zeros((240, 320), bool))
    return found, masks


WIDE = scenes.scene(3, 240, 640)
PAN = [shifted(30 + 2 * i, 0) for i in range(45)]


def test_a_still_scene_below_a_pan_stays_dark() -> None:
    found, _ = flown(PAN, gas=False)
    assert sum(int(np.count_nonzero(step.mask)) for step in found[4:]) < 300
    assert all(step.quality.believable for step in found)
    assert Quality.MOVING in found[-1].quality


def test_a_plume_is_found_on_the_ground_below_a_pan() -> None:
    found, truth = flown(PAN, gas=True)
    both = sum(
        np.count_nonzero((step.mask > 0) & there) for step, there in zip(found[21:28], truth[21:28], strict=True)
    )
    either = sum(
        np.count_nonzero((step.mask > 0) | there) for step, there in zip(found[21:28], truth[21:28], strict=True)
    )
    assert both / either > 0.75


def test_a_view_that_nobody_can_place_has_no_past() -> None:
    """A pan that runs into fog: held and dark in it, without a gap, and believed again where there is a view."""
    haze = np.linspace(90, 150, 240, dtype=np.float32)[:, None].repeat(320, axis=1)
    clear = [float(np.interp(i, (25, 33, 52, 60), (1, 0, 0, 1))) for i in range(80)]
    views = [haze + share * (WIDE[:, 30 + 2 * i : 350 + 2 * i] - haze) for i, share in enumerate(clear)]
    seg = Segmenter(models.spec(size=(320, 240)), models.HandBackend())
    found = [seg.step(frame(i, i / 15, view)) for i, view in enumerate(views)]
    for step in found[34:51]:
        assert not step.quality.believable
        assert not step.mask.any()
        said = check("summary", payload.encode(payload.summary(Summariser().step(step), "drone")))
        assert (said["quality"], said["held"]) == ("uncertain", True)
    assert all(step.quality.believable for step in found[-8:])
    assert not any(Quality.GAP in step.quality for step in found)
