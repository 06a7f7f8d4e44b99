"""What the control room must not miss waits here: through a lost broker, a kill and a power cut.

One SQLite file in WAL mode with `synchronous=FULL`: when `write` returns, its messages and the states that belong to
them are on the disk together, or neither is. A message goes only when someone says that the broker has it. Over the
cap in bytes the least worthy and oldest goes first; age takes everything but alarms.

A disk that fails does not silence an alarm. Full, read-only, locked or absent: the queue goes on in memory with all
that could be read, and returns to the disk by itself. Damaged: the file is put aside (`….corrupt-<time>-<process>`) and
a new one is begun. `fault` says which of these happened.
"""

from __future__ import annotations

import enum
import logging
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.config import OutboxSettings

log = logging.getLogger("outbox")

RETRY_S = 30.0  # between two tries to return to a disk that failed
OVERHEAD = 64  # bytes counted for each message on top of topic and body
_VERSION = 1
_TABLES = (
    "CREATE TABLE messages (id INTEGER PRIMARY KEY, priority INTEGER NOT NULL, put_at REAL NOT NULL,"
    " size INTEGER NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX by_worth ON messages (priority, id)",
    "CREATE TABLE states (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    f"PRAGMA user_version = {_VERSION}",
)


class Priority(enum.IntEnum):
    """What a message is worth when not all can be kept. It does not change their order."""

    SNAPSHOT = 0
    TELEMETRY = 1
    STATE = 2
    ALARM = 3


@dataclass(frozen=True, slots=True)
class Message:
    """One message for the broker."""

    topic: str
    body: bytes
    priority: Priority

    @property
    def size(self) -> int:
        """What it counts for in the cap, bytes."""
        return len(self.topic.encode()) + len(self.body) + OVERHEAD


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


