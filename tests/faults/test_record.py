"""The judge itself: a right record passes, and each way in which one can be wrong is found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.record import Heard, violations


def event(kind: str, leak: str, sequence: int) -> Heard:
    return "fgstp/box/north/event", {"type": kind, "event_id": leak, "sequence": sequence}


def alarm(cause: str, leak: str, sequence: int) -> Heard:
    said = {"cause": cause, "event_id": leak, "sequence": sequence, "id": f"{cause}-{sequence}"}
    return "fgstp/box/north/alarm_event", said


def standing(active: bool) -> Heard:
    return "fgstp/box/north/alarm", {"active": active}


def right() -> list[Heard]:
    first = [event("start", "a", 0), alarm("leak", "a", 1), event("update", "a", 1), standing(True)]
    second = [event("start", "b", 0), alarm("leak", "b", 3), event("end", "b", 1), alarm("leak_over", "b", 4)]
    return [*first, event("end", "a", 2), alarm("leak_over", "a", 2), *second, standing(False)]


def test_a_right_record_passes_with_repetitions_in_any_place() -> None:
    assert violations(right(), {"north": 2}) == []
    assert violations([*right()[:5], *right()], {"north": 2}) == []
    assert violations([standing(False)], {"north": 0}) == []


def test_updates_may_come_after_the_end_of_their_leak_in_their_order() -> None:
    record = right()
    late = record.pop(2)
    assert violations([*record, late], {"north": 2}) == []
    assert violations([late, *record], {"north": 2}) == ["north: event a: its steps came as [1, 0, 2]"]


def without(place: int) -> Callable[[list[Heard]], Any]:
    return lambda record: record.pop(place)


def swapped(one: int, other: int) -> Callable[[list[Heard]], None]:
    def swap(record: list[Heard]) -> None:
        record[one], record[other] = record[other], record[one]

    return swap


def other_content(record: list[Heard]) -> None:
    again = copy.deepcopy(record[4])
    again[1]["area_px"] = 7
    record.insert(5, again)


def another_alarm_under_a_used_number(record: list[Heard]) -> None:
    record.insert(6, alarm("ack", "a", 2))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (without(0), "expected [('start', 'a')"),
        (without(1), "expected [('leak', 'a')"),
        (without(2), "its steps came as [0, 2]"),
        (without(4), "expected [('end', 'a')"),
        (without(9), "expected [('leak_over', 'b')"),
        (without(-1), "the retained alarm stands"),
        (swapped(0, 4), "expected [('start', 'a')"),
        (swapped(4, 6), "expected [('end', 'a')"),
        (lambda record: record.append(event("start", "c", 0)), "2 leaks were shown, 3 told"),
        (other_content, "event ('a', 2) was sent with two contents"),
        (another_alarm_under_a_used_number, "the alarm's transitions came as [1, 2, 2, 3, 4]"),
        (lambda record: record.clear(), "2 leaks were shown, 0 told"),
        (lambda record: record.clear(), "no retained alarm"),
    ],
)
def test_each_fault_is_found(change: Callable[[list[Heard]], Any], found: str) -> None:
    record = right()
    change(record)
    assert any(found in what for what in violations(record, {"north": 2})), violations(record, {"north": 2})
