"""The outbox against a plain model of it, and on disks that are full, read-only, damaged or without power."""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import outbox
from edge.config import OutboxSettings
from edge.outbox import Outbox, default_path
from edge.store import OVERHEAD, Message, Priority, Store

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


def test_messages_and_states_outlive_the_process_in_order(tmp_path):
    with opened(tmp_path / "box.db") as queue:
        queue.write([message("a"), message("b", TELEMETRY)], {"north": "open", "south": "open"})
        queue.write([message("c")], {"south": None})
    with opened(tmp_path / "box.db") as queue:
        assert waiting(queue) == ["a", "b", "c"]
        assert queue.states() == {"north": "open"}
        queue.write([], {}, [queue.first(2)[1][0]])
    with opened(tmp_path / "box.db") as queue:
        assert waiting(queue) == ["a", "c"]
        assert queue.first(1)[0][1] == message("a")
        assert queue.standing().depth == 2


def test_an_alarm_goes_only_when_nothing_else_is_left(tmp_path, caplog):
    with opened(tmp_path / "box.db") as queue:
        for priority in (ALARM, STATE, TELEMETRY, SNAPSHOT):
            queue.write([Message("t", KB, priority)] * 2)
        queue.write([Message("t", KB, ALARM)] * 3)  # one too many
        dropped = dict(queue.standing().dropped)
        assert dropped == {"alarm": 0, "state": 0, "telemetry": 0, "snapshot": 1}
        queue.write([Message("t", KB, TELEMETRY)])
        queue.write([Message("t", KB, TELEMETRY)])  # costs the oldest of its own
        assert dict(queue.standing().dropped) == {"alarm": 0, "state": 0, "telemetry": 1, "snapshot": 2}
        queue.write([Message("t", KB, ALARM)] * 5)
        assert {said.priority for _, said in queue.first(100)} == {ALARM}
        oldest = queue.first(1)[0][0]
        queue.write([Message("t", KB, ALARM)])
        assert dict(queue.standing().dropped)["alarm"] == 1
        assert queue.first(1)[0][0] > oldest
        assert queue.standing().bytes == 100_000
        assert len(caplog.records) == 4, "one line for each kind, not one for each message"


def test_what_is_worth_most_goes_first_and_a_snapshot_goes_alone(tmp_path):
    with opened(tmp_path / "box.db") as queue:
        kinds = (SNAPSHOT, "s1"), (SNAPSHOT, "s2"), (TELEMETRY, "u"), (ALARM, "a1"), (STATE, "d"), (ALARM, "a2")
        queue.write([message(text, priority) for priority, text in kinds])
        sent = []
        while batch := queue.to_send(20):
            sent.append([said.body.decode() for _, said in batch])
            queue.write([], {}, [id_ for id_, _ in batch])
        assert sent == [["a1", "a2"], ["d"], ["u"], ["s1"], ["s2"]]


def test_an_alarm_is_one_synced_write_of_few_statements_and_its_removal_waits_for_no_disk(tmp_path):
    with opened(tmp_path / "box.db") as queue:
        queue.write([message("first")])  # looks for what is too old
        done: list[str] = []
        queue._store._db.set_trace_callback(lambda statement: done.append(" ".join(statement.split()[:4])))
        queue.write([message("start"), message("leak")], {"north": "open"})
        insert = ["INSERT INTO messages VALUES"] * 2 + ["INSERT OR REPLACE INTO"]
        assert done == ["BEGIN IMMEDIATE", *insert, "COMMIT"]
        done.clear()
        queue.write([], {}, [1])
        assert done[0] == "PRAGMA synchronous = NORMAL"
        assert done.index("COMMIT") < done.index("PRAGMA synchronous = FULL")
        queue.write([message("end")], {}, [2])
        assert queue._store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_day_without_a_broker_keeps_every_start_and_end_in_order(tmp_path):
    clock, limits, path = Clock(), OutboxSettings(), tmp_path / "box.db"
    with opened(path, limits, clock) as queue:
        for minute in range(24 * 60):  # a leak of 58 s in each, 1.5 kB a message
            clock.now += 60
            updates = [message(f"{minute} update {n}".ljust(1500), TELEMETRY) for n in range(58)]
            ends = [message(f"{minute} {what}".ljust(1500)) for what in ("start", "end")]
            queue.write([ends[0], *updates, ends[1]])
        assert limits.max_bytes * 0.99 < queue.standing().bytes <= limits.max_bytes
    assert path.stat().st_size < 1.4 * limits.max_bytes
    with opened(path, limits, clock) as queue:
        held = [said.body.decode().split() for _, said in queue.first(1_000_000)]
    alarms = [(int(minute), what) for minute, what, *_ in held if what != "update"]
    assert alarms == [(minute, what) for minute in range(24 * 60) for what in ("start", "end")]
    assert [int(minute) for minute, *_ in held] == sorted(int(minute) for minute, *_ in held)


