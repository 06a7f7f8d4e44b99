"""`watch` shows what arrives and bears with what is not ours."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from edge import payload
from edge.alarm import Alarm
from edge.annunciator import Place
from edge.mqtt import Publisher
from edge.watch import Board, watch
from tests.edge.summaries import UTC
from tests.edge.test_mqtt import ONLINE, STOPPED, WILL, events_of_a_leak


def fed(*messages: tuple[str, object]) -> Board:
    board = Board()
    for topic, said in messages:
        board.take(topic, payload.encode(said).encode())
    return board


def drawn(board: Board) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(board.draw())
    return console.file.getvalue()


def test_the_table_shows_state_events_and_a_device_that_went_away():
    standing = payload.alarm([Place(Alarm("north"))], "north", UTC)
    board = fed(("fgstp/box/north/alarm", standing), ("fgstp/box/north/event", events_of_a_leak()[0]))
    assert board.leaks == 1
    assert "normal" in drawn(board)
    assert "leak start" in drawn(board)
    board.take("fgstp/box/status", payload.encode(WILL).encode())
    assert "device offline" in drawn(board)


NOT_OURS = [b"", b"\xff", b"[]", b"3", b"{}", b'{"type": 7}', b'{"type": "start", "origin": 5}', b'{"state": "on"}']


@pytest.mark.parametrize("message", NOT_OURS)
@pytest.mark.parametrize("topic", ["fgstp/box/north/event", "fgstp/box/north/alarm", "fgstp/box/status", "x"])
def test_messages_of_others_are_passed_over(topic, message):
    board = Board()
    assert board.take(topic, message) is None
    assert board.leaks == 0
    drawn(board)


def test_watch_prints_a_line_for_each_message_where_no_terminal_is(broker):
    publisher = Publisher(broker, "box", will=WILL)
    publisher.publish("status", ONLINE)
    publisher.start()
    events = iter(events_of_a_leak())

    def over(board: Board) -> bool:
        if board.devices.get("box") == "online" and not board.leaks:
            publisher.publish("event", next(events), "north")
        return board.leaks > 0

    console = Console(file=io.StringIO(), force_terminal=False)
    board = watch(broker, until=over, console=console)
    publisher.close(STOPPED)
    assert board.leaks == 1
    assert "box online\n" in console.file.getvalue()
    assert "box/north leak start" in console.file.getvalue()
