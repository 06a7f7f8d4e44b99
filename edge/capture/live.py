"""Cameras: RTSP and Video4Linux. The newest frame counts; what comes while we compute is dropped.

A thread reads, since a decoder that is not drained falls behind, and connects again after a fault: at once, then after
waits that double up to a cap and are jittered, so that a hundred boxes do not knock at one switch in step.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import cv2

from edge.capture import DEFAULT_FPS, topic_name, without_credentials
from edge.capture.file import quiet_decoder
from edge.errors import BrokenSource, SourceError
from edge.records import Array, Frame

log = logging.getLogger("capture")

TIMEOUT_S = 5.0  # for opening, and for each frame
PATIENCE_S = 10.0  # without a frame the camera counts as lost
BACK_OFF_S = (0.5, 8.0)  # first and longest wait


class Camera:
    """A live source; connected, and its first frame seen, when entered.

    Raises SourceError when entered in vain, BrokenSource after PATIENCE_S without a frame: whether to go on is for the
    caller to say.
    """

    def __init__(self, source: str, *, fps: float | None = None, connect: Callable[[str], Any] | None = None) -> None:
        self._source = source
        self._connect = connect or connect_camera
        self._shown = without_credentials(source)
        self.name = topic_name(self._shown.rpartition("@")[2].partition("://")[2] or self._shown)
        self.fps = fps or DEFAULT_FPS
        self.size = (0, 0)  # known once entered
        self.frames: int | None = None
        self.dropped = 0
        self._said_fps = fps
        self._fresh = threading.Condition()
        self._newest: tuple[Array, float, float] | None = None  # image, monotonic time, utc; None: taken already
        self._stop = threading.Event()
        self._reader = threading.Thread(target=self._read, name="capture", daemon=True)
        self._problem = "no frame came"

    def __enter__(self) -> Camera:
        quiet_decoder()
        self._reader.start()
        with self._fresh:
            arrived = self._fresh.wait_for(lambda: self._newest is not None, PATIENCE_S)
        if not arrived:
            self._close()
            raise SourceError(
                f"{self._shown}: {self._problem} within {PATIENCE_S:g} s; check address, power and network"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            with self._fresh:
                if not self._fresh.wait_for(lambda: self._newest is not None, PATIENCE_S):
                    raise BrokenSource(f"{self._shown}: {self._problem} for {PATIENCE_S:g} s")
                assert self._newest is not None
                image, captured, utc = self._newest
                self._newest = None
            yield Frame(image, index, captured, utc)
            index += 1

    def _close(self) -> None:
        self._stop.set()
        self._reader.join(2 * TIMEOUT_S)

    def _read(self) -> None:
        """The thread: connect, read until it fails, wait, again."""
        wait = BACK_OFF_S[0]
        while not self._stop.is_set():
            device = self._connect(self._source)
            if device.isOpened():
                said = float(device.get(cv2.CAP_PROP_FPS))
                if self._said_fps is None and 0 < said <= 240:
                    self.fps = said
                if self._drain(device):
                    wait = BACK_OFF_S[0]
                self._problem = "the stream ended, no frame came"
            else:
                self._problem = "cannot connect"
            device.release()
            if not self._stop.is_set():
                log.warning("%s: %s; next try in about %.1f s", self._shown, self._problem, wait)
                self._stop.wait(wait * random.uniform(0.5, 1.5))
                wait = min(2 * wait, BACK_OFF_S[1])

    def _drain(self, device: Any) -> bool:
        """Hand over frames until the device gives no more; whether it gave any."""
        any_came = False
        while not self._stop.is_set():
            came, image = device.read()
            if not came or image is None or not image.size:
                break
            any_came = True
            self.size = (image.shape[1], image.shape[0])
            with self._fresh:
                self.dropped += self._newest is not None
                self._newest = image, time.monotonic(), time.time()
                self._fresh.notify_all()
        return any_came


def connect_camera(source: str) -> Any:
    """An OpenCV capture, opened or not."""
    if source.startswith("/dev/"):
        return cv2.VideoCapture(source, cv2.CAP_V4L2)
    os.environ.setdefault(
        "OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp"
    )  # over UDP lost packets smear the picture
    timeout = int(1000 * TIMEOUT_S)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout]
    return cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
