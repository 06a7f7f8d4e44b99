"""The outbox on disks that are full, read-only, damaged, locked or absent."""

from __future__ import annotations

import sqlite3

import pytest

from edge import outbox
from edge.outbox import Outbox
from edge.store import Store
from edge.uplink import OutboxSettings
from tests.edge.outboxes import (
    FULL,
    READ_ONLY,
    SMALL,
    Clock,
    full_disk,
    message,
    opened,
    spoil,
    waiting,
)


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
