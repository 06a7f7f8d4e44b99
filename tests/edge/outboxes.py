"""Outboxes for tests, on disks that can be made to fail."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.outbox import Outbox
from edge.store import OVERHEAD, Message, Priority
from edge.uplink import OutboxSettings

ALARM, STATE, TELEMETRY, SNAPSHOT = Priority.ALARM, Priority.STATE, Priority.TELEMETRY, Priority.SNAPSHOT
SMALL = OutboxSettings(max_bytes=100_000)
KB = b"x" * (10_000 - OVERHEAD - 1)  # with a topic of one letter, a tenth of SMALL


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


def message(text: str, priority: Priority = ALARM) -> Message:
    return Message("fgstp/box/north/event", text.encode(), priority)


def waiting(queue: Outbox) -> list[str]:
    return [said.body.decode() for _, said in queue.first(1_000_000)]


@contextmanager
def opened(path: Path, limits: OutboxSettings = SMALL, clock: Clock | None = None) -> Iterator[Outbox]:
    queue = Outbox(path, limits, clock or Clock())
    try:
        yield queue
    finally:
        queue.close()


@contextmanager
def full_disk(size: int = 0) -> Iterator[None]:
    """No file of this process may grow over `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def spoil(queue: Outbox, statement: str) -> None:
    """Make the disk under an open queue fail, as SQLite itself would report it."""
    queue._store._db.execute(statement)


FULL, READ_ONLY = "PRAGMA max_page_count = 1", "PRAGMA query_only = ON"
