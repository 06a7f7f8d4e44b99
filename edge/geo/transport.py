"""Poses from the KLV stream beside the video in an MPEG transport stream (STANAG 4609): a file, or live, UDP or RTSP.

PyAV takes the stream apart; OpenCV, which decodes the pictures, cannot. In a file the packets' presentation times count
from the first frame's, as the frames' own do. Packets that have none (asynchronous KLV) and live ones are placed by
their precision time stamp: the least delay against what arrives with them (`edge.capture.clock`).
"""

from __future__ import annotations

import threading
import time
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
    clock, now = StreamClock(), 0.0
    try:
        with av.open(str(path)) as container:
            first = _first_frame(container)
            for packet in container.demux():
                at = None if packet.pts is None else float(packet.pts * packet.time_base) - first
                if packet.stream.type == "video":
                    now = now if at is None else at
                elif packet.stream.type == "data":
                    _take(bytes(packet), track, clock, at, now)
    except (av.FFmpegError, OSError) as error:
        raise SourceError(f"{path}: not a transport stream that can be read: {error}") from error
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
                    _take(bytes(packet), track, clock, None, time.monotonic())
    except (av.FFmpegError, OSError) as error:
        raise SourceError(f"klv:{address}: {error}; check the stream") from error
    raise SourceError(f"klv:{address}: the stream ended")


def _take(data: bytes, track: Track, clock: StreamClock, at: float | None, now: float) -> None:
    for packet in klv.packets(data):
        said = klv.parse(packet)
        if said is None:
            track.faults += 1
        else:
            klv.take(track, clock.step(said[0], now) if at is None else at, said[1])


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
