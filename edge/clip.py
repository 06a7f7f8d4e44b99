"""The last seconds of one camera in memory, as JPEGs, and a video made of them.

Measured with 320x240 thermal pictures on one x86-64 core: 0.1 to 0.2 ms and 5 to 17 kB for each picture in memory,
1.3 ms and 8 to 21 kB for each in the video. The video is Motion JPEG in AVI from OpenCV's own writer: every OpenCV has
it, every player knows it. Its pictures differ from the camera's by 1.0 grey levels in the mean; MPEG-4 at OpenCV's bit
rate smears faint gas (4.1), VP8 takes fifteen times as long.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.errors import StorageError
from edge.records import Array

KEPT, SHOWN, STILL = 90, 80, 95  # JPEG quality of pictures in memory, in a video (another encoder's scale), of stills


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame of the past."""

    captured: float
    jpeg: bytes


class Ring:
    """At most `max_bytes` of the newest pictures. Where that is too little, every other one goes, not the oldest."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pictures: deque[Picture] = deque()
        self._bytes = 0
        self._spacing = 0.0  # s between two pictures at least

    @property
    def bytes(self) -> int:
        """What it holds."""
        return self._bytes

    def add(self, image: Array, captured: float) -> None:
        """Take an 8-bit picture, grey or BGR, younger than all before."""
        if self._pictures and captured - self._pictures[-1].captured < self._spacing:
            return
        self._pictures.append(Picture(captured, jpeg(image, KEPT)))
        self._bytes += len(self._pictures[-1].jpeg)
        while self._bytes > self._max_bytes:
            self._thin()

    def forget_before(self, captured: float) -> None:
        """Let go what is older."""
        while self._pictures and self._pictures[0].captured < captured:
            self._bytes -= len(self._pictures.popleft().jpeg)
        if self._bytes < self._max_bytes / 4:
            self._spacing = 0.0

    def between(self, first: float, last: float) -> tuple[Picture, ...]:
        """The pictures of this time, both ends included."""
        return tuple(picture for picture in self._pictures if first <= picture.captured <= last)

    def clear(self) -> None:
        """Forget all."""
        self._pictures.clear()
        self._bytes, self._spacing = 0, 0.0

    def _thin(self) -> None:
        self._pictures = deque(list(self._pictures)[1::2])
        self._bytes = sum(len(picture.jpeg) for picture in self._pictures)
        if len(self._pictures) > 1:
            span = self._pictures[-1].captured - self._pictures[0].captured
            self._spacing = 0.9 * span / (len(self._pictures) - 1)  # a little less, for uneven frame times


def jpeg(image: Array, quality: int) -> bytes:
    """An 8-bit picture as JPEG."""
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def write(pictures: Sequence[Picture], path: Path) -> None:
    """A video that takes as long as the pictures took; a gap shows the picture before it. Raises StorageError."""
    times = [picture.captured for picture in pictures]
    apart = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    fps = max(1, round(1 / max(apart, 0.004)))  # AVI and this writer know whole rates only
    height, width = _decoded(pictures[0]).shape[:2]
    mjpg = cv2.VideoWriter.fourcc(*"MJPG")
    video = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, mjpg, float(fps), (width, height))
    video.set(cv2.VIDEOWRITER_PROP_QUALITY, SHOWN)
    written = 0
    for picture, after in itertools.zip_longest(pictures, times[1:]):
        shown = cv2.resize(_decoded(picture), (width, height))  # a camera may change its size
        until = written + 1 if after is None else round((after - times[0]) * fps)
        for _ in range(written, until):
            video.write(shown)
        written = max(written, until)
    video.release()
    if frames(path) != written:  # the writer is silent about a disk that is full
        raise StorageError(f"{path}: a clip that was written cannot be read back; is the disk full?")


def frames(path: Path) -> int:
    """How many frames a video really has."""
    video = cv2.VideoCapture(str(path))
    count = 0
    while video.grab():
        count += 1
    video.release()
    return count


def _decoded(picture: Picture) -> Array:
    image: Array | None = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None  # we have encoded it ourselves
    return image
