"""`watch` shows what arrives and bears with what is not ours."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from edge import payload
from edge.alarm import Alarm
from edge.annunciator import Annunciator, Place
from edge.condition import Phase
from edge.lifecycle import State
from edge.mqtt import Publisher
from edge.rules import AlarmSettings
from edge.watch import STYLES, Board, watch
from tests.edge.summaries import UTC, summary
from tests.edge.test_mqtt import ONLINE, STOPPED, WILL, events_of_a_leak


def fed(*messages: tuple[str, object]) -> Board:
    board = Board()
    for topic, said in messages:
        board.take(topic, payload.encode(said).encode())
    return board


def drawn(board: Board) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(board.draw())
    return console.file.getvalue()


def row(board: Board, zone: str) -> list[str]:
    """The cells of a zone's line in the table."""
    [line] = [line for line in drawn(board).splitlines() if f" {zone} " in line]
    return [cell.strip() for cell in line.strip("│").split("│")]


def two_zones() -> tuple[Annunciator, float]:
    """A camera with a leak in its zone "mast" that nobody has acknowledged, and none in "tank"."""
    annunciator = Annunciator("north", dict.fromkeys(("tank", "mast"), AlarmSettings(on_delay_s=0.5)))
    for index in range(10):
        annunciator.observe(UTC + index / 10, [summary(index, fps=10, box=None), summary(index, fps=10)])
    return annunciator, UTC + 1


def asked(annunciator: Annunciator, utc: float, command: str, zone: str, **fields: object) -> None:
    message = {"command": command, "id": f"{command}-{zone}", "operator": "Jo", "zone": zone, **fields}
    assert annunciator.act(json.dumps(message).encode(), utc).reply.accepted


def shown(annunciator: Annunciator, utc: float) -> tuple[Board, str]:
    """The board that heard where this camera stands, and the line that it gave."""
    board = Board()
    line = board.take("fgstp/box/north/alarm", payload.encode(payload.alarm(annunciator.places, "north", utc)).encode())
    assert line is not None
    return board, line


def test_each_zone_has_its_line_with_state_and_priority_and_the_worst_one_is_told():
    annunciator, utc = two_zones()
    board, line = shown(annunciator, utc)
    assert row(board, "tank")[:6] == ["box", "north", "tank", "normal", "", "normal"]
    assert row(board, "mast")[:6] == ["box", "north", "mast", "unacknowledged", "medium", "active"]
    assert line == "box/north alarm unacknowledged, priority medium, zone mast, leak active, quality good"


def test_what_an_operator_did_is_seen_in_the_table():
    annunciator, utc = two_zones()
    asked(annunciator, utc, "ack", "mast")
    asked(annunciator, utc, "shelve", "tank", duration_s=3600)
    board, line = shown(annunciator, utc)
    assert row(board, "mast")[3:6] == ["acknowledged", "medium", "active"]
    assert row(board, "tank")[3] == f"shelved until {payload.iso(utc + 3600)[11:16]}"
    assert line.startswith("box/north alarm acknowledged")
    asked(annunciator, utc, "out_of_service", "mast")
    assert row(shown(annunciator, utc)[0], "mast")[3] == "out of service"


def test_every_state_that_an_alarm_may_have_has_a_colour():
    assert {state.value for state in State} <= set(STYLES)
    assert {phase.value for phase in Phase} <= set(STYLES)


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
