"""Calibration finds what was put into the footage: noise, a letterbox, burnt-in text, a light that flickers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from edge import exclusion, site
from edge.camera import CameraCalibration, FalseAlarms
from edge.errors import ConfigError, SourceError
from edge.records import Array, Frame
from edge.rules import AlarmSettings
from edge.segmenter import Segmenter
from edge.study import Study
from tests.edge import models, scenes
from tests.edge.calibrations import calibration

VIEW = scenes.scene(0, models.HEIGHT * 4, models.WIDTH * 4)
FPS = 10.0
LAMP = np.s_[80:120, 100:150]  # px; a cell of the maps is 8 px
Change = Callable[[Array, float], Array]


def film(seconds: float, change: Change = lambda view, _: view, noise: float = 1.0, seed: int = 0) -> Iterator[Frame]:
    for i in range(round(seconds * FPS)):
        shot = scenes.shot(VIEW, 1000 * seed + i, noise)
        yield Frame(change(shot, i / FPS), i, i / FPS, i / FPS)


def lamp(view: Array, at: float) -> Array:
    """On for two of four seconds."""
    seen = view.copy()
    if at % 4 >= 2:
        seen[LAMP] = np.minimum(seen[LAMP].astype(int) + 110, 255)
    return seen


def segmenter(calibration: CameraCalibration | None = None) -> Segmenter:
    return Segmenter(models.spec(), models.HandBackend(), calibration=calibration)


def calibrate(*films: Iterator[Frame], target: float = 1.0) -> CameraCalibration:
    named = [(f"film{i}", frames) for i, frames in enumerate(films)]
    return site.calibrate(named, segmenter(), target, AlarmSettings(on_delay_s=1.5, persistence=0.7, min_confidence=0))


def watched(*films: Iterator[Frame]) -> Study:
    study = Study(segmenter())
    for i, frames in enumerate(films):
        study.begin(f"film{i}")
        for frame in frames:
            study.step(frame)
    return study


@pytest.fixture(scope="module")
def lamps() -> CameraCalibration:
    """A camera with a lamp in its view."""
    return calibrate(film(30, lamp), film(30, lamp, seed=1))


def test_a_quiet_camera_keeps_the_shipped_settings():
    made = calibrate(film(40))
    assert (made.threshold, made.min_area_share) == (models.spec().threshold, AlarmSettings().min_area_share)
    assert not made.excluded.array.any()
    assert made.after.events == made.before.events == 0
    assert made.after.hours == pytest.approx(40 / 3600, rel=0.02)
    assert made.after.high_per_hour == pytest.approx(2.996 / made.after.hours, rel=1e-3)
    assert made.footage_s == pytest.approx(40, rel=0.01)
    assert (made.size, made.sources) == ((256, 192), ("film0",))
    assert "not shown: that takes 3 h without an alarm" in site.report(made)


@pytest.mark.parametrize("sigma", [0.7, 1.5, 3.0])
def test_the_noise_is_that_of_the_model_s_pixels(sigma):
    study = watched(film(12, noise=sigma))
    # 4 x 4 px of the camera are one of the model
    assert study.noise == pytest.approx(np.hypot(sigma, 12**-0.5) / 4, rel=0.1)


def test_people_who_walk_by_do_not_raise_the_noise():
    def walk(view: Array, at: float) -> Array:
        seen = view.copy()
        seen[60:160, int(20 * at) % 200 :][:, :16] = 250
        return seen

    assert watched(film(12, walk)).noise == pytest.approx(watched(film(12)).noise, rel=0.1)


def test_a_lamp_is_excluded_and_little_else(lamps):
    excluded = lamps.excluded.array.astype(bool)
    assert excluded[10:15, 13:18].all()
    assert 0.03 < excluded.mean() < 0.12
    assert lamps.before.events > 0
    assert lamps.after.events == 0
    assert lamps.flicker.array[12, 15] / 255 == pytest.approx(0.4, abs=0.15)  # the background creeps after it
    assert (lamps.threshold, lamps.min_area_share) == (models.spec().threshold, AlarmSettings().min_area_share)


def test_excluded_places_count_no_more_and_others_still_do(lamps):
    plain, calibrated = segmenter(), segmenter(lamps)
    other = np.s_[20:60, 180:230]

    def both(view: Array, at: float) -> Array:
        seen = lamp(view, at)
        if at >= 6:
            seen[other] = np.minimum(seen[other].astype(int) + 60, 255)
        return seen

    steps = [(plain.step(frame), calibrated.step(frame)) for frame in film(8, both, seed=9)]
    before, after = steps[-15]
    assert before.mask[LAMP].any()
    assert before.mask[other].any()
    assert not after.mask[LAMP].any()
    np.testing.assert_array_equal(after.mask[other], before.mask[other])


def test_what_passes_once_excludes_nothing():
    def bird(view: Array, at: float) -> Array:
        seen = view.copy()
        if 5 <= at < 6.5:
            seen[LAMP] = 250
        return seen

    assert not calibrate(film(60, bird)).excluded.array.any()


def test_one_half_of_the_footage_does_not_excuse_the_other():
    """A lamp that burns in the second half only is an alarm that the first half cannot foresee."""
    made = calibrate(film(40, lambda view, at: lamp(view, at) if at > 21 else view))
    assert made.excluded.array[12, 15]
    assert made.before.events > 0
    assert made.threshold > models.spec().threshold


def test_a_letterbox_and_burnt_in_text_are_excluded():
    def burnt(view: Array, at: float) -> Array:
        seen = view.copy()
        seen[:16] = 0
        seen[-24:] = 0
        seen[40:48, 200:240] = 235
        return seen

    made = calibrate(film(15, burnt, noise=8.0))
    frozen = made.frozen.array.astype(bool)
    assert frozen[:2].all()
    assert frozen[-3:].all()
    assert frozen[5, 25:30].all()
    assert not frozen[8:20].any()


def test_a_view_that_a_codec_keeps_still_is_no_border():
    def frozen_sky(view: Array, at: float) -> Array:
        seen = np.rint(VIEW).astype(np.uint8)
        x = int(20 * at) % (seen.shape[1] - 24)
        seen[80:104, x : x + 24] = 250  # a bird: the camera is alive
        return seen

    assert not calibrate(film(15, frozen_sky)).frozen.array.any()


def test_flicker_all_over_leaves_most_of_the_view():
    """Sparks everywhere: a quarter of the view may go, no more."""

    def sparks(view: Array, at: float) -> Array:
        seen = view.copy()
        for y, x in np.random.default_rng(int(at)).integers(0, (180, 240), (12, 2)):
            seen[y : y + 12, x : x + 12] = 255
        return seen

    made = calibrate(film(20, sparks))
    assert 0 < made.excluded.array.mean() <= exclusion.MOST + made.frozen.array.mean()
    assert made.before.events > 0


def test_a_target_that_is_missed_is_said_to_be():
    found = FalseAlarms(events=3, hours=1.0, low_per_hour=0.6, high_per_hour=8.8)
    assert "missed" in site.report(calibration(after=found, target_per_hour=2.0))
    assert "missed" not in site.report(calibration(after=found, target_per_hour=3.0))


def test_the_mildest_setting_that_reaches_the_target_is_chosen():
    def alarms(events: int) -> FalseAlarms:
        return FalseAlarms(events=events, hours=2.0, low_per_hour=0.0, high_per_hour=9.0)

    mild, middle, strict = (site.Setting(value, 0.001) for value in (0.5, 0.6, 0.7))
    found = {mild: alarms(9), middle: alarms(4), strict: alarms(0)}
    assert site.choose(found, 2.0) == middle
    assert site.choose(found, 1.9) == strict
    assert site.choose({mild: alarms(9), middle: alarms(4), strict: alarms(4)}, 0.1) == middle


def test_settings_only_get_stricter():
    shipped = site.Setting(0.75, 0.001)
    tried = site.settings(shipped)
    assert tried[0] == shipped
    assert all(one.threshold >= 0.75 and one.min_area_share >= 0.001 for one in tried)
    assert len(set(tried)) == len(tried)


def test_too_little_footage_is_refused():
    with pytest.raises(SourceError, match=r"film0: only 3\.\d s in which the view stands still"):
        calibrate(film(4))


def test_footage_of_two_sizes_is_refused():
    small = (Frame(frame.image[:96, :128], frame.index, frame.captured, frame.utc) for frame in film(1))
    with pytest.raises(ConfigError, match="film1: pictures of 128x96, those before of 256x192"):
        calibrate(film(1), small)


def test_a_live_camera_needs_an_end():
    with pytest.raises(ConfigError, match=r"rtsp://\*\*\*@camera: a live camera has no end; give --minutes"):
        site.calibrate_sources(["rtsp://me:secret@camera"], 1.0)


def test_logits_are_kept_to_a_sixteenth():
    study = watched(film(6, lamp))
    lit = [glimpse for glimpse in study.glimpses if glimpse.logits is not None]
    fresh = segmenter()
    true = {frame.index: fresh.step(frame).logits for frame in film(6, lamp)}
    for glimpse in lit:
        kept, whole = study.logits(glimpse), true[glimpse.index]
        assert np.abs(kept - whole.clip(-8, 7.9)).max() <= 1 / 16
        np.testing.assert_array_equal(kept > 0, whole > 0)  # the threshold of this model is one half
    assert lit
