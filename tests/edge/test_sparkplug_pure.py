"""Sparkplug without a broker: payloads, the table of metrics, what a camera reports, when a session does what."""

from __future__ import annotations

import pytest

from edge import payload
from edge.sparkplug import codec
from edge.sparkplug.codec import Metric, Payload, Type, decode, encode
from edge.sparkplug.host import HostState, read
from edge.sparkplug.node import Change, EdgeNode, Publication, restored
from edge.sparkplug.session import ANSWER_S, HOST_S, RETRY_S, Do, Phase, Session
from edge.sparkplug.table import CAMERA, NODE, WRITABLE, values
from edge.store import Message, Priority
from tests.edge.sparkplug_story import EVENT, alarm
from tests.edge.summaries import UTC, summary

NOW = 1_790_000_000_000
NUMBERS = {row.name: row.number for row in CAMERA}


def test_a_payload_has_the_bytes_that_the_specification_describes() -> None:
    metric = Metric(-5, Type.INT32, "a", alias=3, timestamp=1, quality=192, historical=True)
    expected = (
        "08 02"  # payload: timestamp is field 1
        " 12 23"  # metrics: 2, 35 bytes
        " 0a 01 61  10 03  18 01  20 03  28 01"  # name, alias, timestamp, datatype, is_historical: 1..5
        " 4a 10  0a 07 51 75 61 6c 69 74 79"  # properties: 9; its keys: 1
        " 12 05  08 03  18 c0 01"  # its values: 2; type: 1, int_value: 3
        " 50 fb ff ff ff 0f"  # int_value: 10, two's complement in 32 bits
        " 18 07"  # seq: 3
    )
    assert encode(Payload((metric,), timestamp=2, seq=7), typed=True) == bytes.fromhex(expected)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (-(2**31), Type.INT32),
        (2**31 - 1, Type.INT32),
        (-1, Type.INT64),
        (2**63 - 1, Type.INT64),
        (0.1, Type.DOUBLE),
        (False, Type.BOOLEAN),
        ("µ§", Type.STRING),
        (NOW, Type.DATETIME),
        (None, Type.DOUBLE),
    ],
)
def test_values_come_back_as_they_went(value: codec.Value, type_: Type) -> None:
    metric = Metric(value, type_, "m", 5, NOW, 500, True)
    assert decode(encode(Payload((metric,), NOW, 255), typed=True)) == Payload((metric,), NOW, 255)


def test_what_is_no_payload_is_an_error() -> None:
    for body in (b"\xff", b"\x12\x05\x0a\x01", b"not protobuf"):
        with pytest.raises(ValueError, match="not a Sparkplug payload"):
            decode(body)


def test_numbers_and_names_of_metrics_are_unique() -> None:
    for rows in ((*CAMERA, *WRITABLE), NODE):
        assert len({row.number for row in rows}) == len({row.name.lower() for row in rows}) == len(rows)
        assert all(row.number < 256 for row in rows)
    assert all(row.number > 1 for row in NODE), "1 is bdSeq's"


def test_every_row_is_filled_by_our_own_messages() -> None:
    """A key that no message has would stay null for ever."""
    messages = {
        "alarm": alarm("north"),
        "event": {**EVENT, "duration_s": 1.0, "peak_area_px": 1, "area_share": 0.1, "cnr": 1.0, "drift": (1.0, 2.0)},
        "summary": payload.summary(summary(1), "north"),
        "quality": {"connected": True, "word": "good", "reasons": ""},
        "health": {"fps": 15.0, "latency_p95_ms": 3.0, "dropped": 0, "faults": 0},
    }
    filled = {number for kind, message in messages.items() for number in values(CAMERA, kind, message)}
    assert {row.source for row in CAMERA if row.number not in filled} == set()


def a_node() -> EdgeNode:
    made = EdgeNode("g", "n", ["north", "south"])
    made.will(0)
    made.birth(NOW)
    return made


def told(change: Change) -> dict[str, codec.Value]:
    names = {number: name for name, number in NUMBERS.items()}
    return {names[number]: value for number, value in change.values.items()}


def test_a_change_is_reported_once_and_noise_within_the_deadband_never() -> None:
    node = a_node()
    spot = payload.summary(summary(1), "north")
    [first] = node.observe("summary", spot, "north", NOW)
    assert told(first)["Plume/Area px"] == 1200
    assert node.observe("summary", spot, "north", NOW) == ()
    assert node.observe("summary", {**spot, "confidence": spot["confidence"] + 0.005}, "north", NOW) == ()
    [drift] = node.observe("summary", {**spot, "confidence": spot["confidence"] - 0.011}, "north", NOW)
    assert set(told(drift)) == {"Plume/Confidence"}


