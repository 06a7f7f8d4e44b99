"""The process under test: `python -m tests.faults.device CONFIG KEEPALIVE_S`.

The real service from its cameras' reader threads to the broker. What is replaced, all of it before anything starts: the
model (bright is gas), one connection to a camera (pictures come from `tests.faults.camera`), patience (so that a test
need not wait for minutes), and the clock, which SIGUSR1 and SIGUSR2 set an hour on and back.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

HOUR_S = 3600.0
_true_time, _offset_s = time.time, 0.0
time.time = lambda: _true_time() + _offset_s  # before edge is imported: some of it keeps the function

import numpy as np  # noqa: E402

from edge import config, courier, feed, link, outbox, quality, service  # noqa: E402
from edge.capture import SourceOptions, live, opencv  # noqa: E402
from edge.errors import SourceError  # noqa: E402
from edge.records import Array, Frame, Quality, Segmentation  # noqa: E402
from tests.edge.fakes import FakeSegmenter  # noqa: E402
from tests.faults.camera import BUFFER, FPS  # noqa: E402

WIDTH, HEIGHT = 320, 240
live.TIMEOUT_S, live.PATIENCE_S, live.BACK_OFF_S = 0.5, 1.0, (0.1, 0.2)
feed.RETRY_S = (0.2, 0.2)
outbox.RETRY_S = courier.REFUSED_S = 0.5
_set_delay = link.Client.reconnect_delay_set
link.Client.reconnect_delay_set = lambda self, **_delays: _set_delay(self, 0.2, 0.5)


class Scripted:
    """One connection to a scripted camera."""

    fps: float | None = FPS

    def __init__(self, source: str) -> None:
        address = urlsplit(source)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._socket.settimeout(live.TIMEOUT_S)
        try:
            self._socket.connect((address.hostname, address.port))
        except OSError as error:
            self._socket.close()
            raise SourceError(f"cannot connect: {error}") from error

    def read(self) -> tuple[Array, float | None]:
        image = np.empty((HEIGHT, WIDTH), np.uint8)
        left = memoryview(image).cast("B")
        try:
            while left:
                came = self._socket.recv_into(left)
                if not came:
                    raise SourceError("the stream ended")
                left = left[came:]
        except OSError as error:
            raise SourceError(f"no frame: {error}") from error
        return image, None

    def close(self) -> None:
        self._socket.close()


class Eye(FakeSegmenter):
    """Bright is gas; a picture that stands still is a frozen camera."""

    def __init__(self) -> None:
        super().__init__()
        self._watch = quality.Watch()

    def reset(self, *, keep_view: bool = False) -> None:
        self._watch.reset()

    def step(self, frame: Frame) -> Segmentation:
        made = super().step(frame)
        verdict = self._watch.step(frame.image, made.image, frame.captured)
        return replace(made, quality=made.quality | (verdict.quality & Quality.FROZEN))


def connect(source: str, _options: SourceOptions) -> Scripted:
    return Scripted(source)


def jump(number: int, _frame: Any) -> None:
    global _offset_s
    _offset_s += HOUR_S if number == signal.SIGUSR1 else -HOUR_S


def main(path: str, keepalive_s: int) -> None:
    made = config.load(path)
    mqtt = made.mqtt.model_copy(update={"keepalive_s": keepalive_s})  # less than a user may ask for
    fake = FakeSegmenter()
    service.load_model = lambda *_args: (fake.spec, fake.backend)  # type: ignore[assignment,return-value]
    service.segmenter_for = lambda *_args: Eye()  # type: ignore[assignment,return-value]
    opencv.connect_rtsp = connect  # type: ignore[assignment]
    signal.signal(signal.SIGUSR1, jump)
    signal.signal(signal.SIGUSR2, jump)
    service.run(made.model_copy(update={"mqtt": mqtt}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
