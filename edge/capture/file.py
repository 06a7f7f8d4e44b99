"""Video files, as far as OpenCV's FFmpeg reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2

from edge.capture import DEFAULT_FPS, topic_name
from edge.errors import BrokenSource, SourceError
from edge.records import Array, Frame

# Many containers give no count but a duration: what is short by no more than this is complete.
SHORT_FRAMES, SHORT_SHARE = 2, 0.02


class VideoFile:
    """A recording; opened, and its first frame decoded, when it is made."""

    def __init__(self, path: Path, fps: float | None = None) -> None:
        self._path = path
        quiet_decoder()
        if path.stat().st_size == 0:
            raise SourceError(f"{path}: the file is empty")
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        found, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not found or first is None or not first.size:
            self._capture.release()
            raise SourceError(f"{path}: not a video that can be decoded; convert it, for example with ffmpeg, to H.264")
        self._first: Array = first
        said = float(self._capture.get(cv2.CAP_PROP_FPS))
        self._timed = fps is None  # whether the frames' own times count
        self.fps = fps or (said if 0 < said <= 1000 else DEFAULT_FPS)
        self.size = (first.shape[1], first.shape[0])
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frames = count if count > 0 else None
        self.dropped = 0
        self.name = topic_name(path.stem)

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        found, image, index, captured = True, self._first, 0, 0.0
        while found:
            if image.shape != self._first.shape:
                raise BrokenSource(f"{self._path}: the picture changes its size at frame {index}; split the file there")
            captured = self._time(index, captured)
            yield Frame(image, index, captured, captured)
            index += 1
            found, image = self._capture.read()
        expected = self.frames or 0
        if index < expected - max(SHORT_FRAMES, SHORT_SHARE * expected):
            raise BrokenSource(f"{self._path}: breaks after frame {index - 1}: {index} of {expected} frames decode")

    def _time(self, index: int, last: float) -> float:
        """Seconds from the frame's own time stamp; where those do not rise, one frame after the last."""
        if not self._timed:
            return index / self.fps
        own = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0
        return own if index == 0 or own > last else last + 1.0 / self.fps


def quiet_decoder() -> None:
    """Keep FFmpeg and OpenCV from writing to the terminal; what matters becomes an error of ours."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when the first capture is made
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
