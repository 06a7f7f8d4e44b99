"""A camera outside the process under test that shows gas by a script, so that the alarms to come are known beforehand.

It shows gas and no gas in turn. Each of the two stands until HOLD pictures in a row went to one connection without a
fault: more than a delay of the alarm, so that the device has seen it and had time to write it down, whatever became of
it in between. So every leak counted in `leaks` must be told from start to end, once, and no other.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time

import numpy as np

from edge.broker import HOST
from tests.edge.scenes import scene, shot

FPS = 30.0
HOLD = 34  # pictures, 1.1 s; the delays of the alarm are 0.3 s and 0.5 s
BUFFER = 1 << 16  # bytes on the way at most: a kill must not lose pictures that count as shown


class ScriptedCamera:
    """Grey pictures of 320x240 over TCP, one client at a time: `edge.capture.live.Device`'s other end."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.leaks = 0  # shown so far, the present one included
        self.connections = 0
        self.gone = self.stalled = self.frozen = False  # what is wrong with it
        self.shown = 0  # pictures in a row of what stands
        self._gas = self._rest = False
        self._resting = threading.Event()
        self._pictures = {gas: [picture(gas, seed, number) for number in range(16)] for gas in (False, True)}
        self._listener = socket.create_server((HOST, 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self.source = f"rtsp://{HOST}:{self._listener.getsockname()[1]}/{name}"
        self._thread = threading.Thread(target=self._serve, name=f"camera {name}", daemon=True)
        self._thread.start()

    def rest(self) -> None:
        """Finish the leak that stands, and show none from then on until `go_on`."""
        self._resting.clear()
        self._rest = True
        assert self._resting.wait(60), f"camera {self.name}: nobody looks at it"

    def go_on(self) -> None:
        """Leak again."""
        self._rest = False

    def close(self) -> None:
        """For good."""
        self.gone = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    if not self.gone:
                        self.connections += 1
                        self._show_to(client)

    def _show_to(self, client: socket.socket) -> None:
        self.shown = 0
        due, last = time.monotonic(), b""
        for number in itertools.count():
            due = max(due + 1 / FPS, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
            if self.gone:
                return
            if self.stalled or self.frozen:
                self.shown = 0
            else:
                self._advance()
                last = self._pictures[self._gas][number % 16]
            if not self.stalled:
                client.sendall(last)

    def _advance(self) -> None:
        """One more picture of what stands, or the first of what follows it."""
        self.shown += 1
        if self.shown <= HOLD:
            return
        if self._rest and not self._gas:
            self._resting.set()
            return
        self._gas, self.shown = not self._gas, 1
        self.leaks += self._gas


def picture(gas: bool, seed: int, number: int) -> bytes:
    """A view of the scene with the noise of a sensor; gas is bright."""
    view = 0.4 * scene(seed)
    if gas:
        view[100:140, 120:180] = 200 + 4 * (7 * number % 9)  # gas is never still
    return bytes(shot(view, number).astype(np.uint8).tobytes())
