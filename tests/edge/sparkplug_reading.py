"""What the tests of the Sparkplug clauses look for in a story's packets."""

from __future__ import annotations

import itertools
from typing import Any

from edge.sparkplug import codec
from edge.sparkplug.codec import Metric
from edge.sparkplug.host import HostState, read
from tests.edge.sparkplug_story import HOST_ID, Story
from tests.edge.sparkplug_wire import Packet

REBIRTH = "Node Control/Rebirth"
BIRTHS, DATA, ALL = ("NBIRTH", "DBIRTH"), ("NDATA", "DDATA"), ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH")


def connections(story: Story) -> list[list[Packet]]:
    """The packets of each connection."""
    count = 1 + max(packet.connection for packet in story.packets)
    return [[p for p in story.packets if p.connection == n] for n in range(count)]


def births(story: Story) -> list[Packet]:
    found = story.published("NBIRTH")
    assert len(found) >= 3, "births, a rebirth, and births after the cut"
    return found


def current(packet: Packet) -> dict[str, Metric]:
    return {metric.name or "": metric for metric in packet.payload.metrics}


def properties(story: Story, *verbs: str) -> list[Any]:
    """The property sets of all metrics in these messages, as they travelled."""
    found = []
    for packet in story.published(*verbs):
        read = codec._Payload()
        read.ParseFromString(packet.body)
        found += [metric.properties for metric in read.metrics if metric.HasField("properties")]
    assert found
    return found


def unretained(story: Story, verb: str, qos: int = 0) -> None:
    found = story.published(verb)
    assert found
    assert {(packet.qos, packet.retain) for packet in found} == {(qos, False)}


def in_sequence(story: Story, verb: str) -> None:
    """Each message of this kind has the number after the one before it, which is of any kind."""
    checked = 0
    for packets in connections(story):
        sent = [p for p in packets if p.out and p.kind == "PUBLISH" and p.verb in ALL]
        for before, after in itertools.pairwise(sent):
            if after.verb == verb:
                assert after.payload.seq == (before.payload.seq + 1) % 256
                checked += 1
    assert checked


def stamped(story: Story, verb: str) -> None:
    found = story.published(verb)
    assert found
    for packet in found:
        assert (packet.payload.timestamp or 0) > 1_600_000_000_000


def topics(story: Story, verb: str, *expected: str) -> None:
    assert {packet.topic for packet in story.published(verb)} == set(expected)


def states(story: Story) -> list[tuple[int, Packet, HostState]]:
    """The STATE messages that the edge node was given: place in the story, packet, content."""
    found = []
    for place, packet in enumerate(story.packets):
        if packet.verb == "STATE" and not packet.out and packet.kind == "PUBLISH":
            said = read(packet.body)
            assert said is not None
            found.append((place, packet, said))
    assert found
    return found


def state_before(story: Story, place: int) -> HostState | None:
    """What the primary host said last, on that connection, before a packet."""
    packet = story.packets[place]
    said = [s for at, p, s in states(story) if at < place and p.connection == packet.connection and own(p)]
    return said[-1] if said else None


def own(packet: Packet) -> bool:
    return packet.topic == f"spBv1.0/STATE/{HOST_ID}"


def places(story: Story, verb: str) -> list[int]:
    found = [n for n, p in enumerate(story.packets) if p.out and p.kind == "PUBLISH" and p.verb == verb]
    assert found
    return found
