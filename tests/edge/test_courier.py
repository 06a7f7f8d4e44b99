"""The thread between outbox and broker, with a broker made by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import courier
from edge.courier import Courier
from edge.outbox import Outbox
from edge.store import Message, Priority
from edge.uplink import OutboxSettings


class Hand:
    """Takes what is sent; answers when told to."""

    def __init__(self, path: Path, per_s: float = 10_000) -> None:
        self.sent: list[tuple[int, str]] = []
        self.at: list[float] = []
        self._path = path
        self.outbox = Outbox(path, OutboxSettings())
        self.courier = Courier(self.outbox, self._take, per_s)

    def _take(self, message: Message) -> int:
        self.at.append(time.monotonic())
        self.sent.append((len(self.sent) + 1, message.body.decode()))
        return len(self.sent)

    @property
    def said(self) -> list[str]:
        return [text for _, text in self.sent]

    def put(self, *texts: str, priority: Priority = Priority.ALARM, topic: str = "t", **states: str | None) -> None:
        for text in texts:
            self.courier.put(Message(topic, text.encode(), priority), states)

    def answer(self, *receipts: int, accepted: bool = True) -> None:
        for receipt in receipts:
            self.courier.answered(receipt, accepted)

    def until(self, true: Callable[[], Any], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, (self.said, self.courier.standing)
            time.sleep(0.002)

    def left(self) -> list[str]:
        """What the file holds once all is closed."""
        self.courier.close(0)
        found = Outbox(self._path, OutboxSettings())
        texts = [message.body.decode() for _, message in found.first(10_000)]
        found.close()
        return texts


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    made = Hand(tmp_path / "box.db")
    made.courier.start()
    yield made
    made.courier.close(0)


def numbers(first: int, last: int) -> list[str]:
    return [str(n) for n in range(first, last + 1)]


def test_a_message_leaves_the_file_only_when_it_is_confirmed(hand):
    hand.courier.connection(True)
    hand.put("a", "b")
    hand.until(lambda: len(hand.sent) >= 1 and hand.courier.standing.depth)
    hand.until(lambda: hand.courier.standing.depth == 2)
    hand.answer(1)
    hand.until(lambda: hand.courier.standing.depth == 1)
    hand.answer(99, 1)  # the farewell's receipt, and one that came twice
    assert hand.left() == ["b"]


def test_the_next_few_wait_until_these_are_confirmed_even_over_a_lost_connection(hand):
    hand.put(*numbers(1, 25))
    hand.until(lambda: hand.courier.standing.depth == 25)
    assert hand.said == []
    hand.courier.connection(True)
    hand.until(lambda: len(hand.sent) == 10)
    hand.answer(*range(1, 10))
    hand.courier.connection(False)
    hand.courier.connection(True)
    hand.until(lambda: hand.courier.standing.depth == 16)
    assert len(hand.sent) == 10, "number 10 may still be under way: nothing may overtake it"
    hand.answer(10)
    hand.until(lambda: len(hand.sent) == 20)
    hand.answer(*range(11, 21))
    hand.until(lambda: len(hand.sent) == 25)
    assert hand.said == numbers(1, 25)


def test_replay_keeps_to_its_rate(tmp_path):
    hand = Hand(tmp_path / "box.db", per_s=100)
    hand.put(*numbers(1, 60))
    hand.courier.start()
    hand.courier.connection(True)
    answered = 0
    while answered < 60:
        hand.until(lambda least=answered: len(hand.sent) > least)
        answered += 1
        hand.answer(answered)
    hand.until(lambda: hand.courier.standing.depth == 0)
    assert hand.said == numbers(1, 60)
    assert 0.5 <= hand.at[-1] - hand.at[0] < 3
    hand.courier.close(0)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Hand]:
    """One that replays a message every 100 s, connected when 8 of each kind waited; one of them has gone out."""
    made = Hand(tmp_path / "box.db", per_s=0.01)
    for name, priority in (("u", Priority.TELEMETRY), ("d", Priority.STATE), ("a", Priority.ALARM)):
        made.put(*(f"{name}{n}" for n in range(1, 9)), priority=priority)
    made.courier.start()
    made.until(lambda: made.courier.standing.depth == 24)
    made.courier.connection(True)
    made.until(lambda: made.sent)
    yield made
    made.courier.close(0)


def confirm(hand: Hand, until: Callable[[], Any]) -> None:
    """Let the broker take whatever is sent."""
    answered = 0

    def all_that_came() -> Any:
        nonlocal answered
        hand.answer(*range(answered + 1, len(hand.sent) + 1))
        answered = len(hand.sent)
        return until()

    hand.until(all_that_came)


def test_an_alarm_waits_for_the_alarms_before_it_and_neither_for_the_rate_of_the_replay_nor_for_what_else_waits(slow):
    slow.put("live")
    confirm(slow, lambda: slow.courier.standing.depth == 16)
    assert slow.said == [*(f"a{n}" for n in range(1, 9)), "live"]


def test_the_replay_keeps_to_its_rate_while_no_new_alarm_waits(slow):
    slow.put("later", priority=Priority.STATE)
    confirm(slow, lambda: slow.courier.standing.depth == 24)
    slow.until(lambda: slow.courier._due > time.monotonic() + 50)
    assert slow.said == ["a1"]


def test_an_alarm_does_not_wait_for_the_confirmation_of_an_update(tmp_path):
    hand = Hand(tmp_path / "box.db", per_s=0.01)
    hand.courier.start()
    hand.courier.connection(True)
    hand.put("update", priority=Priority.TELEMETRY)
    hand.until(lambda: hand.said == ["update"])
    hand.put("alarm")
    hand.until(lambda: hand.said == ["update", "alarm"])
    hand.put("another")
    hand.until(lambda: hand.courier.standing.depth == 3)
    assert hand.said == ["update", "alarm"], "but for that of the alarm before it"
    hand.answer(2)
    hand.until(lambda: hand.said == ["update", "alarm", "another"])
    hand.courier.close(0)


@pytest.mark.parametrize("priority", [Priority.STATE, Priority.TELEMETRY, Priority.SNAPSHOT])
def test_a_refused_message_of_another_kind_holds_up_no_alarm(hand, monkeypatch, priority):
    monkeypatch.setattr(courier, "REFUSED_S", 1000.0)
    hand.courier.connection(True)
    hand.put("refused", priority=priority)
    hand.until(lambda: hand.sent)
    hand.answer(1, accepted=False)
    hand.until(lambda: hand.courier._due > time.monotonic() + 500)
    hand.put("alarm", topic="another")
    hand.until(lambda: hand.said == ["refused", "alarm"])


def test_a_connection_that_comes_while_we_write_is_not_overlooked(hand, monkeypatch):
    monkeypatch.setattr(courier, "IDLE_S", 1000.0)
    write = hand.outbox.write

    def write_and_connect(*change: Any) -> None:
        write(*change)
        monkeypatch.setattr(hand.outbox, "write", write)
        hand.courier.connection(True)

    monkeypatch.setattr(hand.outbox, "write", write_and_connect)
    hand.put("a")
    hand.until(lambda: hand.said == ["a"])


def test_a_refused_message_stays_and_is_tried_again(hand, caplog, monkeypatch):
    monkeypatch.setattr(courier, "REFUSED_S", 0.3)
    hand.courier.connection(True)
    hand.put("a")
    hand.until(lambda: hand.sent)
    hand.answer(1, accepted=False)
    hand.until(lambda: len(hand.sent) == 2)
    assert hand.at[1] - hand.at[0] >= 0.3
    assert "refuses" in caplog.text
    hand.answer(2)
    hand.until(lambda: hand.courier.standing.depth == 0)


def test_after_a_refusal_messages_go_singly_until_one_is_taken_so_that_none_overtakes_it(hand, monkeypatch):
    monkeypatch.setattr(courier, "REFUSED_S", 0.05)
    hand.put(*numbers(1, 5))
    hand.until(lambda: hand.courier.standing.depth == 5)
    hand.courier.connection(True)
    hand.until(lambda: len(hand.sent) == 5)
    hand.answer(*range(1, 6), accepted=False)
    hand.until(lambda: len(hand.sent) == 6)
    hand.answer(6, accepted=False)
    hand.until(lambda: len(hand.sent) == 7)
    hand.answer(7)
    hand.until(lambda: len(hand.sent) == 11)
    hand.answer(*range(8, 12))
    hand.until(lambda: hand.courier.standing.depth == 0)
    assert hand.said == [*numbers(1, 5), "1", "1", *numbers(2, 5)]


def test_a_topic_refused_for_good_holds_up_no_other_and_keeps_its_order(hand, monkeypatch):
    monkeypatch.setattr(courier, "REFUSED_S", 0.5)
    hand.put("r1", "r2", topic="refused")
    hand.put("a1", "a2")
    hand.put("u1", priority=Priority.TELEMETRY)
    hand.until(lambda: hand.courier.standing.depth == 5)
    hand.courier.connection(True)
    hand.until(lambda: hand.said == ["r1", "r2", "a1", "a2"])
    hand.answer(1, 2, accepted=False)
    hand.answer(3, 4)
    hand.until(lambda: hand.said[4:] == ["u1"])
    hand.answer(5)
    hand.put("a3")
    hand.until(lambda: hand.said[5:] == ["r1"])
    hand.answer(6, accepted=False)
    hand.until(lambda: hand.said[6:] == ["a3"])
    hand.answer(7)
    hand.until(lambda: hand.said[7:] == ["r1"])
    hand.answer(8)
    hand.until(lambda: hand.said[8:] == ["r2"])
    hand.answer(9)
    hand.until(lambda: hand.courier.standing.depth == 0)


def test_once_rights_are_back_nothing_younger_overtakes_what_was_refused(hand, monkeypatch):
    monkeypatch.setattr(courier, "REFUSED_S", 0.3)
    hand.courier.connection(True)
    hand.put("a1", topic="a")
    hand.put("b1", topic="b")
    hand.put("a2", topic="a")
    answered = 0

    def refuse_all() -> bool:
        nonlocal answered
        hand.answer(*range(answered + 1, len(hand.sent) + 1), accepted=False)
        answered = len(hand.sent)
        return answered > 4 and hand.courier._tried == {"a", "b"}  # and now they wait for the next round

    hand.until(refuse_all)
    hand.put("c1", topic="c")
    hand.put("b2", topic="b")
    first = answered

    def take_all() -> bool:
        nonlocal answered
        hand.answer(*range(answered + 1, len(hand.sent) + 1))
        answered = len(hand.sent)
        return hand.courier.standing.depth == 0

    hand.until(take_all)
    assert hand.said[first:] == ["a1", "b1", "a2", "c1", "b2"]


def test_a_broker_that_never_answers_is_sent_to_again(hand, monkeypatch):
    monkeypatch.setattr(courier, "LOST_S", 0.2)
    hand.courier.connection(True)
    hand.put("a")
    hand.until(lambda: hand.said == ["a", "a"])


def test_what_was_put_is_on_disk_when_we_leave_without_a_broker(hand):
    hand.put(*numbers(1, 30), north="open")
    began = time.monotonic()
    hand.courier.close(5)
    assert time.monotonic() - began < 2
    found = Outbox(hand._path, OutboxSettings())
    assert len(found.first(100)) == 30
    assert found.states() == {"north": "open"}
    found.close()


def test_leaving_waits_for_the_broker_but_not_for_ever(hand):
    hand.courier.connection(True)
    hand.put("a")
    began = time.monotonic()
    hand.courier.close(0.3)
    assert 0.3 <= time.monotonic() - began < 3
    assert hand.said == ["a"]


def test_leaving_ends_as_soon_as_the_broker_has_all(hand):
    hand.courier.connection(True)
    hand.put("a")
    hand.until(lambda: hand.sent)
    hand.answer(1)
    began = time.monotonic()
    hand.courier.close(5)
    assert time.monotonic() - began < 2
    assert hand.left() == []


def test_a_slow_disk_holds_up_nobody_and_a_stuck_one_is_noticed(hand, monkeypatch):
    write = hand.outbox.write

    def slow(*change: Any) -> None:
        time.sleep(0.5)
        write(*change)

    monkeypatch.setattr(courier, "STALL_S", 0.1)
    monkeypatch.setattr(hand.outbox, "write", slow)
    began = time.monotonic()
    hand.put(*numbers(1, 100))
    assert time.monotonic() - began < 0.2
    hand.until(lambda: not hand.courier.alive)
    monkeypatch.setattr(courier, "STALL_S", 60.0)
    assert hand.courier.alive
    assert hand.left() == numbers(1, 100)
    assert not hand.courier.alive