def test_age_takes_everything_but_alarms(tmp_path):
    clock = Clock()
    with opened(tmp_path / "box.db", OutboxSettings(max_age_days=2), clock) as queue:
        queue.write([message("alarm"), *(message(p.name, p) for p in (STATE, TELEMETRY, SNAPSHOT))])
        clock.now += 86_400
        queue.write([message("young", TELEMETRY)])
        clock.now += 86_401
        queue.write([])
        assert waiting(queue) == ["alarm", "young"]
        assert queue.standing().oldest_s == 2 * 86_400 + 1
        clock.now -= 10 * 86_400  # the clock was wrong
        queue.write([])
        assert queue.standing().oldest_s == 0


@pytest.mark.parametrize("meanwhile", [None, READ_ONLY], ids=["", "after the disk failed"])
def test_a_removed_id_is_never_given_again(tmp_path, meanwhile):
    with opened(tmp_path / "box.db") as queue:
        queue.write([message("a")])
        [(first, _)] = queue.first(1)
        queue.write([], {}, [first, first])
        if meanwhile:
            spoil(queue, meanwhile)
        queue.write([message("b")])
        queue.write([], {}, [first])  # a late, second confirmation
        assert waiting(queue) == ["b"]
        assert queue.standing().depth == 1


def test_a_second_process_does_not_share_the_file(tmp_path, caplog):
    with opened(tmp_path / "box.db") as queue, opened(tmp_path / "box.db") as second:
        queue.write([message("mine")])
        second.write([message("other's")])
        assert second.standing().fault == "cannot be written (database is locked)"
        assert waiting(queue) == ["mine"]
        assert not second.standing().on_disk
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "content", [b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 9000], ids=["text", "header"]
)
def test_a_damaged_file_is_put_aside_and_a_new_one_begun(tmp_path, caplog, content):
    (tmp_path / "box.db").write_bytes(content)
    (tmp_path / "box.db.corrupt-20250101T000000Z-1").write_bytes(b"earlier")
    with opened(tmp_path / "box.db") as queue:
        queue.write([message("a")])
        assert queue.standing().on_disk
        assert "put aside as box.db.corrupt-" in str(queue.standing().fault)
    [aside] = tmp_path.glob("box.db.corrupt-*")
    assert aside.read_bytes() == content, "and an earlier one has made room"
    assert len(caplog.records) == 1
    with opened(tmp_path / "box.db") as queue:
        assert waiting(queue) == ["a"]
        assert queue.standing().fault is None


def test_a_page_that_rots_is_found_at_the_start(tmp_path):
    with opened(tmp_path / "box.db", OutboxSettings()) as queue:
        queue.write([message(f"{n}" * 100) for n in range(500)])
    with (tmp_path / "box.db").open("r+b") as file:
        file.seek(4096 * 6)
        file.write(b"\x5a" * 4096)
    with opened(tmp_path / "box.db") as queue:
        assert waiting(queue) == []
        assert list(tmp_path.glob("box.db.corrupt-*"))