@pytest.mark.parametrize("word", ["bad", "uncertain"])
def test_a_held_alarm_makes_every_value_of_the_picture_bad_and_keeps_it(word: str) -> None:
    node = a_node()
    node.observe("alarm", alarm("north", state="active", active=True), "north", NOW)
    held = alarm("north", state="active", active=True, quality=word, held=True)
    [change] = node.observe("alarm", held, "north", NOW)
    assert change.quality == 0
    assert told(change)["Alarm/Active"] is True
    assert told(change)["Camera/Quality"] == word
    data = decode(node.data(change, NOW).body)
    bad = {m.alias - 256 for m in data.metrics if m.quality == 0 and m.alias is not None}
    assert NUMBERS["Alarm/Active"] in bad
    assert NUMBERS["Camera/Quality"] not in bad


def test_a_lost_camera_is_stale_until_its_next_picture() -> None:
    node = a_node()
    node.observe("alarm", alarm("north", state="active", active=True), "north", NOW)
    lost = alarm("north", 1, lost=True, state="active", active=True)
    [went] = node.observe("alarm", lost, "north", NOW)
    assert (went.went, went.quality, told(went)["Camera/Connected"]) == (True, 500, False)
    born = decode(node.camera_birth("north", NOW).body)
    stale = {m.name: m.quality for m in born.metrics}
    assert stale["Alarm/Active"] == 500
    assert node.observe("health", {"cameras": {"north": {"quality": "good", "reasons": []}}}, "", NOW) == ()
    [came] = node.observe("alarm", alarm("north", 2, state="active", active=True), "north", NOW)
    assert (came.came, came.quality) == (True, 192)


def test_strangers_and_unknown_messages_change_nothing() -> None:
    node = a_node()
    assert node.observe("alarm", alarm("west"), "west", NOW) == ()
    assert node.observe("cmd/reply", {"utc": None}, "north", NOW) == ()
    assert node.observe("health", {"cameras": {"west": {"fps": 1.0}}, "utc": "yesterday"}, "", NOW) == ()
    [change] = node.observe("event", {**EVENT, "area_px": "many", "origin": None, "started_utc": 7}, "north", NOW)
    assert "Event/Area px" not in told(change), "unknown is what it was"


def test_a_change_survives_the_disk_with_its_time_and_quality() -> None:
    node = a_node()
    [change] = node.observe("event", {**EVENT, "cnr": None, "drift": (-3.0, 2.5)}, "north", NOW)
    assert restored("north", change.saved()) == change
    assert change.worth is Priority.ALARM
    for body in (b"", b"\xff\xff", encode(Payload((Metric(1, Type.INT32, alias=250),)))):
        with pytest.raises(ValueError, match=r"payload|metric"):
            restored("north", body)


def test_a_day_of_an_open_leak_fits_into_the_outbox() -> None:
    """86,400 updates, one a second, each with other figures; the outbox holds 50 MB unless told otherwise."""
    node = a_node()
    sizes = []
    for n in range(100):
        moved = {"origin": (10.3 + n, 7.7 + n), "drift": (n / 7, n / 3), "cnr": n / 9, "confidence": 1 / (n + 2)}
        update = {**EVENT, "type": "update", "sequence": n, "area_px": 1000 + n, "duration_s": float(n), **moved}
        utc = payload.iso(UTC + n)
        [change] = node.observe("update", {**update, "peak_area_px": 2000 + n, "utc": utc}, "north", NOW)
        assert change.worth is not None
        sizes.append(Message("north", change.saved(), change.worth).size)
    assert max(sizes[1:]) * 86_400 < 50_000_000


def session(brokers: int = 1, *, waits: bool = False, last: int | None = None) -> Session:
    return Session(brokers, waits, last, lambda: 1.0)


def alive(brokers: int = 1, *, waits: bool = False) -> Session:
    made = session(brokers, waits=waits)
    assert made.tick(0) == (Do.DIAL,)
    made.subscribed(1)
    if waits:
        assert made.host_said(b'{"online": true, "timestamp": 1000}', 1) == (Do.BIRTH,)
    assert made.phase is Phase.ALIVE
    return made


