"""Poses from the KLV stream beside the video in an MPEG transport stream (STANAG 4609): a file, or live, UDP or RTSP.

PyAV takes the stream apart; OpenCV, which decodes the pictures, cannot. In a file the packets' presentation times count
from the first frame's, as the frames' own do; where they have none that rise (asynchronous KLV), the first packet is
taken to go with the frame that it comes with, and the others follow by their precision time stamps. Live ones are
placed by the least delay between that stamp and the arrival (`edge.capture.clock`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from edge.capture.clock import StreamClock
from edge.errors import ConfigError, SourceError
from edge.geo import klv
from edge.geo.track import Track

PATIENCE_S = 5.0  # for a live stream to open, and between two of its packets


def read(path: Path, track: Track) -> None:
    """All of a file, in seconds from its first frame. Raises SourceError."""
    av = library()
    placed, now = _Placed(), 0.0
    try:
        with av.open(str(path)) as container:
            first = _first_frame(container)
            for packet in container.demux():
                at = None if packet.pts is None else float(packet.pts * packet.time_base) - first
                if packet.stream.type == "video":
                    now = now if at is None else at
                elif packet.stream.type == "data":
                    shown = now if at is None else at
                    _take(bytes(packet), track, partial(placed.at, shown=shown))
    except (av.FFmpegError, OSError) as error:
        raise SourceError(f"{path}: not a transport stream that can be read: {error}") from error
    track.epoch = placed.epoch
    if track.begins is None:
        raise SourceError(f"{path}: no sensor position (MISB ST 0601) in it; name another source in geo.poses")


def listen(address: str, track: Track, stop: threading.Event) -> None:
    """Packets as they come, on this machine's monotonic clock, until `stop`. Raises SourceError at the stream's end."""
    av = library()
    clock = StreamClock()
    try:
        with av.open(address, timeout=PATIENCE_S) as container:
            for packet in container.demux():
                if stop.is_set():
                    return
                if packet.stream.type == "data":
                    _take(bytes(packet), track, lambda utc: clock.step(utc, time.monotonic()))
    except (av.FFmpegError, OSError) as error:
        raise SourceError(f"klv:{address}: {error}; check the stream") from error
    raise SourceError(f"klv:{address}: the stream ended")


class _Placed:
    """When, on the video's time, the sets of a file hold."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None  # UTC, time of the video
        self._last = -math.inf

    @property
    def epoch(self) -> float | None:
        """UTC of the first frame."""
        return None if self._first is None else self._first[0] - self._first[1]

    def at(self, utc: float, shown: float) -> float:
        """By the presentation time, where it rises from set to set; else by UTC since the first."""
        self._first = self._first or (utc, shown)
        self._last, rises = max(self._last, shown), shown > self._last
        return shown if rises else self._first[1] + utc - self._first[0]


def _take(data: bytes, track: Track, place: Callable[[float], float]) -> None:
    """Every set in a packet; `place` gives the time for a set's UTC."""
    for packet in klv.packets(data):
        said = klv.parse(packet)
        if said is None:
            track.faults += 1
        else:
            klv.take(track, place(said[0]), said[1])


def _first_frame(container: Any) -> float:
    starts = [float(s.start_time * s.time_base) for s in container.streams.video if s.start_time is not None]
    return starts[0] if starts else 0.0


def library() -> Any:
    """What reads them. Raises ConfigError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise ConfigError("poses from KLV need PyAV: pip install 'fgstp-edge[geo]'") from error
    return av