def test_a_file_of_a_later_version_is_put_aside(tmp_path):
    with sqlite3.connect(tmp_path / "box.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with opened(tmp_path / "box.db") as queue:
        assert "layout 99 is not ours" in str(queue.standing().fault)
        assert queue.standing().on_disk


def test_damage_that_shows_while_running_costs_no_new_message(tmp_path):
    with opened(tmp_path / "box.db", OutboxSettings()) as queue:
        queue.write([message(f"{n}" * 100) for n in range(500)])
        spoil(queue, "PRAGMA wal_checkpoint(TRUNCATE)")
        spoil(queue, "PRAGMA cache_size = 0")
        with (tmp_path / "box.db").open("r+b") as file:
            file.seek(4096)
            file.write(b"\x5a" * 4096 * 20)
        spoil(queue, "PRAGMA shrink_memory")
        queue.write([message("new")], {"north": "open"})
        assert waiting(queue) == ["new"]
        assert queue.standing().on_disk
        assert "put aside" in str(queue.standing().fault)
    with opened(tmp_path / "box.db") as queue:
        assert waiting(queue) == ["new"]
        assert queue.states() == {"north": "open"}


@pytest.mark.parametrize("trouble", [FULL, READ_ONLY])
def test_a_disk_that_fails_costs_nothing_and_is_returned_to(tmp_path, caplog, monkeypatch, trouble):
    with opened(tmp_path / "box.db") as queue:
        queue.write([message("a"), message("b")], {"north": "1", "south": "1"})
        [(first, _), (second, _)] = queue.first(2)
        spoil(queue, trouble)
        queue.write([message("c" * 9000)], {"north": "2", "south": None}, [first])
        assert not queue.standing().on_disk
        assert "cannot be written" in str(queue.standing().fault)
        assert waiting(queue) == ["b", "c" * 9000]
        assert queue.first(1)[0][0] == second, "what is under way keeps its id"
        monkeypatch.setattr(queue, "_next_try", 0.0)
        queue.write([message("d")], {}, [second])
        assert queue.standing().on_disk
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    with opened(tmp_path / "box.db") as queue:
        assert waiting(queue) == ["c" * 9000, "d"]
        assert queue.states() == {"north": "2"}


def test_a_disk_that_can_neither_be_read_nor_written_is_returned_to_with_all_of_it(tmp_path, monkeypatch):
    adopt, calls = Store.adopt, []

    def unreadable_once(self: Store, other: Store, *, replace: bool) -> None:
        calls.append(replace)
        if len(calls) == 1:
            raise sqlite3.OperationalError("disk I/O error")
        adopt(self, other, replace=replace)

    monkeypatch.setattr(Store, "adopt", unreadable_once)
    with opened(tmp_path / "box.db") as queue:
        queue.write([message("a"), message("b"), message("c")], {"north": "1"})
        under_way = [id_ for id_, _ in queue.first(3)]
        queue.write([], {}, [under_way[1]])
        spoil(queue, READ_ONLY)
        queue.write([message("d")])
        assert waiting(queue) == ["d"]
        queue.write([], {}, [under_way[2]])  # confirmed, which nobody can note down now: it will be sent twice
        assert waiting(queue) == ["d"]
        monkeypatch.setattr(queue, "_next_try", 0.0)
        queue.write([message("e")], {}, [under_way[0]])
        assert waiting(queue) == ["c", "d", "e"]
        assert queue.states() == {"north": "1"}


def test_a_file_system_without_room_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "RETRY_S", 0.0)
    with opened(tmp_path / "box.db", OutboxSettings()) as queue:
        with full_disk(200_000):
            for n in range(100):
                queue.write([message(f"{n:05}" * 1000)])
            assert not queue.standing().on_disk
            assert len(waiting(queue)) == 100
        queue.write([])
        assert queue.standing().on_disk
    with opened(tmp_path / "box.db", OutboxSettings()) as queue:
        assert waiting(queue) == [f"{n:05}" * 1000 for n in range(100)]


@pytest.mark.parametrize("obstacle", ["a directory in its place", "a file for a folder", "no room"])
def test_a_start_without_a_disk_goes_on_in_memory_until_there_is_one(tmp_path, caplog, monkeypatch, obstacle):
    path = tmp_path / "folder" / "box.db"
    if obstacle == "a directory in its place":
        path.mkdir(parents=True)
    if obstacle == "a file for a folder":
        path.parent.write_text("")
    with full_disk() if obstacle == "no room" else full_disk(10**9):
        queue = Outbox(path, SMALL, Clock())
        queue.write([message("a"), message("b")])
    assert not queue.standing().on_disk
    assert waiting(queue) == ["a", "b"]
    if obstacle != "no room":
        monkeypatch.setattr(queue, "_next_try", 0.0)
        queue.write([])
        assert not queue.standing().on_disk
    assert len(caplog.records) == 1, "one line per trouble, not one per try"
    if obstacle == "a directory in its place":
        path.rmdir()
    if obstacle == "a file for a folder":
        path.parent.unlink()
    monkeypatch.setattr(queue, "_next_try", 0.0)
    queue.write([message("c")])
    queue.close()
    with opened(path) as queue:
        assert waiting(queue) == ["a", "b", "c"]


