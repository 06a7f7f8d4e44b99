"""What the outbox keeps, in which order it lets go, and what it gives up first."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.outbox import default_path
from edge.store import Message
from edge.uplink import OutboxSettings
from tests.edge.outboxes import (
    ALARM,
    KB,
    READ_ONLY,
    SNAPSHOT,
    STATE,
    TELEMETRY,
    Clock,
    message,
    opened,
    spoil,
    waiting,
)


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


def test_the_age_is_that_of_the_first_that_waits(tmp_path):
    clock = Clock()
    with opened(tmp_path / "box.db", clock=clock) as queue:
        ages = []
        for put, removed in ((1, 0), (2, 0), (0, 1), (0, 2), (1, 0)):
            queue.write([message("a")] * put, {}, [id_ for id_, _ in queue.first(removed)] if removed else [])
            clock.now += 1
            ages.append(queue.standing().oldest_s)
        assert ages == [1, 2, 2, None, 1]


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


def test_the_default_place_is_that_of_systemd_then_of_the_user():
    assert default_path("box", {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}) == Path("/var/lib/a/outbox-box.db")
    assert default_path("box", {"XDG_STATE_HOME": "/x"}) == Path("/x/fgstp-edge/outbox-box.db")
    assert default_path("box", {}) == Path.home() / ".local/state/fgstp-edge/outbox-box.db"
