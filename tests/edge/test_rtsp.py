"""A real RTSP camera that is killed, stalled and restarted: we say so, come back, and time never runs backwards."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge import capture
from edge.broker import free_port
from edge.capture import SourceOptions, live, rtsp
from edge.capture.credentials import Credentials
from edge.errors import BrokenSource, SourceError
from edge.records import Frame
from tests.edge import cameras
from tests.edge.cameras import Helper

SECRET = "s3:cr@t/"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of numbered pictures."""
    cameras.need("GstRtspServer 1.0")
    return cameras.write_clip(tmp_path_factory.mktemp("rtsp") / "clip.avi", 1500)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience with one connection, much with the camera: a busy machine takes seconds to start one."""
    monkeypatch.setattr(live, "TIMEOUT_S", 2.0)
    monkeypatch.setattr(live, "PATIENCE_S", 30.0)
    monkeypatch.setattr(live, "BACK_OFF_S", (0.1, 0.4))
    monkeypatch.setattr(rtsp, "ANSWER_S", 0.5)


def take(frames: Iterator[Frame], count: int) -> list[Frame]:
    return list(itertools.islice(frames, count))


def until_said(source: live.Camera, problem: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while problem not in source.problem:
        assert time.monotonic() < deadline, f"after {seconds} s still: {source.problem}"
        time.sleep(0.02)


def check(frames: list[Frame]) -> None:
    """The pictures' numbers tell when they were taken: capture times must agree, for each run of the server."""
    times = [frame.captured for frame in frames]
    assert all(a < b for a, b in itertools.pairwise(times))
    numbers = np.array([cameras.number(frame.image) for frame in frames])
    assert np.all(np.diff(numbers) > 0), numbers
    off = np.array(times) - numbers / cameras.FPS
    assert np.ptp(off) < 0.1, "capture times do not keep the camera's spacing"


@pytest.mark.usefixtures("quick")
def test_a_camera_that_is_killed_stalled_and_restarted_comes_back(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    seen: list[list[Frame]] = []
    with Helper("rtsp_server.py", port, clip) as server:
        source = capture.open(f"rtsp://127.0.0.1:{port}/live")
        assert isinstance(source, live.Camera)
        with source:
            frames = iter(source)
            seen.append(take(frames, 15))
            assert (source.fps, source.size) == (cameras.FPS, cameras.SIZE)

            server.kill()
            until_said(source, f"cannot connect: nothing listens at 127.0.0.1:{port}")
            server.start()
            take(frames, 2)  # of the time before
            seen.append(take(frames, 15))

            with server.stalled():
                until_said(source, "no frame within 2 s")
                until_said(source, "cannot connect: 127.0.0.1 does not answer")
            take(frames, 2)
            seen.append(take(frames, 15))
    for run in seen:
        check(run)
    everything = [frame.captured for run in seen for frame in run]
    assert everything == sorted(everything)
    assert abs(everything[-1] - time.monotonic()) < 30
    assert abs(seen[-1][-1].utc - time.time()) < 30
    assert "next try in about" in caplog.text


def test_a_camera_that_stays_away_counts_as_lost(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with Helper("rtsp_server.py", port, clip) as server, capture.open(f"rtsp://127.0.0.1:{port}/live") as source:
        frames = iter(source)
        take(frames, 5)
        monkeypatch.setattr(live, "PATIENCE_S", 1.5)
        server.kill()
        with pytest.raises(BrokenSource, match=r"nothing listens at .*; no frame for 1\.5 s"):
            take(frames, 1000)


@pytest.mark.usefixtures("quick")
def test_a_login_is_given_where_it_is_asked_for(
    clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    url = f"rtsp://127.0.0.1:{port}/live"
    with Helper("rtsp_server.py", port, clip, f"jim:{SECRET}"):
        with capture.open(url, SourceOptions(credentials=Credentials("jim", SECRET))) as source:
            check(take(iter(source), 10))
        monkeypatch.setattr(live, "PATIENCE_S", 2.0)
        for login, problem in (
            (None, "it asks for a login"),
            (Credentials("jim", SECRET + "!"), "login refused; check user name, password and path"),
        ):
            with pytest.raises(SourceError, match=problem) as caught:
                capture.open(url, SourceOptions(credentials=login)).__enter__()
            assert SECRET not in str(caught.value)
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capfd.readouterr())