def test_what_a_locked_file_held_comes_first_once_it_is_free(tmp_path, monkeypatch):
    holder = Outbox(tmp_path / "box.db", SMALL)
    holder.write([message("old"), message("older alarm")], {"north": "old", "south": "old"})
    with opened(tmp_path / "box.db") as queue:
        queue.write([message("new")], {"north": "new"})
        [(new, _)] = queue.first(1)
        holder.close()
        monkeypatch.setattr(queue, "_next_try", 0.0)
        queue.write([message("newer")])
        assert queue.standing().on_disk
        assert waiting(queue) == ["old", "older alarm", "new", "newer"]
        assert queue.states() == {"north": "new", "south": "old"}
        queue.write([], {}, [new])
        assert waiting(queue) == ["old", "older alarm", "newer"]


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


def test_the_default_place_is_that_of_systemd_then_of_the_user():
    assert default_path("box", {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}) == Path("/var/lib/a/outbox-box.db")
    assert default_path("box", {"XDG_STATE_HOME": "/x"}) == Path("/x/fgstp-edge/outbox-box.db")
    assert default_path("box", {}) == Path.home() / ".local/state/fgstp-edge/outbox-box.db"


@dataclass
class Model:
    """The same queue as plain lists."""

    rows: list[tuple[str, Priority, float]] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    dropped: int = 0

    def write(self, messages: list[Message], states: dict[str, str | None], removed: list[str], now: float) -> None:
        self.rows = [row for row in self.rows if row[0] not in removed]
        self.rows += [(said.body.decode(), said.priority, now) for said in messages]
        before = len(self.rows)
        limit = now - SMALL.max_age_days * 86_400
        self.rows = [row for row in self.rows if row[1] is ALARM or not self._aged(row, limit)]
        while self.size > SMALL.max_bytes:
            self.rows.remove(min(self.rows, key=lambda row: row[1]))  # the first of the least
        self.dropped += before - len(self.rows)
        self.states = {k: v for k, v in {**self.states, **states}.items() if v is not None}

    def _aged(self, row: tuple[str, Priority, float], limit: float) -> bool:
        """Those of one kind go in order: one that seems young, by a clock that was wrong, holds up those behind it."""
        kind = [other for other in self.rows if other[1] is row[1]]
        return all(other[2] < limit for other in kind[: kind.index(row) + 1])

    @property
    def size(self) -> int:
        return sum(Message("t", text.encode(), priority).size for text, priority, _ in self.rows)


WRITES = st.tuples(
    st.just("write"),
    st.lists(st.tuples(st.sampled_from(Priority), st.sampled_from([0, 9_000, 40_000])), max_size=4),
    st.dictionaries(st.sampled_from(["north", "south"]), st.sampled_from([None, "1", "2"])),
    st.sets(st.integers(0, 5)),
)
STEPS = st.one_of(
    WRITES,
    WRITES,
    st.tuples(st.just("wait"), st.sampled_from([-3600.0, 60.0, 3600.0, 5 * 86_400.0])),
    st.tuples(st.sampled_from(["restart", "full", "read-only", "retry"])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_any_history_ends_as_in_the_model(steps):
    clock, model, put = Clock(), Model(), 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "box.db"
        queue = Outbox(path, SMALL, clock)
        for step in steps:
            if step[0] == "write":
                messages = [Message("t", f"{put + n} {'x' * size}".encode(), p) for n, (p, size) in enumerate(step[1])]
                put += len(messages)
                held = queue.first(6)
                removed = [held[n] for n in step[3] if n < len(held)]
                queue.write(messages, step[2], [id_ for id_, _ in removed])
                model.write(messages, step[2], [said.body.decode() for _, said in removed], clock.now)
            elif step[0] == "wait":
                clock.now += step[1]
            elif step[0] == "restart" and queue.standing().on_disk:
                queue.close()
                queue = Outbox(path, SMALL, clock)
                model.dropped = 0
            elif step[0] == "retry":
                queue._next_try = 0.0
            elif queue.standing().on_disk:
                spoil(queue, FULL if step[0] == "full" else READ_ONLY)
            assert waiting(queue) == [text for text, _, _ in model.rows]
            assert queue.states() == model.states
            standing = queue.standing()
            assert (standing.depth, standing.bytes) == (len(model.rows), model.size)
            assert sum(count for _, count in standing.dropped) == model.dropped
        queue.close()
