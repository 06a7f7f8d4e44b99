"""One camera's frames, from a thread of its own, into a place for two: the newest count.

The second evens out what takes longer now and then, such as a clip on its way to the disk: a box that keeps up on the
whole loses no frame, and on one that does not a frame is older by one frame's time at most.

A camera that fails is tried again after waits that double up to a cap; the other cameras do not notice. A recording
that is not played in real time loses nothing: its thread waits until the frame before has been taken.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from dataclasses import dataclass

from edge.config import CameraSettings
from edge.errors import FgstpError
from edge.playback import Playback, is_live
from edge.records import Frame

RETRY_S = (1.0, 30.0)  # first and longest wait before a lost camera is tried again
ROOM = 2  # frames of a camera that wait; a recording that can wait has one: each is only older there
STUCK_S = 60.0  # a thread that hangs in a camera's driver for longer is a fault; opening may take 20 s


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame, and when it came."""

    frame: Frame
    at: float  # time.monotonic()


@dataclass(frozen=True, slots=True)
class Lost:
    """The camera gives nothing; it is tried again in `wait` seconds, or never."""

    error: FgstpError
    wait: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The recording is over."""


News = Arrival | Lost | Ended


class Feed:
    """What one camera has to say, one piece at a time, for whoever serves several of them."""

    def __init__(self, camera: CameraSettings, stop: threading.Event, arrived: threading.Condition) -> None:
        """`arrived` is notified whenever some feed has news."""
        self._camera, self._stop, self._arrived = camera, stop, arrived
        self._place = threading.Condition()  # over the news; of this feed alone, or each frame would wake all cameras
        self._lossless = not is_live(camera.source) and not camera.realtime
        self._room = 1 if self._lossless else ROOM
        self._news: deque[News] = deque()
        self._overtaken = 0  # frames that nobody took before the next one came
        self._skipped = 0  # frames that the source itself gave up, over all passes so far
        self._thread = threading.Thread(target=self._run, name=f"feed {camera.name}", daemon=True)
        self._ticked = time.monotonic()  # when the thread was last seen alive

    def start(self) -> None:
        """Open the camera, in the background."""
        self._thread.start()

    @property
    def waiting(self) -> bool:
        """Whether there is news."""
        return bool(self._news)

    @property
    def dropped(self) -> int:
        """Frames overtaken by newer ones before they were computed."""
        return self._overtaken + self._skipped

    @property
    def alive(self) -> bool:
        """Whether the thread still turns, be it that it waits for its camera, or has ended with its recording."""
        return not self._thread.is_alive() or time.monotonic() - self._ticked < STUCK_S

    def take(self) -> News | None:
        """The oldest news, once."""
        with self._place:
            news = self._news.popleft() if self._news else None
            self._place.notify()  # a recording may be waiting for this
        return news

    def join(self, patience_s: float) -> None:
        """Wait for the thread after `stop`."""
        if self._thread.ident is not None:
            self._thread.join(patience_s)

    def _run(self) -> None:
        wait = RETRY_S[0]
        while not self._stop.is_set():
            playback, before, came = Playback(self._camera, self._stop), self._skipped, False
            try:
                for frame in playback:
                    came = True
                    self._skipped = before + playback.dropped
                    self._put(Arrival(frame, time.monotonic()))
                self._put(Ended())
                return
            except FgstpError as error:
                if not is_live(self._camera.source):
                    self._put(Lost(error, None))
                    return
                wait = RETRY_S[0] if came else min(wait * 2, RETRY_S[1])
                self._put(Lost(error, wait))
            self._pause(wait * random.uniform(0.5, 1.0))  # a hundred boxes must not knock at one switch in step

    def _put(self, news: News) -> None:
        """Leave `news` to be taken. Where there is no room, a frame gives way to a later one; nothing else does."""
        self._ticked = time.monotonic()
        with self._place:
            while len(self._news) >= self._room and not self._gives_way(news) and not self._stop.is_set():
                self._place.wait(0.5)
                self._ticked = time.monotonic()
            if len(self._news) >= self._room:
                self._overtaken += isinstance(self._news.popleft(), Arrival)
            self._news.append(news)
        with self._arrived:
            self._arrived.notify_all()

    def _gives_way(self, later: News) -> bool:
        return not self._lossless and isinstance(self._news[0], Arrival) and isinstance(later, Arrival)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.wait(min(0.5, left)):
            self._ticked = time.monotonic()
