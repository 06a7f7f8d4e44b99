"""Whatever arrives on a command or STATE topic: no crash, and nothing moves that a valid message did not move.

A quick form runs with the tests; all of it: `FGSTP_FUZZ=100000 ./dev test tests/edge/test_sparkplug_fuzz.py`. Half
of the payloads are valid ones with a few bytes changed, removed, added or repeated; a quarter is noise, and a quarter
is well-formed, with fields drawn at random. What each should do is told by a second reading of its own.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.sparkplug import Command, Publisher, codec
from edge.sparkplug.command import REBIRTH
from edge.sparkplug.session import Phase
from edge.sparkplug.table import WRITABLE
from edge.uplink import MqttSettings, OutboxSettings, SparkplugSettings

COUNT = int(os.environ.get("FGSTP_FUZZ", "6000"))
NCMD, DCMD, STATE = "spBv1.0/plant/NCMD/box", "spBv1.0/plant/DCMD/box/north", "spBv1.0/STATE/scada"
BASE = 256  # aliases of the first camera


class NoLink:
    """Takes all that is published and goes nowhere."""

    def publish(self, publication: Any) -> bool:
        return True

    def end(self, death: Any = None) -> None:
        pass

    def drop(self, patience_s: float) -> None:
        pass


class Target:
    """A publisher that listens without a broker, and what it was told to do."""

    def __init__(self, state: Path) -> None:
        self.commands: list[Command] = []
        outbox = OutboxSettings(path=state)
        settings = SparkplugSettings(group_id="plant", primary_host="scada", outbox=outbox)
        self.publisher = Publisher(settings, MqttSettings(), "box", ["north"], command=self.commands.append)
        self.wake()

    def wake(self) -> None:
        """Alive, with a host that was last heard at 1000 ms."""
        self.link: Any = NoLink()
        self.publisher._link = self.link
        session = self.publisher._session
        session.phase, session.due, session._heard = Phase.ALIVE, None, {0: 1000}

    def hear(self, topic: str, body: bytes) -> tuple[bool, list[Command], Phase]:
        """What one message does: a rebirth, commands, and where the session stands afterwards."""
        self.publisher._rebirth = False
        self.commands.clear()
        self.publisher._on_heard(self.link, topic, body, False)
        return self.publisher._rebirth, list(self.commands), self.publisher._session.phase


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    made = Target(tmp_path / "target.db")
    yield made
    made.publisher.close()


def valid(draw: random.Random, topic: str) -> bytes:
    """Something that a host may well send."""
    if topic == STATE:
        return json.dumps({"online": draw.random() < 0.5, "timestamp": draw.randrange(500, 1500)}).encode()
    read = codec._Payload(timestamp=1_790_000_000_000)
    if topic == NCMD:
        read.metrics.add(name=REBIRTH, datatype=11, boolean_value=True)
        return bytes(read.SerializeToString())
    for row in draw.sample(WRITABLE, draw.randrange(1, 3)):
        metric = read.metrics.add(timestamp=1_790_000_000_000)
        if draw.random() < 0.5:
            metric.alias = BASE + row.number
        else:
            metric.name = row.name
        if row.type is codec.Type.BOOLEAN:
            metric.boolean_value = draw.random() < 0.8
        else:
            metric.double_value = draw.choice([600.0, 0.0, -1.0, float("nan"), float("inf"), 1e300])
    return bytes(read.SerializeToString())


def drawn(draw: random.Random, topic: str) -> bytes:
    """Well-formed, but otherwise anything."""
    if topic == STATE:
        pool = [True, False, None, 0, 1, "true", 1000, 1e9, -5, [], {}, 10**30]
        keys = ["online", "timestamp", "bdSeq", "Online"]
        return json.dumps({key: draw.choice(pool) for key in draw.sample(keys, draw.randrange(5))}).encode()
    read = codec._Payload(seq=draw.randrange(300))
    for _ in range(draw.randrange(4)):
        metric = read.metrics.add(datatype=draw.randrange(40), is_null=draw.random() < 0.1)
        metric.name = draw.choice([REBIRTH, REBIRTH.upper(), "", "x" * 300, *(row.name for row in WRITABLE)])
        if draw.random() < 0.5:
            metric.alias = draw.choice([0, 1, BASE + 1, *(BASE + row.number for row in WRITABLE), 2**64 - 1])
        field = draw.choice(["int_value", "long_value", "double_value", "boolean_value", "string_value", "bytes_value"])
        values = {"double_value": 3.5, "boolean_value": True, "string_value": "true", "bytes_value": b"\1"}
        setattr(metric, field, values.get(field, draw.randrange(2**32)))
    return bytes(read.SerializeToString())


def mutated(draw: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(draw.randrange(1, 5)):
        place = draw.randrange(len(changed) + 1)
        kind = draw.randrange(5)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del changed[place : place + draw.randrange(1, 9)]
        elif kind == 2:
            changed[place:place] = draw.randbytes(draw.randrange(1, 9))
        elif kind == 3:
            changed += changed[place : place + 40]
        elif place < len(changed):
            changed[place] = draw.randrange(256)
    return bytes(changed)


def payload(draw: random.Random, topic: str) -> bytes:
    luck = draw.random()
    if luck < 0.5:
        return mutated(draw, valid(draw, topic))
    if luck < 0.75:
        return draw.randbytes(draw.randrange(200))
    return drawn(draw, topic)


def raw(body: bytes) -> list[tuple[str | None, int | None, Any]] | None:
    """Name, alias and value of each metric, straight from protobuf; None: not a payload."""
    read = codec._Payload()
    try:
        read.ParseFromString(body)
        found = []
        for m in read.metrics:
            held = m.WhichOneof("value")
            value = None if held is None or m.is_null else getattr(m, held)
            bits = {3: 32, 4: 64}.get(m.datatype, 0)  # Int32 and Int64 are sent as two's complement
            if bits and type(value) is int and value >= 1 << (bits - 1):
                value -= 1 << bits
            name = m.name if m.HasField("name") else None
            found.append((name, m.alias if m.HasField("alias") else None, value))
    except Exception:
        return None
    return found


def expected(topic: str, body: bytes) -> tuple[bool, list[tuple[str, float | None]], Phase]:
    """What a message may do, by a reading that shares no code with the one under test."""
    if topic == STATE:
        try:
            said = json.loads(body)
            gone = said["online"] is False and type(said["timestamp"]) is int and said["timestamp"] >= 1000
        except Exception:
            gone = False
        return False, [], Phase.DOWN if gone else Phase.ALIVE
    metrics = raw(body) or []
    if topic == NCMD:
        return any(name == REBIRTH and value is True for name, _, value in metrics), [], Phase.ALIVE
    asked: list[tuple[str, float | None]] = []
    for name, alias, value in metrics:
        rows = [r for r in WRITABLE if (r.name == name if alias is None else alias == BASE + r.number)]
        if not rows:
            return False, [], Phase.ALIVE
        if rows[0].name == "Alarm/Shelve s":
            if type(value) not in (int, float) or not 0 < value < float("inf"):
                return False, [], Phase.ALIVE
            asked.append(("shelve", float(value)))
        elif not isinstance(value, bool):
            return False, [], Phase.ALIVE
        elif value or rows[0].otherwise:
            asked.append((rows[0].verb if value else str(rows[0].otherwise), None))
    return False, asked, Phase.ALIVE


def test_payloads_from_strangers_crash_nothing_and_move_nothing(target: Target) -> None:
    draw = random.Random(20_237)  # ISO/IEC 20237 is Sparkplug
    effects = 0
    for _ in range(COUNT):
        topic = draw.choice([NCMD, DCMD, STATE])
        body = payload(draw, topic)
        rebirth, commands, phase = target.hear(topic, body)
        did = rebirth, [(c.verb, c.value) for c in commands], phase
        assert did == expected(topic, body), (topic, body.hex())
        if did != (False, [], Phase.ALIVE):
            effects += 1
            target.wake()
    assert COUNT / 50 < effects < COUNT / 2, "some of them must still be valid, most of them not"


def test_a_node_goes_on_after_noise_as_if_it_had_not_been_there(target: Target) -> None:
    """What it says of itself is the same, byte for byte, with noise in between and without."""
    draw = random.Random(1)
    before = target.publisher._node.birth(1000)
    for _ in range(300):
        target.hear(DCMD, draw.randbytes(60))
        target.wake()
    assert target.publisher._node.birth(1000) == before


@pytest.mark.parametrize("topic", [NCMD, DCMD])
def test_a_retained_or_endless_command_is_refused(target: Target, topic: str, caplog: pytest.LogCaptureFixture) -> None:
    body = valid(random.Random(3), topic)
    target.publisher._on_heard(target.link, topic, body, True)
    assert "it is retained" in caplog.text
    assert not target.publisher._rebirth
    assert not target.commands
    target.publisher._next_refusal = 0.0
    target.publisher._on_heard(target.link, topic, body + body * 2000, False)
    assert "longer than" in caplog.text
    assert not target.publisher._rebirth
    assert not target.commands
