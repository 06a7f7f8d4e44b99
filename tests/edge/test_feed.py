"""A camera's thread hands over the newest frames, and loses neither news of a fault nor a recording that can wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import feed, playback
from edge.config import CameraSettings
from edge.errors import BrokenSource, SourceError
from edge.feed import Arrival, Ended, Feed, Lost
from edge.records import Frame
from tests.edge.fakes import FPS, picture, write_clip


@pytest.fixture
def open_feed() -> Iterator[Any]:
    """Makes feeds that are stopped at the end."""
    stop, arrived, made = threading.Event(), threading.Condition(), []

    def make(source: str, **camera: Any) -> Feed:
        made.append(Feed(CameraSettings(name="north", source=source, fps=FPS, **camera), stop, arrived))
        made[-1].start()
        return made[-1]

    yield make
    stop.set()
    for one in made:
        one.join(10)
        assert not one._thread.is_alive()


def next_news(one: Feed, seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not one.waiting:
        assert time.monotonic() < deadline, "no news"
        time.sleep(0.002)
    return one.take()


def test_a_recording_that_can_wait_loses_no_frame(open_feed, tmp_path):
    one = open_feed(str(write_clip(tmp_path / "clip", 12)), realtime=False)
    indices = []
    while not isinstance(news := next_news(one), Ended):
        indices.append(news.frame.index)
        time.sleep(0.01)
    assert indices == list(range(12))
    assert one.dropped == 0


def test_two_frames_wait_and_give_way_to_later_ones() -> None:
    one = Feed(CameraSettings(name="north", source="rtsp://camera"), threading.Event(), threading.Condition())
    arrivals = [Arrival(Frame(picture(False, n), n, n / FPS, n / FPS), 0.0) for n in range(4)]
    for arrival in arrivals[:2]:
        one._put(arrival)
    assert one.dropped == 0, "a short hold-up costs nothing"
    for arrival in arrivals[2:]:
        one._put(arrival)
    assert one.dropped == 2
    assert [one.take(), one.take(), one.take()] == [*arrivals[2:], None]


def test_who_is_slow_gets_the_newest_frames_and_the_last_word(open_feed, tmp_path):
    one = open_feed(str(write_clip(tmp_path / "clip", 20)))
    first = next_news(one)
    time.sleep(0.4)
    second = next_news(one)
    assert second.frame.index - first.frame.index >= 5
    assert time.monotonic() - second.at < 0.3
    seen = 2
    while not isinstance(next_news(one), Ended):
        seen += 1
    assert one.dropped == 20 - seen


class Flaky:
    """A camera that gives some frames and breaks, or is not there at all."""

    fps, size, frames, name, dropped = FPS, (320, 240), None, "camera", 0
    lives: Iterator[int | None]

    def __init__(self) -> None:
        self._left = next(self.lives, None)
        if self._left is None:
            raise SourceError("rtsp://camera: refused")

    def __enter__(self) -> Flaky:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[Frame]:
        assert self._left is not None
        for number in range(self._left):
            yield Frame(picture(False, number), number, number / FPS, number / FPS)
        raise BrokenSource("rtsp://camera: no more frames")


def test_a_lost_camera_is_said_once_a_try_and_found_again(open_feed, monkeypatch):
    monkeypatch.setattr(feed, "RETRY_S", (0.02, 0.08))
    monkeypatch.setattr(Flaky, "lives", iter([2, None, None, 2]), raising=False)
    monkeypatch.setattr(playback.capture, "open", lambda *_args, **_options: Flaky())
    one = open_feed("rtsp://camera")
    said = [next_news(one) for _ in range(6)]
    waits = [news.wait for news in said if isinstance(news, Lost)]
    assert waits[:3] == [0.02, 0.04, 0.08], "a wait grows while the camera stays away"
    assert any(isinstance(news, Arrival) for news in said[3:]), "and it comes back"


def test_news_of_a_fault_is_not_overwritten(open_feed, monkeypatch):
    monkeypatch.setattr(feed, "RETRY_S", (0.01, 0.01))
    monkeypatch.setattr(Flaky, "lives", iter([None, 50, None]), raising=False)
    monkeypatch.setattr(playback.capture, "open", lambda *_args, **_options: Flaky())
    one = open_feed("rtsp://camera")
    time.sleep(0.2)
    assert isinstance(next_news(one), Lost)


def test_a_recording_that_breaks_is_lost_for_good(open_feed, tmp_path):
    clip = write_clip(tmp_path / "clip", 6)
    (clip / "000003.png").write_bytes(b"no picture")
    one = open_feed(str(clip), realtime=False)
    said = [next_news(one) for _ in range(4)]
    assert [type(news) for news in said] == [Arrival, Arrival, Arrival, Lost]
    assert said[-1].wait is None


def test_a_thread_that_retries_is_alive_and_one_that_hangs_is_not(open_feed, monkeypatch):
    hang = threading.Event()
    monkeypatch.setattr(feed, "RETRY_S", (0.05, 0.05))
    monkeypatch.setattr(feed, "STUCK_S", 2.0)
    monkeypatch.setattr(playback.capture, "open", lambda *_args, **_options: Flaky())
    monkeypatch.setattr(Flaky, "lives", iter([]), raising=False)
    one = open_feed("rtsp://camera")
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        if one.waiting:
            one.take()
        assert one.alive
        time.sleep(0.05)
    monkeypatch.setattr(playback.capture, "open", lambda *_args, **_options: hang.wait(20) and Flaky())
    deadline = time.monotonic() + 15
    while one.alive:
        assert time.monotonic() < deadline
        if one.waiting:
            one.take()
        time.sleep(0.05)
    hang.set()


def test_stopping_ends_a_thread_that_waits_to_be_heard(tmp_path: Path):
    stop, arrived = threading.Event(), threading.Condition()
    clip = write_clip(tmp_path / "clip", 5)
    one = Feed(CameraSettings(name="north", source=str(clip), fps=FPS, realtime=False), stop, arrived)
    one.start()
    deadline = time.monotonic() + 10
    while not one.waiting:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stop.set()
    one.join(5)
    assert not one._thread.is_alive()
