"""One camera's alarms, one for each zone that is watched: frames and commands in, events, transitions and replies out.

    annunciator = Annunciator("north", rules(camera_settings, alarm_settings))
    outcome = annunciator.restore(publisher.saved, utc)    # once, before the first frame
    outcome = annunciator.observe(utc, step.summaries)     # every frame
    outcome = annunciator.tick(utc)                        # twice a second or so, while no frames come too
    outcome = annunciator.act(message, utc)                # every message on the camera's command topic
    outcome = annunciator.reruled(rules(...), utc)         # the configuration was read again

What an Outcome says and what it wants saved belong on the disk together (`Publisher.publish_all`). No clock, no I/O:
`utc` is the wall clock's time. One thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from edge import alarm, command, condition
from edge.alarm import Alarm
from edge.command import Command, Malformed, Reply
from edge.condition import Condition, Phase
from edge.config import CameraSettings
from edge.lifecycle import Transition
from edge.records import Event, Summary
from edge.rules import AlarmSettings

REMEMBERED = 64  # commands whose repetition gets the same answer and does nothing


NOTHING = Condition()


@dataclass(frozen=True, slots=True)
class Place:
    """One zone, or the whole view, as it stands."""

    alarm: Alarm
    condition: Condition = NOTHING

    @property
    def shown(self) -> tuple[object, ...]:
        """What the retained message says of it: when this changes, that is due again."""
        leak = self.condition.leak if self.condition.phase.alarming else None
        seen = self.condition.phase, self.condition.quality, leak and leak.event_id
        return *seen, self.alarm.state, self.alarm.sequence


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one input."""

    events: tuple[Event, ...] = ()
    transitions: tuple[Transition, ...] = ()
    reply: Reply | None = None
    changed: bool = False  # whether the retained message is due again
    save: Mapping[str, str | None] = field(default_factory=dict)  # to be written together with the messages


_PLACES = TypeAdapter(dict[str, Place])
_REPLIES = TypeAdapter(tuple[Reply, ...])
Moved = tuple[Alarm, tuple[Transition, ...]]


def rules(camera: CameraSettings, common: AlarmSettings) -> dict[str, AlarmSettings]:
    """The settings of each zone of a camera that is watched; "" is the whole view."""
    watched = {zone.name: zone.settings(common) for zone in camera.zones if zone.kind == "watch"}
    return watched or {"": common}


