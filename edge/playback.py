"""A camera's frames as `run` wants them: live as they come, or a recording at camera rate, once or without end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

from edge import capture
from edge.capture import SourceOptions, credentials
from edge.config import CameraSettings
from edge.errors import ConfigError
from edge.records import Array, Frame

PINGPONG_BYTES = 1 << 30  # a clip played backwards is held in memory whole


class Playback:
    """One pass over a camera; iterate it once."""

    def __init__(self, camera: CameraSettings, stop: threading.Event) -> None:
        self._camera, self._stop = camera, stop
        self.dropped = 0  # frames whose time had passed before they were asked for

    def __iter__(self) -> Iterator[Frame]:
        """Raises SourceError like the source itself; ends with the recording or when asked to stop."""
        frames = self._live() if is_live(self._camera.source) else self._recorded()
        for frame in frames:
            if self._stop.is_set():
                return
            yield frame

    def _live(self) -> Iterator[Frame]:
        with self._open() as source:
            for frame in source:
                self.dropped = source.dropped
                yield frame

    def _recorded(self) -> Iterator[Frame]:
        """Time goes on over every repetition: the wrap of a loop is a cut in the picture, not in time."""
        start, utc = time.monotonic(), time.time()
        for index, (image, fps) in enumerate(self._images()):
            captured = index / fps
            if self._camera.realtime:
                early = start + captured - time.monotonic()
                if early < -1 / fps:  # a camera would not have waited for us
                    self.dropped += 1
                    continue
                self._stop.wait(max(0.0, early))
            yield Frame(image, index, captured, utc + captured)

    def _images(self) -> Iterator[tuple[Array, float]]:
        """Pictures with the frame rate they are meant for."""
        while True:
            with self._open() as source:
                if self._camera.repeat == "pingpong":
                    clip = self._held(source)
                    there_and_back = clip + clip[-2:0:-1]  # no picture twice in a row: that would be a frozen camera
                    yield from ((image, source.fps) for image in itertools.cycle(there_and_back))
                yield from ((frame.image, source.fps) for frame in source)
            if self._camera.repeat == "once":
                return

    def _held(self, source: capture.Source) -> list[Array]:
        clip: list[Array] = []
        room = PINGPONG_BYTES
        for frame in source:
            clip.append(frame.image.copy())
            room -= frame.image.nbytes
            if room < 0:
                raise ConfigError(
                    f"{self._camera.source}: too long to be played backwards from memory; use repeat: loop"
                )
        return clip

    def _open(self) -> capture.Source:
        """The login is looked up each time: a password that was changed in its file serves from the next time on."""
        camera = self._camera
        login = credentials.find(camera.username, camera.password_file) if is_live(camera.source) else None
        options = SourceOptions(fps=camera.fps, size=camera.shape, pixel_format=camera.pixel_format, credentials=login)
        return capture.open(camera.source, options)


def is_live(source: str) -> bool:
    """Whether a source comes back after a fault: a camera does, a recording does not."""
    return source.startswith(capture.LIVE)
