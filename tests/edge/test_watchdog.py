"""systemd hears from us while every loop turns, and only then."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator

import pytest

from edge.health import Heartbeat
from edge.watchdog import Watchdog


class Systemd:
    """Receives the datagrams of one service."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def hears(self, seconds: float) -> list[bytes]:
        """All that comes until it is quiet for so long."""
        heard = []
        self._sock.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            while len(heard) < 20:
                heard.append(self._sock.recv(100))
        return heard

    def next(self) -> bytes:
        self._sock.settimeout(10)
        return self._sock.recv(100)


@pytest.fixture
def systemd(tmp_path, monkeypatch) -> Iterator[Systemd]:
    """A supervisor that wants a ping every 0.1 s."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        yield Systemd(sock)


def test_pings_come_while_a_loop_ticks_stop_with_it_and_come_back(systemd, caplog):
    watchdog = Watchdog(Heartbeat())
    watchdog.register("camera north", patience_s=0.5)
    ticking, over = threading.Event(), threading.Event()

    def loop() -> None:
        while not over.wait(0.02):
            if ticking.is_set():
                watchdog.tick("camera north")

    thread = threading.Thread(target=loop, daemon=True)
    ticking.set()
    thread.start()
    watchdog.start()
    assert [systemd.next() for _ in range(20)] == [b"WATCHDOG=1"] * 20  # over 1 s: longer than its patience
    ticking.clear()
    systemd.hears(0.3)  # until the last ping
    assert systemd.hears(0.3) == []
    assert watchdog.stuck == ("camera north",)
    assert [r.message.split(" any")[0] for r in caplog.records] == ["camera north does not answer"]
    ticking.set()
    assert systemd.next() == b"WATCHDOG=1"
    over.set()
    thread.join()
    watchdog.stop()


class Beats(Heartbeat):
    """Counts the signs of life."""

    count = 0

    def beat(self) -> None:
        self.count += 1


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_never_begins_is_noticed():
    clock, beats = Clock(), Beats()
    watchdog = Watchdog(beats, clock)
    watchdog.register("scheduler", 30)
    watchdog.register("recording", 5)
    clock.now = 6
    watchdog.look()
    assert (watchdog.stuck, beats.count) == (("recording",), 0)
    watchdog.tick("recording")
    watchdog.look()
    assert (watchdog.stuck, beats.count) == ((), 1)


def test_a_writer_that_says_it_is_dead_withholds_the_ping(caplog):
    alive, beats = [True], Beats()
    watchdog = Watchdog(beats)
    watchdog.require("outbox", lambda: alive[0])
    watchdog.look()
    alive[0] = False
    caplog.set_level(logging.ERROR)
    watchdog.look()
    watchdog.look()
    assert (watchdog.stuck, beats.count, len(caplog.records)) == (("outbox",), 1, 1)
    alive[0] = True
    watchdog.look()
    assert (watchdog.stuck, beats.count) == ((), 2)
