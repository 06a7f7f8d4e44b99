"""Footage and cameras as an iterator of Frames.

    with capture.open("clip.mp4") as frames:
        for frame in frames: ...

A recording knows no wall clock: its `utc` counts from the epoch, so that the same footage gives the same events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol

from edge.errors import ConfigError, SourceError
from edge.records import Frame

DEFAULT_FPS = 15.0  # of a source that does not say
LIVE = ("rtsp://", "rtsps://", "/dev/video")
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


def open(
    source: str,
    *,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    dtype: Literal["uint8", "uint16"] = "uint8",
) -> Source:
    """A video file, a folder of images or one image, `-` (raw grey frames on stdin), rtsp:// or /dev/videoN.

    `fps` overrides what a recording says of itself; `size` (width, height) and `dtype` describe raw frames. Raises
    SourceError, or ConfigError where a needed value is not given.
    """
    if source == "-":
        from edge.capture.raw import RawFrames

        if size is None:
            raise ConfigError("source '-': raw frames carry no size; give --size WIDTHxHEIGHT")
        return RawFrames(size, dtype, fps or DEFAULT_FPS)
    if source.startswith(LIVE):
        from edge.capture.live import Camera

        return Camera(source, fps=fps)
    if "://" in source:
        raise SourceError(f"{without_credentials(source)}: unknown kind of source; use rtsp://, /dev/videoN or a path")
    path = Path(source)
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    if path.is_dir() or path.suffix.lower() in IMAGES:
        from edge.capture.images import Images

        return Images(path, fps or DEFAULT_FPS)
    from edge.capture.file import VideoFile

    return VideoFile(path, fps)


def without_credentials(text: str) -> str:
    """A message with user names, passwords and tokens of any URL in it blotted out."""
    text = re.sub(r"(\w+://)\S*@", r"\1***@", text)
    return re.sub(r"(?i)\b(user\w*|pass\w*|pwd|token|key)=[^&\s]*", r"\1=***", text)


def topic_name(text: str) -> str:
    """A name that can be one level of a topic."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64] or "camera"
