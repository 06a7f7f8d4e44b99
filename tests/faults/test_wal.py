"""The simulated power cut takes the last write, or leaves it, and never more."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from edge.outbox import Outbox
from edge.store import Message, Priority
from edge.uplink import OutboxSettings
from tests.faults import wal


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A copy, taken while it was open, of an outbox after three writes."""
    queue = Outbox(tmp_path / "live.db", OutboxSettings())
    for number in range(3):
        body = f'{{"number": {number}}}'.encode()
        queue.write([Message("fgstp/box/north/event", body, Priority.ALARM)], {"north": str(number)})
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"live.db{suffix}", tmp_path / f"box.db{suffix}")
    queue.close()
    return tmp_path / "box.db"


def left(database: Path) -> tuple[list[bytes], dict[str, str]]:
    queue = Outbox(database, OutboxSettings())
    found = [message.body for _, message in queue.first(10)], queue.states()
    queue.close()
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_last_write_that_nobody_heard_of_is_gone_with_its_state(database: Path, tmp_path: Path, seed: int) -> None:
    assert wal.forget_the_last_write(database, tmp_path / "scratch", lambda body: False, random.Random(seed))
    assert left(database) == ([b'{"number": 0}', b'{"number": 1}'], {"north": "1"})


def test_a_last_write_that_somebody_heard_of_was_synced_and_stays(database: Path, tmp_path: Path) -> None:
    forgotten = wal.forget_the_last_write(
        database, tmp_path / "scratch", lambda body: body == {"number": 2}, random.Random(1)
    )
    assert not forgotten
    assert left(database)[1] == {"north": "2"}