def default_path(device: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where systemd (StateDirectory=) or the user's desktop keeps state; one file per device."""
    base = environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd lists several with colons
    state = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return (Path(base) if base else Path(state) / "fgstp-edge") / f"outbox-{device}.db"


class Outbox:
    """The queue. One thread at a time; nothing here raises because of the disk."""

    def __init__(self, path: Path, settings: OutboxSettings, clock: Callable[[], float] = time.time) -> None:
        self._path, self._settings, self._clock = path, settings, clock
        self._dropped: Counter[Priority] = Counter()
        self._fault: str | None = None
        self._complete = False  # in memory: whether all that the file holds was taken along
        self._next_try = 0.0  # time.monotonic()
        try:
            self._store, self._on_disk = self._open_file(), True
        except (sqlite3.Error, OSError) as error:
            self._store, self._on_disk = _Store(":memory:"), False
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
        self._dropped += dropped
        if dropped:
            log.warning("outbox: dropped %s", ", ".join(f"{n} {p.name.lower()}" for p, n in dropped.items()))

    def first(self, count: int) -> list[tuple[int, Message]]:
        """The messages that have waited longest, in the order they were put, each with its id."""
        try:
            return self._store.first(count)
        except sqlite3.Error as error:
            self._leave(error)
            return self._store.first(count)

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

    def _open_file(self) -> _Store:
        """The file; a new one where it is damaged. Raises sqlite3.Error, OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _Store(str(self._path))
        except sqlite3.Error as error:
            if not _damaged(error):
                raise
            self._put_aside(error)
            return _Store(str(self._path))

    def _put_aside(self, error: Exception) -> None:
        """Rename the damaged file and its log. Raises OSError."""
        aside = f"{self._path}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
        for suffix in ("-wal", "-shm", ""):
            if os.path.exists(f"{self._path}{suffix}"):
                os.replace(f"{self._path}{suffix}", f"{aside}{suffix}")
        self._fault = f"damaged ({error}); put aside as {Path(aside).name}, a new one is begun"
        log.error("outbox %s: %s", self._path, self._fault)

    def _leave(self, error: sqlite3.Error) -> None:
        """The file fails under us: take along what can be read."""
        memory = _Store(":memory:")
        try:
            memory.adopt(self._store, replace=True)
            self._complete = True
        except sqlite3.Error:
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
        self._store, self._on_disk = file, True
        log.info("outbox %s: on disk", self._path)

    def _say_in_memory(self, error: Exception) -> None:
        why = getattr(error, "strerror", None) or error
        fault = f"cannot be written ({why}); messages wait in memory only: check space, rights and other processes"
        if fault != self._fault:  # one line per trouble, not one per try
            log.error("outbox %s: %s", self._path, fault)
        self._fault = fault
        self._next_try = time.monotonic() + RETRY_S


class _Store:
    """One SQLite database, a file or ":memory:". Every method raises sqlite3.Error and then has changed nothing."""

    def __init__(self, path: str) -> None:
        # Whoever opens it uses it from one thread at a time, though not always from the same.
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")  # two processes with one queue would send all twice
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._prepare()
            self._measure()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        [(found,)] = self._db.execute("PRAGMA quick_check(1)")
        [(version,)] = self._db.execute("PRAGMA user_version")
        if found != "ok":
            raise sqlite3.DatabaseError(str(found).replace("\n", " "))
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"layout {version} is not ours")
        if version == 0:
            with self._transaction():
                for statement in _TABLES:
                    self._db.execute(statement)

    def _measure(self) -> None:
        totals = "SELECT COUNT(*), COALESCE(SUM(size), 0), COALESCE(MAX(id), 0) + 1 FROM messages"
        [(self.depth, self.size, self._next_id)] = self._db.execute(totals)
        self.oldest = self._first_put()

    def write(
        self,
        messages: Sequence[Message],
        states: Mapping[str, str | None],
        removed: Sequence[int],
        now: float,
        settings: OutboxSettings,
    ) -> Counter[Priority]:
        """One transaction; gives how many messages were dropped to stay within age and size."""
        dropped: Counter[Priority] = Counter()
        depth, size, next_id = self.depth, self.size, self._next_id
        with self._transaction():
            for gone in removed:
                depth, size = _less(depth, size, self._delete(gone))
            for message in messages:
                row = next_id, message.priority, now, message.size, message.topic, message.body
                self._db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", row)
                depth, size, next_id = depth + 1, size + message.size, next_id + 1
            for victim, priority in self._too_old(now - settings.max_age_days * 86_400):
                depth, size = _less(depth, size, self._delete(victim))
                dropped[priority] += 1
            while size > settings.max_bytes:
                victim, priority = self._least()
                depth, size = _less(depth, size, self._delete(victim))
                dropped[priority] += 1
            for name, value in states.items():
                if value is None:
                    self._db.execute("DELETE FROM states WHERE name = ?", (name,))
                else:
                    self._db.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (name, value))
        self.depth, self.size, self._next_id = depth, size, next_id
        self.oldest = self._first_put()
        return dropped

    def first(self, count: int) -> list[tuple[int, Message]]:
        rows = self._db.execute("SELECT id, topic, body, priority FROM messages ORDER BY id LIMIT ?", (count,))
        return [(id_, Message(topic, body, Priority(priority))) for id_, topic, body, priority in rows]

    def states(self) -> dict[str, str]:
        return dict(self._db.execute("SELECT name, value FROM states").fetchall())

    def adopt(self, other: _Store, *, replace: bool) -> None:
        """Take over all that `other` holds, under its ids; what stood here before goes, or comes before it."""
        with self._transaction():
            if replace:
                self._db.execute("DELETE FROM states")
                before = []
            else:  # nobody was given the ids that stood here, so they may change
                [(start,)] = other._db.execute("SELECT COALESCE(MIN(id), 1) FROM messages")
                before = self._db.execute("SELECT * FROM messages ORDER BY id").fetchall()
                before = [(start - len(before) + n, *row[1:]) for n, row in enumerate(before)]
            self._db.execute("DELETE FROM messages")
            self._db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", before)
            rows = other._db.execute("SELECT * FROM messages ORDER BY id")
            self._db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO states VALUES (?, ?)", other.states().items())
        self._measure()
        self._next_id = max(self._next_id, other._next_id)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:  # commits, or rolls back
            yield

    def _delete(self, id_: int) -> int | None:
        """Remove one message; gives its size, None where it is gone already."""
        row = self._db.execute("SELECT size FROM messages WHERE id = ?", (id_,)).fetchone()
        self._db.execute("DELETE FROM messages WHERE id = ?", (id_,))
        return None if row is None else int(row[0])

    def _too_old(self, before: float) -> list[tuple[int, Priority]]:
        """From the oldest of each kind but alarms: those put before `before`."""
        found: list[tuple[int, Priority]] = []
        for priority in Priority:
            if priority is Priority.ALARM:
                continue
            for id_, put_at in self._db.execute(
                "SELECT id, put_at FROM messages WHERE priority = ? ORDER BY id", (priority,)
            ):
                if put_at >= before:
                    break
                found.append((id_, priority))
        return found

    def _least(self) -> tuple[int, Priority]:
        [(id_, priority)] = self._db.execute("SELECT id, priority FROM messages ORDER BY priority, id LIMIT 1")
        return id_, Priority(priority)

    def _first_put(self) -> float | None:
        row = self._db.execute("SELECT put_at FROM messages ORDER BY id LIMIT 1").fetchone()
        return None if row is None else float(row[0])


def _less(depth: int, size: int, gone: int | None) -> tuple[int, int]:
    return (depth, size) if gone is None else (depth - 1, size - gone)


def _damaged(error: sqlite3.Error) -> bool:
    """Whether the content is at fault. Python raises the base class for that, subclasses for all else."""
    return type(error) is sqlite3.DatabaseError
