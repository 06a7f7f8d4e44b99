"""What the control room must not miss waits here: through a lost broker, a kill and a power cut.

When `write` returns, its messages and the states that belong to them are on the disk together, or neither is. A message
goes only when someone says that the broker has it, or when there is no more room (see `edge.store`).

A disk that fails does not silence an alarm. Full, read-only, locked or absent: the queue goes on in memory with all
that could be read, and returns to the disk by itself. Damaged: the file is put aside (`….corrupt-<time>-<process>`) and
a new one is begun. `fault` says which of these happened.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.store import BEFORE_ALL, Message, Priority, Store
from edge.uplink import OutboxSettings

log = logging.getLogger("outbox")

RETRY_S = 30.0  # between two tries to return to a disk that failed


@dataclass(frozen=True, slots=True)
class Standing:
    """How full the queue is."""

    depth: int  # messages that wait
    bytes: int  # of them
    oldest_s: float | None  # age of the first of them; None: none waits
    dropped: tuple[tuple[str, int], ...]  # since the start, by priority
    on_disk: bool  # False: what waits is lost with the process
    fault: str | None  # the last trouble with the file since the start

    def report(self) -> dict[str, Any]:
        """The queue's part of the health message."""
        return {
            "depth": self.depth,
            "bytes": self.bytes,
            "oldest_s": self.oldest_s,
            "dropped": dict(self.dropped),
            "on_disk": self.on_disk,
            "fault": self.fault,
        }


def default_path(device: str, environ: Mapping[str, str] = os.environ, kind: str = "outbox") -> Path:
    """Where systemd (StateDirectory=) or the user's desktop keeps state; one file per device and kind."""
    base = environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd lists several with colons
    state = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return (Path(base) if base else Path(state) / "fgstp-edge") / f"{kind}-{device}.db"


class Outbox:
    """The queue. One thread at a time; nothing here raises because of the disk."""

    def __init__(self, path: Path, settings: OutboxSettings, clock: Callable[[], float] = time.time) -> None:
        self._path, self._settings, self._clock = path, settings, clock
        self._dropped: Counter[Priority] = Counter()
        self._fault: str | None = None
        self._said: str | None = None  # in the log, of the present trouble
        self._complete = False  # in memory: whether all that the file holds was taken along
        self._next_try = 0.0  # time.monotonic()
        try:
            self._store, self._on_disk = self._open_file(), True
        except (sqlite3.Error, OSError) as error:
            self._store, self._on_disk = Store(":memory:"), False
            self._say_in_memory(error)

    def write(
        self, messages: Sequence[Message], states: Mapping[str, str | None] | None = None, removed: Sequence[int] = ()
    ) -> None:
        """Add messages at the end, remember states (None: forget), remove what was delivered: all or nothing."""
        if not self._on_disk and time.monotonic() >= self._next_try:
            self._return_to_disk()
        change = messages, states or {}, removed, self._clock(), self._settings
        try:
            dropped = self._store.write(*change)
        except sqlite3.Error as error:
            self._leave(error)
            dropped = self._store.write(*change)
        for priority in dropped:
            if not self._dropped[priority]:  # a full outbox would say so at every message; health counts them
                log.warning("outbox full or too old: dropping the oldest of its %s messages", priority.name.lower())
        self._dropped += dropped

    @property
    def last_id(self) -> int:
        """The id of the message put last; those put with it in one `write` have the ids just before."""
        return self._store.last_id

    def first(self, count: int, after: int = BEFORE_ALL) -> list[tuple[int, Message]]:
        """The messages that have waited longest, in the order they were put, each with its id above `after`."""
        try:
            return self._store.first(count, after)
        except sqlite3.Error as error:
            self._leave(error)
            return self._store.first(count, after)

    def to_send(self, count: int, waiting: Sequence[str] = ()) -> list[tuple[int, Message]]:
        """The messages that go out next: the first of those that are worth most; of snapshots one. None of the topics
        in `waiting`."""
        try:
            return self._store.to_send(count, waiting)
        except sqlite3.Error as error:
            self._leave(error)
            return self._store.to_send(count, waiting)

    def states(self) -> dict[str, str]:
        """All that is remembered."""
        try:
            return self._store.states()
        except sqlite3.Error as error:
            self._leave(error)
            return self._store.states()

    def standing(self) -> Standing:
        """How full it is."""
        depth, size, oldest = self._store.depth, self._store.size, self._store.oldest
        return Standing(
            depth=depth,
            bytes=size,
            oldest_s=None if oldest is None else max(0.0, self._clock() - oldest),
            dropped=tuple((priority.name.lower(), self._dropped[priority]) for priority in reversed(Priority)),
            on_disk=self._on_disk,
            fault=self._fault,
        )

    def close(self) -> None:
        """Leave the file in good order."""
        self._store.close()

    def _open_file(self) -> Store:
        """The file; a new one where it is damaged. Raises sqlite3.Error, OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return Store(str(self._path))
        except sqlite3.Error as error:
            if not _damaged(error):
                raise
            self._put_aside(error)
            return Store(str(self._path))

    def _put_aside(self, error: Exception) -> None:
        """Rename the damaged file and its log, in the place of an earlier one. Raises OSError."""
        for earlier in self._path.parent.glob(f"{self._path.name}.corrupt-*"):
            earlier.unlink()  # a disk that rots must not fill up with them
        aside = f"{self._path}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
        for suffix in ("-wal", "-shm", ""):
            if os.path.exists(f"{self._path}{suffix}"):
                os.replace(f"{self._path}{suffix}", f"{aside}{suffix}")
        self._fault = f"damaged ({error}); put aside as {Path(aside).name}, a new one is begun"
        log.error("outbox %s: %s", self._path, self._fault)

    def _leave(self, error: sqlite3.Error) -> None:
        """The file fails under us: take along what can be read."""
        memory = Store(":memory:")
        try:
            memory.adopt(self._store, replace=True)
            self._complete = True
        except sqlite3.Error:
            memory.continue_after(self._store)
            self._complete = False
        self._store.close()
        self._store, self._on_disk = memory, False
        if _damaged(error):
            try:
                self._put_aside(error)
            except OSError as worse:
                self._say_in_memory(worse)
            else:
                self._return_to_disk()
        else:
            self._say_in_memory(error)

    def _return_to_disk(self) -> None:
        """Back to the file with all that memory holds, where that works by now."""
        try:
            file = self._open_file()
        except (sqlite3.Error, OSError) as error:
            self._say_in_memory(error)
            return
        try:
            file.adopt(self._store, replace=self._complete)
        except sqlite3.Error as error:
            file.close()
            self._say_in_memory(error)
            return
        self._store.close()
        self._store, self._on_disk, self._said = file, True, None
        log.info("outbox %s: on disk", self._path)

    def _say_in_memory(self, error: Exception) -> None:
        why = getattr(error, "strerror", None) or error
        self._fault = f"cannot be written ({why})"
        if self._fault != self._said:  # one line per trouble, not one per try
            hint = "messages wait in memory only: check space, rights and other processes"
            log.error("outbox %s: %s; %s", self._path, self._fault, hint)
        self._said = self._fault
        self._next_try = time.monotonic() + RETRY_S


def _damaged(error: sqlite3.Error) -> bool:
    """Whether the content is at fault. Python raises the base class for that, subclasses for all else."""
    return type(error) is sqlite3.DatabaseError
