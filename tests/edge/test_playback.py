"""A recording stands in for a camera: at its rate, forwards and backwards, without end."""

from __future__ import annotations

import itertools
import threading
import time

import cv2
import numpy as np
import pytest

from edge import playback
from edge.capture import live
from edge.capture.credentials import Credentials
from edge.config import CameraSettings
from edge.errors import BrokenSource, ConfigError, SourceError
from edge.playback import Playback
from tests.edge import fakes


@pytest.fixture
def clip(tmp_path):
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((24, 32), 10 * number, np.uint8))
    return tmp_path


def play(clip, frames, stop=None, **camera):
    settings = CameraSettings(name="a", source=str(clip), fps=50, **{"realtime": False, **camera})
    playing = Playback(settings, stop or threading.Event())
    return playing, list(itertools.islice(playing, frames))


def levels(frames):
    return [int(frame.image.flat[0]) // 10 for frame in frames]


def test_once_is_once(clip):
    assert levels(play(clip, 99)[1]) == [0, 1, 2, 3, 4]


def test_a_loop_starts_again_and_time_goes_on(clip):
    _, frames = play(clip, 12, repeat="loop")
    assert levels(frames) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert [frame.index for frame in frames] == list(range(12))
    assert np.allclose(np.diff([frame.captured for frame in frames]), 1 / 50)


def test_pingpong_has_neither_cut_nor_repeated_picture(clip):
    assert levels(play(clip, 14, repeat="pingpong")[1]) == [0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3, 4, 3]


def test_realtime_keeps_camera_rate_and_wall_clock(clip):
    began = time.monotonic()
    _, frames = play(clip, 26, repeat="loop", realtime=True)
    assert 0.45 <= time.monotonic() - began < 2
    assert abs(frames[-1].utc - time.time()) < 1


def test_who_is_slow_misses_frames_like_with_a_camera(clip):
    settings = CameraSettings(name="a", source=str(clip), fps=50, repeat="loop")
    playing = Playback(settings, threading.Event())
    captured = []
    for frame in itertools.islice(playing, 6):
        captured.append(frame.captured)
        time.sleep(0.1)
    assert playing.dropped >= 10
    assert np.all(np.diff(captured) > 0.06)


def test_a_stop_ends_the_wait_for_the_next_frame(clip):
    stop = threading.Event()
    settings = CameraSettings(name="a", source=str(clip), fps=0.1)
    began = time.monotonic()
    threading.Timer(0.2, stop.set).start()
    assert len(list(Playback(settings, stop))) <= 1
    assert time.monotonic() - began < 5


def test_a_clip_too_long_for_memory_is_not_played_backwards(clip, monkeypatch):
    monkeypatch.setattr(playback, "PINGPONG_BYTES", 3 * 24 * 32)
    with pytest.raises(ConfigError, match="too long to be played backwards from memory; use repeat: loop"):
        play(clip, 1, repeat="pingpong")


def test_frames_that_a_camera_overtook_are_counted(monkeypatch):
    pictures = [np.zeros((24, 32), np.uint8)] * 1000
    device = fakes.FakeDevice(pictures)
    camera = live.Camera("rtsp://a", lambda: device)
    monkeypatch.setattr(live, "PATIENCE_S", 0.3)
    monkeypatch.setattr(playback.capture, "open", lambda *_args, **_options: camera)
    playing = Playback(CameraSettings(name="a", source="rtsp://a"), threading.Event())
    seen = []
    with pytest.raises(BrokenSource):
        seen.extend(playing)
    assert playing.dropped > 0
    assert len(seen) + playing.dropped == 1000


def test_the_login_of_a_camera_is_looked_up_each_time_and_no_recording_gets_it(monkeypatch, tmp_path):
    asked = []

    def opened(_source, options):
        asked.append(options)
        raise SourceError("no camera here")

    monkeypatch.setattr(playback.capture, "open", opened)
    word = tmp_path / "word"
    camera = CameraSettings(
        name="a", source="rtsp://a/live", username="jim", password_file=word, pixel_format="Y16", size="64x48"
    )
    for secret in ("first", "second"):
        word.write_text(secret + "\n")
        with pytest.raises(SourceError):
            list(Playback(camera, threading.Event()))
        assert asked[-1].credentials == Credentials("jim", secret)
    assert (asked[-1].pixel_format, asked[-1].size) == ("Y16", (64, 48))
    with pytest.raises(SourceError):
        list(Playback(camera.model_copy(update={"source": "clip.mp4"}), threading.Event()))
    assert asked[-1].credentials is None
