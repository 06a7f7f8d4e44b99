"""The operator's half of an alarm: the states of ISA-18.2 / IEC 62682. Pure: no clock, no I/O; time is UTC, passed in.

    NORMAL ──leak──▶ UNACKNOWLEDGED ──ack──▶ ACKNOWLEDGED ──over──▶ NORMAL, or with latching
                        │     ▲ ◀──re-alarm──┘                      LATCHED_ACKNOWLEDGED ──reset──▶ NORMAL
                       over  leak                                             ▲
                        ▼     │                                              ack
              RETURNED_UNACKNOWLEDGED ──ack──▶ NORMAL; with latching LATCHED_UNACKNOWLEDGED

From every state an operator may shelve (for a limited time), suppress or take out of service. While an alarm is hidden
so, leaks come and go unannounced. Leaving such a state shows what is true then: UNACKNOWLEDGED where a leak stands,
LATCHED_UNACKNOWLEDGED where latching holds one, else NORMAL.

What counts as a leak is `edge.condition`'s business. A frame that is not believable changes nothing here; only time
goes on. Time never runs backwards for an alarm: a clock that is set back lengthens no shelving.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from edge.command import Command
from edge.condition import Condition
from edge.lifecycle import ACKNOWLEDGED, LEADS_TO, SENSIBLE, Cause, Reading, State, Transition
from edge.priority import Priority, Trend, begun, followed, priority
from edge.records import Summary
from edge.rules import AlarmSettings

_NAMESPACE = uuid.UUID("0d3c2f5a-6f0e-5c39-9a51-3d0a7c1f4b62")
JITTER_S = 5.0  # frames are told a little later than they were taken: less than this is no clock that was set back


@dataclass(frozen=True, slots=True)
class Alarm:
    """All that is remembered of one alarm."""

    camera: str
    zone: str = ""
    state: State = State.NORMAL
    sequence: int = 0  # of the last transition
    utc: float | None = None  # the latest that was heard
    clock: float = 0.0  # s that have passed
    standing: bool = False
    event_id: str = ""  # of the leak that the alarm is about
    area_share: float = 0.0
    confidence: float = 0.0
    priority: Priority = Priority.LOW
    trend: Trend | None = None  # of the leak that stands
    acknowledged_at: float | None = None  # on the clock; in ACKNOWLEDGED
    shelved_until: float | None = None  # on the clock; in SHELVED
    latched: bool = False  # a hidden alarm that comes back latched


Said = tuple[Transition, ...]
_JSON = TypeAdapter(Alarm)


def reading(condition: Condition, summary: Summary) -> Reading:
    """A frame's part for the alarm, once the process condition has seen it."""
    leak = condition.leak if condition.phase.alarming else None
    return Reading(
        standing=leak is not None,
        event_id=leak.event_id if leak else "",
        area_share=summary.area_share,
        confidence=summary.confidence,
        believable=summary.quality.believable,
    )


def observed(alarm: Alarm, seen: Reading, utc: float, settings: AlarmSettings) -> tuple[Alarm, Said]:
    """Take one frame."""
    alarm, said = passed(alarm, utc, settings)
    if not seen.believable:
        return alarm, said
    alarm = replace(alarm, area_share=seen.area_share, confidence=seen.confidence)
    if seen.standing and not (alarm.standing and alarm.event_id == seen.event_id):
        alarm, more = _begun(alarm, seen, settings)
    elif seen.standing:
        alarm, more = _gone_on(alarm, seen, settings)
    elif alarm.standing:
        alarm, more = _over(alarm, settings)
    else:
        more = ()
    return alarm, said + more


def passed(alarm: Alarm, utc: float, settings: AlarmSettings) -> tuple[Alarm, Said]:
    """Let time pass: shelving ends, and what was acknowledged long ago asks again."""
    alarm = _advanced(alarm, utc)
    if alarm.shelved_until is not None and alarm.clock >= alarm.shelved_until:
        return _moved(alarm, _uncovered(alarm), Cause.SHELVING_OVER)
    acknowledged_at, patience = alarm.acknowledged_at, settings.realarm_after_s
    if acknowledged_at is not None and patience is not None and alarm.clock - acknowledged_at >= patience:
        return _moved(alarm, State.UNACKNOWLEDGED, Cause.REALARM)
    return alarm, ()


def acted(alarm: Alarm, command: Command, utc: float, settings: AlarmSettings) -> tuple[Alarm, Said, str | None]:
    """Do what an operator asks; the last value says why not, None: done."""
    alarm, said = passed(alarm, utc, settings)
    if (why := _refusal(alarm, command, settings)) is not None:
        return alarm, said, why
    cause = Cause(command.command)
    if cause in LEADS_TO:
        after = LEADS_TO[cause]
    elif cause is Cause.ACK:
        after = ACKNOWLEDGED[alarm.state]
    else:
        after = alarm.state if cause is Cause.SNAPSHOT else _uncovered(alarm)
    if command.duration_s is not None:
        alarm = replace(alarm, shelved_until=alarm.clock + command.duration_s)
    alarm, more = _moved(alarm, after, cause, command)
    return alarm, said + more, None


def removed(alarm: Alarm, utc: float) -> tuple[Alarm, Said]:
    """Nobody watches here any more."""
    alarm = replace(_advanced(alarm, utc), standing=False, trend=None)
    return (alarm, ()) if alarm.state is State.NORMAL else _moved(alarm, State.NORMAL, Cause.REMOVED)