@pytest.mark.parametrize(("last", "following"), [(None, 0), (0, 1), (254, 255), (255, 0)])
def test_bdseq_goes_on_where_the_last_process_stopped_and_wraps(last: int | None, following: int) -> None:
    assert session(last=last).bdseq == following


def test_bdseq_counts_connects_and_not_attempts() -> None:
    made = session(last=254)
    numbers = []
    for now in (0, 100, 200, 300, 400):
        assert made.tick(now) == (Do.DIAL,)
        numbers.append(made.bdseq)
        made.refused(now, connect_sent=now not in (0, 100))
    assert numbers == [255, 255, 255, 0, 1]


def test_waits_between_attempts_grow_to_a_limit() -> None:
    made, now, waits = session(), 0.0, []
    for _ in range(8):
        made.tick(now)
        made.refused(now, connect_sent=False)
        assert made.due is not None
        waits.append(made.due - now)
        now = made.due
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == RETRY_S[1]


def test_the_list_of_brokers_is_gone_through_before_any_wait() -> None:
    made, tried = session(3), []
    for _ in range(3):
        assert made.tick(0) == (Do.DIAL,)
        tried.append(made.broker)
        made.refused(0, connect_sent=False)
    assert tried == [0, 1, 2]
    assert made.tick(0) == ()
    assert made.broker == 0


def test_a_broker_without_answer_is_given_up() -> None:
    made = session()
    made.tick(0)
    assert made.tick(ANSWER_S) == (Do.DROP,)
    assert made.phase is Phase.DOWN


def test_a_host_that_says_nothing_is_looked_for_elsewhere_only_where_there_is_elsewhere() -> None:
    two, one = session(2, waits=True), session(1, waits=True)
    for made in (two, one):
        made.tick(0)
        assert made.subscribed(1) == ()
    assert two.tick(1 + HOST_S) == (Do.DROP,)
    assert two.broker == 1
    assert one.tick(1e6) == ()
    assert one.phase is Phase.WAITING
    assert one.host_said(b'{"online": false, "timestamp": 5}', 2) == ()
    assert one.host_said(b'{"online": true, "timestamp": 4}', 2) == (), "older than what it said last"
    assert one.host_said(b'{"online": true, "timestamp": 5}', 2) == (Do.BIRTH,)


def test_an_offline_host_is_left_for_the_next_broker_before_any_birth() -> None:
    made = session(2, waits=True)
    made.tick(0)
    made.subscribed(1)
    assert made.host_said(b'{"online": false, "timestamp": 5}', 2) == (Do.DROP,)
    assert (made.broker, made.tick(2)) == (1, (Do.DIAL,))


def test_a_host_that_goes_offline_is_a_death_unless_the_message_is_old() -> None:
    made = alive(waits=True)
    assert made.host_said(b'{"online": false, "timestamp": 999}', 3) == ()
    assert made.host_said(b'{"online": false, "timestamp": 1000}', 3) == (Do.DEATH,)
    assert made.bdseq == 1
    assert made.rebirth() == ()


def test_state_that_came_before_the_subscriptions_were_confirmed_counts() -> None:
    made = session(waits=True)
    made.tick(0)
    assert made.host_said(b'{"online": true, "timestamp": 5}', 1) == ()
    assert made.subscribed(1) == (Do.BIRTH,)


def test_nobody_waits_for_a_host_that_was_not_configured() -> None:
    made = alive()
    assert made.host_said(b'{"online": false, "timestamp": 5}', 2) == ()
    assert made.rebirth() == (Do.BIRTH,)
    assert made.leave() == (Do.DEATH,)
    assert made.tick(1e6) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ONLINE",
        b"[]",
        b'{"online": 1, "timestamp": 5}',
        b'{"online": true}',
        b'{"online": true, "timestamp": true}',
    ],
)
def test_other_state_messages_are_none(body: bytes) -> None:
    assert read(body) is None


def test_state_with_more_in_it_is_read() -> None:
    assert read(b'{"online": true, "timestamp": 7, "bdSeq": 3}') == HostState(True, 7)


def test_a_death_carries_the_number_of_the_will_and_nothing_else() -> None:
    node = a_node()
    assert node.will(7) == node.death() == Publication("spBv1.0/g/NDEATH/n", node.death().body, 1)
    assert decode(node.death().body) == Payload((Metric(7, Type.INT64, "bdSeq"),))