class Annunciator:
    """See above. `rules` may be empty: then `restore` only ends what a removed camera left open."""

    def __init__(self, camera: str, rules: Mapping[str, AlarmSettings]) -> None:
        self._camera, self._rules = camera, dict(rules)
        self._places = {zone: Place(Alarm(camera, zone)) for zone in rules}
        self._resuming: set[str] = set()  # zones whose leak was open when we stopped and that saw no frame yet
        self._replies: tuple[Reply, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """Every zone as it stands, in the order of the rules."""
        return tuple(self._places.values())

    def observe(self, utc: float, summaries: Sequence[Summary]) -> Outcome:
        """Take one frame: its summary for each zone, in the order of the rules."""
        before = self._shown()
        events: list[Event] = []
        said: list[Transition] = []
        for (zone, place), summary in zip(self._places.items(), summaries, strict=True):
            if zone in self._resuming:
                place = replace(place, condition=condition.resumed(place.condition, summary))
            seen, new = condition.step(place.condition, summary, self._rules[zone], camera=self._camera, zone=zone)
            events += new
            told, more = alarm.observed(place.alarm, alarm.reading(seen, summary), utc, self._rules[zone])
            said += more
            self._places[zone] = Place(told, seen)
        self._resuming.clear()
        return self._outcome(before, events, said)

    def tick(self, utc: float) -> Outcome:
        """Let time pass."""
        before = self._shown()
        said = self._each(lambda place, rule: alarm.passed(place.alarm, utc, rule))
        return self._outcome(before, (), said)

    def interrupted(self) -> None:
        """The camera was lost: alarms stay as they are, and no delay runs until its next frame."""
        for zone, place in self._places.items():
            self._places[zone] = replace(place, condition=condition.interrupted(place.condition))

    def act(self, message: bytes, utc: float) -> Outcome:
        """Do what an operator asks, or say why not. A repetition, even after a restart, gets the first answer again."""
        asked = command.parse(message)
        if isinstance(asked, Malformed):
            return Outcome(reply=Reply(asked.id, None, False, asked.reason, self.leading.alarm.state.value, utc))
        for earlier in self._replies:
            if earlier.id == asked.id:
                return Outcome(reply=earlier)
        before = self._shown()
        said, why = self._do(asked, utc)
        accepted = any(step.command_id == asked.id for step in said)
        state = self._places.get(asked.zone or "", self.leading).alarm.state.value
        reply = Reply(asked.id, asked.command, accepted, None if accepted else why, state, utc)
        self._replies = (*self._replies, reply)[-REMEMBERED:]
        outcome = self._outcome(before, (), said)
        return replace(outcome, reply=reply, save={**outcome.save, **self._saved_replies()})

    def restore(self, saved: Mapping[str, str], utc: float) -> Outcome:
        """Go on where the last run stopped; end what it left open in zones that are watched no longer.

        Raises ValueError for a saved state that is none; nothing is restored then.
        """
        left = _PLACES.validate_json(saved.get(self._camera) or "{}")
        if not all(_sound(place) for place in left.values()):
            raise ValueError("a leak that stands without its place or its size")
        self._replies = _REPLIES.validate_json(saved.get(self._replies_key) or "[]")
        before = self._shown()
        for zone in self._rules.keys() & left.keys():
            self._places[zone] = left[zone]
            self._resuming |= {zone} if left[zone].condition.phase.alarming else set()
        events, said = self._ended(left, utc)
        said += self._each(lambda place, rule: alarm.passed(place.alarm, utc, rule))
        return self._outcome(before, events, said)

    def reruled(self, rules: Mapping[str, AlarmSettings], utc: float) -> Outcome:
        """Watch by other settings from now on, in other zones perhaps: what stands in a zone that stays goes on, what
        stands in one that is watched no longer is ended."""
        before, left = self._shown(), self._places
        self._rules = dict(rules)
        self._places = {zone: left.get(zone) or Place(Alarm(self._camera, zone)) for zone in rules}
        self._resuming &= set(rules)
        events, said = self._ended(left, utc)
        said += self._each(lambda place, rule: alarm.passed(place.alarm, utc, rule))
        return self._outcome(before, events, said)

    @property
    def leading(self) -> Place:
        """The zone that is worst off: the camera's figures are its own."""
        return max(self.places or (Place(Alarm(self._camera)),), key=weight)

    def _do(self, asked: Command, utc: float) -> tuple[list[Transition], str | None]:
        """What was done in the zone meant, or in each where it makes sense; or the first reason against it."""
        if asked.zone is not None and asked.zone not in self._places:
            return [], f"zone: {self._camera} has no zone of this name"
        zones: Iterable[str] = self._places if asked.zone is None else (asked.zone,)
        if asked.command == "snapshot" and asked.zone is None:
            zones = [self.leading.alarm.zone]  # one picture shows all of them
        said: list[Transition] = []
        reasons: list[str] = []
        for zone in zones:
            place = self._places[zone]
            told, more, why = alarm.acted(place.alarm, asked, utc, self._rules[zone])
            self._places[zone] = replace(place, alarm=told)
            said += more
            reasons += [why] if why is not None else []
        return said, reasons[0] if reasons else None

    def _ended(self, left: Mapping[str, Place], utc: float) -> tuple[list[Event], list[Transition]]:
        """What is to be said of the zones among these that are watched no longer."""
        events: list[Event] = []
        said: list[Transition] = []
        for zone, place in left.items():
            if zone in self._rules:
                continue
            if place.condition.phase.alarming:
                events.append(condition.abandoned(place.condition, utc, camera=self._camera, zone=zone))
            said += alarm.removed(place.alarm, utc)[1]
        return events, said

    def _each(self, move: Callable[[Place, AlarmSettings], Moved]) -> list[Transition]:
        said: list[Transition] = []
        for zone, place in self._places.items():
            told, more = move(place, self._rules[zone])
            self._places[zone] = replace(place, alarm=told)
            said += more
        return said

    def _shown(self) -> list[tuple[object, ...]]:
        return [place.shown for place in self.places]

    def _outcome(
        self, before: list[tuple[object, ...]], events: Iterable[Event], said: Iterable[Transition]
    ) -> Outcome:
        events, said = tuple(events), tuple(said)
        save = self._saved() if events or said else {}
        return Outcome(events, said, changed=self._shown() != before, save=save)

    def _saved(self) -> dict[str, str | None]:
        kept = {zone: replace(place, condition=condition.kept(place.condition)) for zone, place in self._places.items()}
        if not kept:
            return {self._camera: None, self._replies_key: None}
        return {self._camera: _PLACES.dump_json(kept).decode()}

    @property
    def _replies_key(self) -> str:
        return f"{self._camera}/cmd"

    def _saved_replies(self) -> dict[str, str | None]:
        return {self._replies_key: _REPLIES.dump_json(self._replies).decode()}


def _sound(place: Place) -> bool:
    """Whether a saved state is one that we could have written."""
    leak, trend = place.condition.leak, place.alarm.trend
    return (leak is not None) == place.condition.phase.alarming and (trend is not None) == place.alarm.standing


def weight(place: Place) -> tuple[bool, bool, bool, int, int]:
    """How badly off a zone is: a leak that stands before all else, then what is announced."""
    phase, state = place.condition.phase, place.alarm.state
    announced = not state.hidden and bool(place.alarm.event_id)
    return phase.alarming, announced, state.unacknowledged, place.alarm.priority, list(Phase).index(phase)