def shelved_until_utc(alarm: Alarm) -> float | None:
    """When shelving ends by itself, by the present clock; None: it is not shelved."""
    if alarm.shelved_until is None or alarm.utc is None:
        return None
    return alarm.utc + alarm.shelved_until - alarm.clock


def saved(alarm: Alarm) -> str:
    """All of it, as JSON."""
    return _JSON.dump_json(alarm).decode()


def restored(text: str) -> Alarm:
    """The alarm that `saved` wrote. Raises ValueError."""
    return _JSON.validate_json(text)


def _refusal(alarm: Alarm, command: Command, settings: AlarmSettings) -> str | None:
    cause = Cause(command.command)
    if alarm.state not in SENSIBLE[cause]:
        return f"cannot {cause.value.replace('_', ' ')}: the alarm is {alarm.state.value.replace('_', ' ')}"
    if command.duration_s is not None and command.duration_s > settings.shelve_limit_s:
        return f"duration_s: at most {settings.shelve_limit_s:g} here"
    if command.event_id not in (None, alarm.event_id):
        return "event_id: the alarm is about another leak by now"
    return None


def _begun(alarm: Alarm, seen: Reading, settings: AlarmSettings) -> tuple[Alarm, Said]:
    """A leak was raised."""
    trend = begun(seen.area_share, alarm.clock)
    # What nobody has taken note of yet is not made to look less urgent by a second, smaller leak.
    least = alarm.priority if alarm.state.unacknowledged else Priority.LOW
    urgent = max(least, priority(trend, settings.priority))
    alarm = replace(alarm, standing=True, event_id=seen.event_id, trend=trend, priority=urgent)
    return (alarm, ()) if alarm.state.hidden else _moved(alarm, State.UNACKNOWLEDGED, Cause.LEAK)


def _gone_on(alarm: Alarm, seen: Reading, settings: AlarmSettings) -> tuple[Alarm, Said]:
    """The leak still stands: is it more urgent by now?"""
    assert alarm.trend is not None  # since the leak stands
    trend = followed(alarm.trend, seen.area_share, alarm.clock)
    urgent = max(alarm.priority, priority(trend, settings.priority))
    rose = urgent > alarm.priority and not alarm.state.hidden
    alarm = replace(alarm, trend=trend, priority=urgent)
    return _moved(alarm, alarm.state, Cause.PRIORITY) if rose else (alarm, ())


def _over(alarm: Alarm, settings: AlarmSettings) -> tuple[Alarm, Said]:
    """The leak is over."""
    alarm = replace(alarm, standing=False, trend=None)
    if alarm.state.hidden:
        return replace(alarm, latched=alarm.latched or settings.latching), ()
    if alarm.state is State.ACKNOWLEDGED:
        after = State.LATCHED_ACKNOWLEDGED if settings.latching else State.NORMAL
    else:
        after = State.LATCHED_UNACKNOWLEDGED if settings.latching else State.RETURNED_UNACKNOWLEDGED
    return _moved(alarm, after, Cause.LEAK_OVER)


def _uncovered(alarm: Alarm) -> State:
    """What a hidden alarm turns into when it is hidden no longer."""
    if alarm.standing:
        return State.UNACKNOWLEDGED
    return State.LATCHED_UNACKNOWLEDGED if alarm.latched else State.NORMAL


def _advanced(alarm: Alarm, utc: float) -> Alarm:
    """The clock after the time since it was last heard; a clock set back starts anew from there."""
    if alarm.utc is None or utc < alarm.utc - JITTER_S:
        return replace(alarm, utc=utc)
    latest = max(alarm.utc, utc)
    return replace(alarm, utc=latest, clock=alarm.clock + latest - alarm.utc)


def _moved(alarm: Alarm, after: State, cause: Cause, command: Command | None = None) -> tuple[Alarm, Said]:
    """Take one step, and what belongs to the state left and the state entered."""
    before, sequence, utc = alarm.state, alarm.sequence + 1, alarm.utc
    assert utc is not None
    alarm = replace(
        alarm,
        state=after,
        sequence=sequence,
        shelved_until=alarm.shelved_until if after is State.SHELVED else None,
        latched=after.hidden and (alarm.latched or before.latched),
    )
    if after is not before:
        alarm = replace(alarm, acknowledged_at=alarm.clock if after is State.ACKNOWLEDGED else None)
    name = f"{alarm.camera}/{alarm.zone}/{sequence}/{utc:.6f}/{cause.value}"
    step = Transition(
        id=str(uuid.uuid5(_NAMESPACE, name)),
        sequence=sequence,
        camera=alarm.camera,
        zone=alarm.zone,
        utc=utc,
        cause=cause,
        before=before,
        after=after,
        priority=alarm.priority,
        event_id=alarm.event_id,
        standing=alarm.standing,
        area_share=alarm.area_share,
        confidence=alarm.confidence,
        shelved_until_utc=shelved_until_utc(alarm),
        operator=None if command is None else command.operator,
        command_id=None if command is None else command.id,
        comment=None if command is None else command.comment,
    )
    if after is State.NORMAL:
        alarm = replace(alarm, event_id="", priority=Priority.LOW)
    return alarm, (step,)
