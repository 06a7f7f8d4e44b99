"""What an independent subscriber heard, and whether it is what must have been said. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Heard = tuple[str, dict[str, Any]]  # topic, message


def violations(record: Sequence[Heard], leaks: Mapping[str, int]) -> list[str]:
    """What is wrong with a record of cameras that showed so many leaks each, all of them over; [] when nothing is.

    Every leak is to be told by its start, its alarm, its end and the alarm's, at least once, in this order, one leak
    after the other; no step of it is missing, though updates may come late; the same id always says the same; and the
    retained alarm says in the end that nothing stands.
    """
    found = list(_contradictions(record))
    for camera, number in leaks.items():
        mine = [(topic.rsplit("/", 1)[1], said) for topic, said in record if topic.split("/")[2:3] == [camera]]
        found += [f"{camera}: {what}" for what in _of_camera(mine, number)]
    return found


def identity(kind: str, said: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two messages have in common that are one."""
    return (said["event_id"], said["sequence"]) if kind == "event" else (said["id"],)


def first_arrivals(messages: Iterable[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Each event and alarm transition once, where it came first."""
    first: dict[tuple[Any, ...], tuple[str, dict[str, Any]]] = {}
    for kind, said in messages:
        if kind in ("event", "alarm_event"):
            first.setdefault((kind, *identity(kind, said)), (kind, said))
    return list(first.values())


def _contradictions(record: Sequence[Heard]) -> Iterable[str]:
    known: dict[tuple[Any, ...], dict[str, Any]] = {}
    for topic, said in record:
        kind = topic.rsplit("/", 1)[1]
        if kind in ("event", "alarm_event") and known.setdefault((kind, *identity(kind, said)), said) != said:
            yield f"{kind} {identity(kind, said)} was sent with two contents"


def _of_camera(messages: list[tuple[str, dict[str, Any]]], leaks: int) -> Iterable[str]:
    first = first_arrivals(messages)
    told = [step for kind, said in first if (step := _step(kind, said)) is not None]
    ids = list(dict.fromkeys(event_id for _, event_id in told))
    expected = [(step, one) for one in ids for step in ("start", "leak", "end", "leak_over")]
    if len(ids) != leaks:
        yield f"{leaks} leaks were shown, {len(ids)} told"
    if told != expected:
        at = next((n for n, pair in enumerate(zip(told, expected, strict=False)) if pair[0] != pair[1]), len(told))
        yield f"step {at}: expected {expected[at : at + 4]}, heard {told[at : at + 4]}"
    for one in ids:
        steps = [said for kind, said in first if kind == "event" and said["event_id"] == one]
        numbers = [said["sequence"] for said in steps]
        updates = [said["sequence"] for said in steps if said["type"] == "update"]
        if sorted(numbers) != list(range(len(numbers))) or numbers[:1] != [0] or updates != sorted(updates):
            yield f"event {one}: its steps came as {numbers}"
    numbers = [said["sequence"] for kind, said in first if kind == "alarm_event"]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"the alarm's transitions came as {numbers}"
    standing = [said["active"] for kind, said in messages if kind == "alarm"][-1:]
    if standing != [False]:
        yield "the retained alarm stands" if standing else "no retained alarm"


def _step(kind: str, said: Mapping[str, Any]) -> tuple[str, str] | None:
    """Start, alarm, end or end of the alarm, of a leak; None for what need not come."""
    word = said["type"] if kind == "event" else said["cause"]
    return (word, said["event_id"]) if word in ("start", "end", "leak", "leak_over") else None
