"""One SQLite database with messages in the order they were put, and states that belong to them.

WAL mode with `synchronous=FULL`: a message or state whose write returned has reached the disk. Over the cap in bytes
the least worthy and oldest message goes first; age takes everything but alarms.

Each statement lets the process's other threads run and must then wait for its turn again, on a busy machine for some
milliseconds: a write is as few of them as can be.
"""

from __future__ import annotations

import enum
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from edge.uplink import OutboxSettings

OVERHEAD = 64  # bytes counted for each message on top of topic and body
BEFORE_ALL = -(1 << 63)  # less than any id; what `adopt` puts in front may have ids below 1
AGE_CHECK_S = 60.0  # between two looks for what is too old
_LOG_BYTES = 4_000_000  # what the write-ahead log shrinks to
_VERSION = 1
_TABLES = (
    "CREATE TABLE messages (id INTEGER PRIMARY KEY, priority INTEGER NOT NULL, put_at REAL NOT NULL,"
    " size INTEGER NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX by_worth ON messages (priority, id)",
    "CREATE TABLE states (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    f"PRAGMA user_version = {_VERSION}",
)


class Priority(enum.IntEnum):
    """What a message is worth: the higher goes first when not all can go at once, and last when not all can be kept."""

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


class Store:
    """A file or ":memory:". Every method raises sqlite3.Error and then has changed nothing."""

    def __init__(self, path: str) -> None:
        # Whoever opens it uses it from one thread at a time, though not always from the same.
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")  # two processes with one queue would send all twice
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            self._prepare()
            self._measure()
            self._aged_at = -AGE_CHECK_S  # `now` of the last look for what is too old
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
        self._next_id: int
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
        """One transaction; gives how many messages were dropped to stay within age and size.

        A mere removal does not wait for the disk: a power cut that undoes it costs a duplicate, and an alarm that came
        meanwhile would have waited, too."""
        dropped: Counter[Priority] = Counter()
        depth, size, next_id = self.depth, self.size, self._next_id
        check_age = abs(now - self._aged_at) >= AGE_CHECK_S  # the clock may be set back
        with self._transaction(synced=bool(messages or states)):
            for gone in removed:
                depth, size = _less(depth, size, self._delete(gone))
            for message in messages:
                row = next_id, message.priority, now, message.size, message.topic, message.body
                self._db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", row)
                depth, size, next_id = depth + 1, size + message.size, next_id + 1
            for victim, priority in self._too_old(now - settings.max_age_days * 86_400) if check_age else ():
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
        if removed or dropped:
            self.oldest = self._first_put() if depth else None
        elif messages and self.oldest is None:
            self.oldest = now
        self._aged_at = now if check_age else self._aged_at
        return dropped

    @property
    def last_id(self) -> int:
        """The id that was given last; 0 before the first. One write's messages have the last ids, without gaps."""
        return self._next_id - 1

    def first(self, count: int, after: int = BEFORE_ALL) -> list[tuple[int, Message]]:
        return self._select("WHERE id > ?", after, count)

    def to_send(self, count: int, waiting: Sequence[str] = ()) -> list[tuple[int, Message]]:
        """The first of what is worth most, topics that wait left out; of snapshots one: what comes now must not wait
        for many."""
        going = f"topic NOT IN ({', '.join('?' * len(waiting))})"
        most = f"priority = (SELECT MAX(priority) FROM messages WHERE {going})"
        found = self._select(f"WHERE {most} AND {going}", *waiting, *waiting, count)
        return found[:1] if found and found[0][1].priority is Priority.SNAPSHOT else found

    def states(self) -> dict[str, str]:
        return dict(self._db.execute("SELECT name, value FROM states").fetchall())

    def adopt(self, other: Store, *, replace: bool) -> None:
        """Take over all that `other` holds, under its ids; what stood here before goes, or comes before it."""
        with self._transaction():
            before = [] if replace else self._db.execute("SELECT * FROM messages ORDER BY id").fetchall()
            if replace:
                self._db.execute("DELETE FROM states")
            [(start,)] = other._db.execute("SELECT MIN(id) FROM messages")
            if before and start is not None and before[-1][0] >= start:  # `other` never knew of these ids
                before = [(start - len(before) + n, *row[1:]) for n, row in enumerate(before)]
            self._db.execute("DELETE FROM messages")
            self._db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", before)
            rows = other._db.execute("SELECT * FROM messages ORDER BY id")
            self._db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO states VALUES (?, ?)", other.states().items())
        self._measure()
        self.continue_after(other)

    def continue_after(self, other: Store) -> None:
        """Give no id that `other` has given."""
        self._next_id = max(self._next_id, other._next_id)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self, *, synced: bool = True) -> Iterator[None]:
        if not synced:
            self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:  # commits, or rolls back
                yield
        finally:
            if not synced:
                self._db.execute("PRAGMA synchronous = FULL")

    def _delete(self, id_: int) -> int | None:
        """Remove one message; gives its size, None where it is gone already."""
        row = self._db.execute("DELETE FROM messages WHERE id = ? RETURNING size", (id_,)).fetchone()
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

    def _select(self, where: str, *values: int | str) -> list[tuple[int, Message]]:
        """Messages by their ids; the last of `values` says how many."""
        rows = self._db.execute(f"SELECT id, topic, body, priority FROM messages {where} ORDER BY id LIMIT ?", values)
        return [(id_, Message(topic, body, Priority(priority))) for id_, topic, body, priority in rows]

    def _first_put(self) -> float | None:
        row = self._db.execute("SELECT put_at FROM messages ORDER BY id LIMIT 1").fetchone()
        return None if row is None else float(row[0])


def _less(depth: int, size: int, gone: int | None) -> tuple[int, int]:
    return (depth, size) if gone is None else (depth - 1, size - gone)
