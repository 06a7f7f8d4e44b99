"""Whether every loop of this process still turns: only then does systemd get its ping, else it starts us anew.

A loop registers itself and ticks at least once in its patience, also while there is nothing to do; inference is part of
one. What knows itself whether it works is asked: capture loops, which turn while they reconnect, and the outbox's
writer. A missing camera or broker stops none of them, so it withholds no ping.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from edge.health import Heartbeat

log = logging.getLogger("watchdog")

CHECK_S = 1.0  # between two looks at most


class Watchdog:
    """Ticks may come from any thread; the looks come from one of its own."""

    def __init__(self, heartbeat: Heartbeat, clock: Callable[[], float] = time.monotonic) -> None:
        self._heartbeat, self._clock = heartbeat, clock
        self._lock = threading.Lock()  # over the next two
        self._patience: dict[str, float] = {}
        self._due: dict[str, float] = {}  # when the next tick must have come, on `clock`
        self._checks: dict[str, Callable[[], bool]] = {}
        self._stuck: tuple[str, ...] = ()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def register(self, loop: str, patience_s: float) -> None:
        """From now on this loop must tick, the first time within `patience_s`."""
        with self._lock:
            self._patience[loop] = patience_s
            self._due[loop] = self._clock() + patience_s

    def require(self, name: str, alive: Callable[[], bool]) -> None:
        """Ask `alive` at every look: for what knows itself whether it works, such as the outbox's writer."""
        self._checks[name] = alive

    def tick(self, loop: str) -> None:
        """The loop has turned once more."""
        with self._lock:
            self._due[loop] = self._clock() + self._patience[loop]

    @property
    def stuck(self) -> tuple[str, ...]:
        """Who has not ticked in time or says that it is dead, at the last look."""
        return self._stuck

    def look(self) -> None:
        """Ping systemd where all is well; say once who is stuck."""
        now = self._clock()
        with self._lock:
            late = [loop for loop, due in self._due.items() if now > due]
        stuck = (*late, *(name for name, alive in self._checks.items() if not alive()))
        for name in stuck:
            if name not in self._stuck:
                log.error("%s does not answer any more: no sign of life to systemd until it does", name)
        self._stuck = stuck
        if not stuck:
            self._heartbeat.beat()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """No more looks: the loops are about to end."""
        self._leaving.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._leaving.wait(min(CHECK_S, self._heartbeat.every_s)):
            self.look()
