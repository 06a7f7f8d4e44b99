"""Footage and cameras as an iterator of Frames.

    with capture.open("clip.mp4") as frames:
        for frame in frames: ...

A recording knows no wall clock: its `utc` counts from the epoch, so that the same footage gives the same events.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol

from edge.capture.credentials import Credentials
from edge.errors import ConfigError, SourceError
from edge.records import Frame

DEFAULT_FPS = 15.0  # of a source that does not say
LIVE = ("rtsp://", "rtsps://", "/dev/video", "gst:", "aravis:")  # how a camera's source begins
IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


class Source(Protocol):
    """Frames in the order of their capture; iterate once, inside `with`.

    Raises SourceError when opened or before the first frame, BrokenSource when it breaks after frames that are good.
    """

    name: str  # fit for a topic: letters, digits, . _ -
    fps: float  # nominal
    size: tuple[int, int]  # width, height
    frames: int | None  # in total, where known beforehand
    dropped: int  # frames overtaken by newer ones before they were asked for; a recording drops none

    def __enter__(self) -> Source: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __iter__(self) -> Iterator[Frame]: ...


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a source is asked for, or does not say of itself; each kind of source takes what concerns it."""

    fps: float | None = None  # overrides what a recording says; a device is asked for it
    size: tuple[int, int] | None = None  # width, height: of raw frames; /dev/videoN is asked for it
    dtype: Literal["uint8", "uint16"] = "uint8"  # of raw frames
    pixel_format: str | None = None  # what /dev/videoN (Y16) and aravis: (Mono16) are asked for
    credentials: Credentials | None = None  # of rtsp:// and of gst: with an rtspsrc in it


PLAIN = SourceOptions()


def open(source: str, options: SourceOptions = PLAIN) -> Source:
    """A video file, a folder of images or one image, `-` (raw grey frames on stdin), or a camera: rtsp://, /dev/videoN,
    gst:PIPELINE or aravis:NAME (docs/sources.md).

    Raises SourceError, or ConfigError where a needed value is not given.
    """
    if source == "-":
        from edge.capture.raw import RawFrames

        if options.size is None:
            raise ConfigError("source '-': raw frames carry no size; give --size WIDTHxHEIGHT")
        return RawFrames(options.size, options.dtype, options.fps or DEFAULT_FPS)
    if source.startswith(LIVE):
        return _camera(source, options)
    if "://" in source:
        raise SourceError(
            f"{without_credentials(source)}: unknown kind of source; "
            "use rtsp://, /dev/videoN, gst:PIPELINE, aravis:NAME or a path"
        )
    path = Path(source)
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    if path.is_dir() or path.suffix.lower() in IMAGES:
        from edge.capture.images import Images

        return Images(path, options.fps or DEFAULT_FPS)
    from edge.capture.file import VideoFile

    return VideoFile(path, options.fps)


def _camera(source: str, options: SourceOptions) -> Source:
    """Not connected yet; a library that is missing, or a pipeline that cannot be built, is refused at once."""
    from edge.capture.live import Camera, Connect

    connect: Connect
    if source.startswith("gst:"):
        from edge.capture import gstreamer

        _at_once(source, functools.partial(gstreamer.parse, source))
        connect = functools.partial(gstreamer.Pipeline, source, options)
    elif source.startswith("aravis:"):
        from edge.capture import aravis

        _at_once(source, aravis.bindings)
        connect = functools.partial(aravis.GenICam, source, options)
    else:
        from edge.capture import opencv

        opening = opencv.connect_v4l2 if source.startswith("/dev/") else opencv.connect_rtsp
        connect = functools.partial(opening, source, options)
    return Camera(source, connect, options.fps)


def _at_once(source: str, check: Callable[[], object]) -> None:
    try:
        check()
    except SourceError as error:
        raise SourceError(without_credentials(f"{source}: {error}")) from error


def without_credentials(text: str) -> str:
    """A message with user names, passwords and tokens of any URL in it blotted out."""
    text = re.sub(r"(\w+://)\S*@", r"\1***@", text)
    return re.sub(r"(?i)\b(user[\w-]*|pass\w*|pwd|token|key)\s*=\s*(\"[^\"]*\"|[^&\s]*)", r"\1=***", text)


def topic_name(text: str) -> str:
    """A name that can be one level of a topic."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64] or "camera"
