"""The outbox after a power cut and after a kill."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

from edge.outbox import Outbox
from edge.uplink import OutboxSettings
from tests.edge.outboxes import (
    TELEMETRY,
    message,
    opened,
    waiting,
)


def test_after_a_power_cut_every_write_that_returned_is_there_and_none_by_half(tmp_path):
    path, wal = tmp_path / "box.db", tmp_path / "box.db-wal"
    with opened(path, OutboxSettings()) as queue:
        assert queue._store._db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL: a commit waits for the disk"
        ends = [0]
        for n in range(12):
            pair = [message(f"start {n}" * 50), message(f"update {n}" * 50, TELEMETRY)]
            queue.write(pair, {"north": f"state {n}"})
            ends.append(wal.stat().st_size)
        assert ends == sorted(set(ends)), "each write has its own place in the log"
        for number, cut in enumerate(range(ends[1], ends[-1] + 1, 1777)):
            copy = tmp_path / f"cut-{number}.db"
            shutil.copy(path, copy)
            Path(f"{copy}-wal").write_bytes(wal.read_bytes()[:cut])  # what came later was not yet synced
            safe = max(n for n, end in enumerate(ends) if end <= cut)
            with opened(copy, OutboxSettings()) as found:
                said = waiting(found)
                assert len(said) == 2 * safe
                assert [text.split(" ")[0] for text in said] == ["start", "update"] * safe
                assert found.states() == {"north": f"state {safe - 1}"}
                assert found.standing().fault is None


def _killed_while_writing(path: Path, returned: object) -> None:
    queue = Outbox(path, OutboxSettings())
    for n in range(100_000):
        queue.write([message(str(n))], {"north": str(n)})
        returned.value = n + 1  # type: ignore[attr-defined]


def test_a_kill_at_any_moment_loses_no_write_that_returned(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    for least in (1, 7, 40, 111):
        path = tmp_path / f"{least}.db"
        returned = spawn.Value("i", 0)
        process = spawn.Process(target=_killed_while_writing, args=(path, returned))
        process.start()
        while returned.value < least:
            assert process.is_alive()
        process.kill()
        process.join()
        with opened(path, OutboxSettings()) as queue:
            said = waiting(queue)
            assert returned.value <= len(said) <= returned.value + 1
            assert said == [str(n) for n in range(len(said))]
            assert queue.states() == {"north": said[-1]}
