"""The watch over the view flags what a camera does, and keeps quiet about what a scene does."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import capture
from edge.quality import NO_SCENE, Watch, affine, compare
from edge.records import Array, Quality
from tests.edge import cameras, scenes

VIEW = scenes.scene()


def seen(images: Iterable[Array], fps: float = 15.0, watch: Watch | None = None) -> list[Quality]:
    """The flags of each picture (uint8)."""
    watch = watch or Watch()
    return [watch.step(image, np.float32(image) / np.float32(255), i / fps).quality for i, image in enumerate(images)]


def any_of(flags: list[Quality]) -> Quality:
    found = Quality.GOOD
    for flag in flags:
        found |= flag
    return found


def test_reasons_are_joined_and_compared_bit_by_bit() -> None:
    for one, other in itertools.product((*Quality, NO_SCENE, ~NO_SCENE), repeat=2):
        assert (one | other).value == one.value | other.value
        assert (one & other).value == one.value & other.value
        assert one | other is other | one, "a combination is one object, whoever asks"


@pytest.mark.parametrize("fps", [9, 15, 30, 60])
def test_a_still_noisy_view_is_good(fps: int) -> None:
    assert any_of(seen((scenes.shot(VIEW, i) for i in range(60)), fps)) is Quality.GOOD


def test_a_plume_is_good() -> None:
    for depth in (20, 60, 110):
        views = (VIEW + depth * scenes.plume(i / 15) for i in range(60))
        assert any_of(seen(scenes.shot(view, i) for i, view in enumerate(views))) is Quality.GOOD


def test_a_plume_that_fills_half_the_view_at_once_is_no_cut() -> None:
    veil = cv2.GaussianBlur(np.float32(np.arange(320) < 160)[None].repeat(240, 0), (0, 0), 20)
    images = [scenes.shot(VIEW + 25 * veil * min(1.0, max(0, i - 20) / 8), i) for i in range(60)]
    assert not any_of(seen(images)) & (Quality.CUT | Quality.MOVING | Quality.SHUTTER)


def test_a_walking_person_is_good() -> None:
    images = (scenes.shot(scenes.person(VIEW, 4 * i), i) for i in range(70))
    assert any_of(seen(images)) is Quality.GOOD


@pytest.mark.parametrize(("speed", "fps"), [(15, 15), (15, 30), (30, 9), (60, 25), (120, 30)])
def test_a_panning_camera_moves(speed: float, fps: int) -> None:
    """px a second."""
    wide = scenes.scene(3, 240, 1200)
    images = [scenes.shot(scenes.shifted(wide, -speed * i / fps, 0)[:, 300:620], i) for i in range(3 * fps)]
    flags = seen(images, fps)
    assert all(Quality.MOVING in flag for flag in flags[fps:]), "not noticed within a second"
    assert not any_of(flags) & (Quality.CUT | Quality.GAIN | Quality.SHUTTER)


def test_jitter_is_no_movement() -> None:
    rng = np.random.default_rng(0)
    images = [scenes.shot(scenes.shifted(VIEW, *rng.normal(0, 0.3, 2)), i) for i in range(60)]
    assert any_of(seen(images)) is Quality.GOOD


def test_a_camera_that_stops_is_good_again() -> None:
    positions = [min(i, 30) * 2.0 for i in range(75)]
    flags = seen(scenes.shot(scenes.shifted(VIEW, at, 0), i) for i, at in enumerate(positions))
    assert Quality.MOVING in any_of(flags[:40])
    assert any_of(flags[55:]) is Quality.GOOD


def test_another_view_is_a_cut() -> None:
    other = scenes.scene(7)
    flags = seen([scenes.shot(VIEW, i) for i in range(20)] + [scenes.shot(other, i) for i in range(20)])
    assert flags[20] is Quality.CUT
    assert any_of(flags[:20] + flags[21:]) is Quality.GOOD


@pytest.mark.parametrize(("gain", "offset"), [(1.2, -20), (0.8, 25), (1.0, 12), (1.1, 0)])
def test_a_gain_step_is_found_and_measured(gain: float, offset: float) -> None:
    watch = Watch()
    for i in range(20):
        image = scenes.shot(VIEW, i)
        assert watch.step(image, np.float32(image) / 255, i / 15).quality is Quality.GOOD
    image = scenes.shot(gain * VIEW + offset, 20)
    verdict = watch.step(image, np.float32(image) / 255, 20 / 15)
    assert verdict.quality is Quality.GAIN
    assert verdict.gain[0] == pytest.approx(gain, abs=0.02)
    assert verdict.gain[1] * 255 == pytest.approx(offset, abs=2.5)
    image = scenes.shot(gain * VIEW + offset, 21)
    assert watch.step(image, np.float32(image) / 255, 21 / 15).quality is Quality.GOOD


def test_a_gain_step_in_the_middle_of_a_pan_is_found_and_measured() -> None:
    wide, watch, found = scenes.scene(3, 240, 640), Watch(), []
    for i in range(40):
        gain, offset = (1.2, -20) if i >= 30 else (1.0, 0)
        image = scenes.shot(gain * wide[:, 4 * i : 4 * i + 320] + offset, i)
        found.append(watch.step(image, np.float32(image) / 255, i / 15))
    assert [i for i, verdict in enumerate(found) if Quality.GAIN in verdict.quality] == [30]
    assert found[30].gain[0] == pytest.approx(1.2, abs=0.03)
    assert found[30].gain[1] * 255 == pytest.approx(-20, abs=4)


def test_a_gain_step_is_measured_despite_a_person() -> None:
    gain, offset = affine(*(np.float32(view) / 255 for view in (VIEW, scenes.person(1.15 * VIEW - 10, 90))))
    assert gain == pytest.approx(1.15, abs=0.02)
    assert offset * 255 == pytest.approx(-10, abs=3)


def test_a_shutter_is_flagged_while_it_is_closed_and_the_view_after_it_is_the_old_one() -> None:
    closed = np.full_like(VIEW, 118)
    images = [VIEW] * 20 + [closed] * 6 + [VIEW] * 20
    flags = seen(scenes.shot(view, i) for i, view in enumerate(images))
    assert all(flag is Quality.SHUTTER for flag in flags[20:26])
    assert any_of(flags[:20] + flags[26:]) is Quality.GOOD


def test_a_held_picture_that_then_jumps_is_a_shutter() -> None:
    held = scenes.shot(VIEW, 19)
    images = (
        [scenes.shot(VIEW, i) for i in range(20)] + [held] * 6 + [scenes.shot(VIEW + 9, 30), scenes.shot(VIEW + 9, 31)]
    )
    flags = seen(images)
    assert any_of(flags[:26]) is Quality.GOOD
    assert flags[26] is Quality.GAIN | Quality.SHUTTER
    assert flags[27] is Quality.GOOD


def test_repeated_frames_of_a_codec_are_good() -> None:
    images = [scenes.shot(VIEW, i // 3) for i in range(60)]
    assert any_of(seen(images, 15)) is Quality.GOOD


def test_a_camera_that_repeats_one_picture_for_more_than_a_second_is_frozen() -> None:
    held = scenes.shot(VIEW, 0)
    flags = seen([scenes.shot(VIEW, 1)] + [held] * 30 + [scenes.shot(VIEW, 2)])
    assert any_of(flags[:16]) is Quality.GOOD
    assert all(flag is Quality.FROZEN for flag in flags[17:31])
    assert flags[31] is Quality.GOOD


def test_a_picture_that_differs_in_one_pixel_is_not_repeated() -> None:
    images = [scenes.shot(VIEW, 0) for _ in range(30)]
    for i, image in enumerate(images):
        image[7, i] ^= 1
    assert any_of(seen(images)) is Quality.GOOD


@pytest.mark.parametrize(
    ("level", "flag"),
    [(0, Quality.DARK), (2, Quality.DARK), (254, Quality.SATURATED), (255, Quality.SATURATED)],
)
@pytest.mark.parametrize("inverted", [False, True], ids=["white-hot", "black-hot"])
def test_a_black_picture_is_dark_and_a_white_one_saturated(level: int, flag: Quality, inverted: bool) -> None:
    watch = Watch()
    for i in range(5):
        image = scenes.shot(np.full_like(VIEW, level), i, noise=0.5)
        plane = np.float32(255 - image if inverted else image) / np.float32(255)
        assert watch.step(image, plane, i / 15).quality is flag


def test_a_16_bit_camera_without_any_signal_is_dark() -> None:
    nothing = np.zeros((240, 320), np.uint16)
    assert Watch().step(nothing, np.full((240, 320), 0.5, np.float32), 0.0).quality is Quality.DARK


def test_a_night_sky_has_structure() -> None:
    night = 4 + VIEW * 0.05
    assert any_of(seen(scenes.shot(night, i, noise=0.7) for i in range(30))) is Quality.GOOD


def test_small_changes_are_not_looked_into() -> None:
    view = np.float32(scenes.scene()[::4, ::4]) / 255
    assert compare(view, view + np.float32(1.5 / 255)).quality is Quality.GOOD


def test_a_good_sensor_before_a_bare_wall_is_good() -> None:
    flat = 100 + 0.1 * (VIEW - 120)
    images = [scenes.shot(flat, i, noise=0.1) for i in range(240)]
    assert any_of(seen(images, 20)) is Quality.GOOD


def coded(images: Iterable[Array], folder: Path, kbit_s: int) -> list[Array]:
    """Through H.264, 25 frames and one key frame a second."""
    for i, image in enumerate(images):
        cv2.imwrite(str(folder / f"{i:05d}.png"), image)
    script = (
        "import sys, gi\ngi.require_version('Gst', '1.0')\nfrom gi.repository import Gst\nGst.init(None)\n"
        "pipeline = Gst.parse_launch(sys.argv[1])\npipeline.set_state(Gst.State.PLAYING)\n"
        "kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR\n"
        "assert pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, kinds).type == Gst.MessageType.EOS\n"
        "pipeline.set_state(Gst.State.NULL)"
    )
    pipeline = (
        f'multifilesrc location={folder}/%05d.png stop-index={i} caps="image/png,framerate=25/1" ! pngdec '
        f"! videoconvert ! video/x-raw,format=I420 ! x264enc bitrate={kbit_s} key-int-max=25 "
        f"! mp4mux ! filesink location={folder}/coded.mp4"
    )
    subprocess.run([cameras.DEBIAN_PYTHON, "-c", script, pipeline], check=True)
    with capture.open(str(folder / "coded.mp4")) as source:
        return [cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY) for frame in source]


def test_a_camera_that_repeats_one_picture_behind_a_codec_is_frozen_until_it_goes_on(tmp_path: Path) -> None:
    cameras.need("Gst 1.0", "GstRtspServer 1.0")  # and, with them, x264enc
    hangs, goes_on = 25, 13 * 25
    images = [scenes.shot(VIEW, 0 if hangs <= i < goes_on else i) for i in range(15 * 25)]
    pictures = coded(images, tmp_path, 1000)
    steps = [not np.array_equal(a, b) for a, b in itertools.pairwise(pictures[3 * 25 : goes_on])]
    assert sum(steps) > 10, "pictures are equal, so this shows nothing"
    flags = [Quality.FROZEN in flag for flag in seen(pictures, 25)]
    assert not any(flags[: hangs + 125])
    assert all(flags[hangs + 250 : goes_on])
    assert not any(flags[goes_on + 25 :])


def test_a_still_view_of_a_living_camera_behind_a_codec_is_good(tmp_path: Path) -> None:
    cameras.need("Gst 1.0", "GstRtspServer 1.0")
    pictures = coded((scenes.shot(VIEW, i, noise=0.25) for i in range(11 * 25)), tmp_path, 500)
    assert any_of(seen(pictures, 25)) is Quality.GOOD


STILL_CLIPS = [
    "simgas/simgasvid1.mp4",
    "simgas/simgasvid15_crowd.mp4",
    "real/god_079",
    "thermal_background/IR_DRONE_015.mp4",
    "thermal_background/IR_DRONE_131.mp4",
    "thermal_background/IR_HELICOPTER_011.mp4",
    "thermal_background/IR_BIRD_053.mp4",
]


@pytest.mark.parametrize("clip", STILL_CLIPS)
def test_real_cameras_are_neither_frozen_nor_knocked_nor_blind(clip: str, footage: Path) -> None:
    """The stillest clips of all, some from behind codecs that leave next to no noise."""
    with capture.open(str(footage / clip)) as source:
        frames = [frame.image if frame.image.ndim == 2 else frame.image[..., 1] for frame in source]
    there_and_back = [*frames, *frames[-2:0:-1]]  # 20 seconds, longer than the view takes to settle
    found = any_of(seen(there_and_back, source.fps))
    assert not found & (Quality.FROZEN | Quality.VIEW_CHANGED | NO_SCENE), found.names
