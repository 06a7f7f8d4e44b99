"""Ways to spoil a Sparkplug story: another field, another payload, a message too few, too many or too early."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edge.sparkplug import codec
from tests.edge.sparkplug_story import Story
from tests.edge.sparkplug_wire import Packet, Transcript

Change = Callable[[Packet], Packet | None]


def faulty(story: Story, change: Change) -> Story:
    """The story with each packet changed, or left out where `change` gives None."""
    packets = [changed for packet in story.packets if (changed := change(packet)) is not None]
    return Story(Transcript(packets))


def of(*verbs: str, kind: str = "PUBLISH", **fields: Any) -> Change:
    """Other fields for the client's packets of these verbs."""
    return lambda p: replace(p, **fields) if p.out and p.kind == kind and p.verb in verbs else p


def edit(*verbs: str, how: Callable[[Any], object], kind: str = "PUBLISH") -> Change:
    """Another payload for them; `how` changes the protobuf message."""

    def change(packet: Packet) -> Packet:
        if not packet.out or packet.kind != kind or packet.verb not in verbs:
            return packet
        read = codec._Payload()
        read.ParseFromString(packet.body)
        how(read)
        return replace(packet, body=read.SerializeToString())

    return change


def each(how: Callable[[Any], object]) -> Callable[[Any], object]:
    """The same for every metric of a payload."""
    return lambda payload: [how(metric) for metric in payload.metrics]


def named(name: str, how: Callable[[Any], object]) -> Callable[[Any], object]:
    """The same for the metric of this name."""
    return each(lambda metric: how(metric) if metric.name == name else None)


def topic(*verbs: str, old: str, new: str, kind: str = "PUBLISH") -> Change:
    return lambda p: replace(p, topic=p.topic.replace(old, new)) if p.out and p.kind == kind and p.verb in verbs else p


def without(*verbs: str, **fields: Any) -> Change:
    """Leave out the client's publications of these verbs."""
    return lambda p: None if p.out and p.verb in verbs and all(getattr(p, k) == v for k, v in fields.items()) else p


def once(fits: Callable[[Packet], bool], skip: int = 0) -> Callable[[Story], Story]:
    """Leave out the first packet that fits, after `skip` of them."""

    def change(story: Story) -> Story:
        packets = list(story.packets)
        places = [n for n, packet in enumerate(packets) if fits(packet)]
        del packets[places[skip]]
        return Story(Transcript(packets))

    return change


def published(verb: str) -> Callable[[Packet], bool]:
    return lambda p: p.out and p.kind == "PUBLISH" and p.verb == verb


REBIRTH = "Node Control/Rebirth"
BIRTHS, DATA = ("NBIRTH", "DBIRTH"), ("NDATA", "DDATA")
ALL = (*BIRTHS, *DATA, "DDEATH")


def twice(payload: Any) -> None:
    """Two metrics with one alias, and with names that differ by their case."""
    payload.metrics[3].alias = payload.metrics[4].alias
    payload.metrics[3].name = payload.metrics[4].name.upper()


def forget_values(payload: Any) -> None:
    """A birth that knows nothing."""
    for metric in payload.metrics:
        held = metric.WhichOneof("value")
        if held and metric.name not in ("bdSeq", REBIRTH):
            metric.ClearField(held)
            metric.is_null = True


def jump(payload: Any) -> None:
    payload.seq = 7


def repeat(verb: str) -> Callable[[Story], Story]:
    """A data message that says the same once more, 1 number later."""

    def change(story: Story) -> Story:
        packets: list[Packet] = []
        for packet in story.packets:
            packets.append(packet)
            if published(verb)(packet) and not any(m.historical for m in packet.payload.metrics):
                packets.append(packet)
        return Story(Transcript(packets))

    return change


def moved(verb: str, before: Callable[[Packet], bool]) -> Callable[[Story], Story]:
    """A message of this kind, too early."""

    def change(story: Story) -> Story:
        packets = list(story.packets)
        places = [n for n, p in enumerate(packets) if published(verb)(p)]
        if not places:
            return story
        early = packets.pop(places[0])
        at = next(n for n, p in enumerate(packets) if before(p) and p.connection == early.connection)
        packets.insert(at, early)
        return Story(Transcript(packets))

    return change


def every(change: Change) -> Callable[[Story], Story]:
    return lambda story: faulty(story, change)
