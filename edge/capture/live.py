"""Cameras: whatever the device, the newest frame counts; what comes while we compute is dropped.

A thread reads, since a decoder that is not drained falls behind, and connects again after a fault: at once, then after
waits that double up to a cap and are jittered, so that a hundred boxes do not knock at one switch in step.
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol

from edge.capture import DEFAULT_FPS, topic_name, without_credentials
from edge.capture.clock import StreamClock
from edge.errors import BrokenSource, SourceError
from edge.records import Array, Frame

log = logging.getLogger("capture")

TIMEOUT_S = 5.0  # for opening, and for each frame
PATIENCE_S = 10.0  # without a frame the camera counts as lost
BACK_OFF_S = (0.5, 8.0)  # first and longest wait
SETTLE_S = 1.0  # for the first frames of a connection, whose times are not known yet: they are left out
FASTEST = 240.0  # frames a second; who says more says nothing


class Device(Protocol):
    """One connection to a camera, open from the start."""

    fps: float | None  # what it says of itself

    def read(self) -> tuple[Array, float | None]:
        """The next picture and its stamp in seconds on the stream's own clock, None where it has none.

        Raises SourceError when the stream ends, or gives nothing for TIMEOUT_S: the problem alone, not the source.
        """
        ...

    def close(self) -> None: ...


Connect = Callable[[], Device]  # raises SourceError: the problem alone


class Camera:
    """A live source; connected, and its first frame seen, when entered.

    Raises SourceError when entered in vain, BrokenSource after PATIENCE_S without a frame: whether to go on is for the
    caller to say.
    """

    def __init__(self, source: str, connect: Connect, fps: float | None = None) -> None:
        self._shown = without_credentials(source)
        self._connect = connect
        self.name = topic_name(self._shown.rpartition("@")[2].partition("://")[2] or self._shown)
        self.fps = fps or DEFAULT_FPS
        self.size = (0, 0)  # known once entered
        self.frames: int | None = None
        self.dropped = 0
        self.problem = "no frame came"  # the latest; for people
        self._said_fps = fps
        self._fresh = threading.Condition()
        self._newest: tuple[Array, float, float] | None = None  # image, monotonic time, utc; None: taken already
        self._stop = threading.Event()
        self._reader = threading.Thread(target=self._read, name="capture", daemon=True)

    def __enter__(self) -> Camera:
        self._reader.start()
        with self._fresh:
            arrived = self._fresh.wait_for(lambda: self._newest is not None, PATIENCE_S)
        if not arrived:
            self._close()
            raise SourceError(f"{self._shown}: {self.problem}; gave up after {PATIENCE_S:g} s")
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
                    raise BrokenSource(f"{self._shown}: {self.problem}; no frame for {PATIENCE_S:g} s")
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
            with self._problems():
                device = self._connect()
                with contextlib.closing(device), self._problems():  # named before it is closed, which may take time
                    for _ in self._pictures(device):
                        wait = BACK_OFF_S[0]
            if not self._stop.is_set():
                log.warning("%s: %s; next try in about %.1f s", self._shown, self.problem, wait)
                self._stop.wait(wait * random.uniform(0.5, 1.5))
                wait = min(2 * wait, BACK_OFF_S[1])

    @contextlib.contextmanager
    def _problems(self) -> Iterator[None]:
        """What goes wrong in here ends it, and is remembered."""
        try:
            yield
        except SourceError as error:
            self.problem = without_credentials(str(error))

    def _pictures(self, device: Device) -> Iterator[None]:
        """Hand over one picture after the other, until the device gives no more or nobody wants them."""
        clock = StreamClock()
        began = math.inf
        while not self._stop.is_set():
            image, stamp = device.read()
            arrived, utc = time.monotonic(), time.time()
            captured = clock.step(stamp, arrived)
            began = min(began, arrived)
            if not clock.settled and arrived - began < SETTLE_S:
                continue
            self.size = (image.shape[1], image.shape[0])
            if self._said_fps is None and device.fps and 0 < device.fps <= FASTEST:
                self.fps = device.fps
            with self._fresh:
                self.dropped += self._newest is not None
                self._newest = image, captured, utc - (arrived - captured)
                self._fresh.notify_all()
            yield
