"""Random histories of a camera with two zones: frames, faults, operators, clocks, restarts; what must hold always does.

Each planted fault below breaks the machine in one place, and the same search must find it.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from edge import alarm, annunciator, command, lifecycle, payload
from edge.annunciator import Annunciator, Outcome
from edge.lifecycle import Cause, Reading, State, Transition
from edge.priority import Priority
from edge.records import Provenance, Quality
from edge.rules import AlarmSettings, PrioritySettings
from tests.conftest import check
from tests.edge.summaries import UTC, summary

MADE_BY = Provenance("student.int8", "0" * 64, "f" * 64, "0.1.0", True)
ZONES = ("tank", "mast")
BOXES = st.sampled_from([None, (100, 100, 40, 30), (90, 90, 80, 60), (60, 60, 200, 150)])
QUALITIES = st.sampled_from([Quality.GOOD] * 5 + [Quality.FROZEN, Quality.DARK, Quality.WARMING_UP])
ACTIONS = st.sampled_from([cause.value for cause in lifecycle.SENSIBLE])
REALARM_S, LIMIT_S = 120.0, 300.0


def rules(latching: bool) -> AlarmSettings:
    return AlarmSettings(
        on_delay_s=0.2,
        off_delay_s=0.2,
        update_every_s=1,
        latching=latching,
        realarm_after_s=REALARM_S,
        shelve_limit_s=LIMIT_S,
        priority=PrioritySettings(persistent_s=60),
    )


class Histories(RuleBasedStateMachine):
    """Knows only what came in and what went out, and true time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.index = self.asked = 0
        self.offset = UTC  # of the wall clock from true time
        self.disk: dict[str, str] = {}
        self.records: dict[str, list[Transition]] = {zone: [] for zone in ZONES}
        self.ids: set[str] = set()
        self.hidden_since: dict[str, tuple[float, float]] = {}  # zone -> true time and length of its shelving
        self.acknowledged: dict[str, float] = {}  # zone -> true time
        self.answers: dict[str, command.Reply] = {}

    @initialize(latching=st.booleans())
    def begin(self, latching: bool) -> None:
        self.rules = dict.fromkeys(ZONES, rules(latching))
        self.box = Annunciator("north", self.rules)
        self.take(self.box.tick(self.utc))

    @property
    def utc(self) -> float:
        return self.offset + self.now

    @rule(tank=BOXES, mast=BOXES, quality=QUALITIES, frames=st.integers(1, 6))
    def see(self, tank: object, mast: object, quality: Quality, frames: int) -> None:
        for _ in range(frames):
            self.index, self.now = self.index + 1, self.now + 0.1
            seen = [summary(self.index, fps=10, box=box, quality=quality) for box in (tank, mast)]
            if quality.believable:
                self.take(self.box.observe(self.utc, seen))
                continue
            self.take(self.box.tick(self.utc))
            before = [place.alarm for place in self.box.places]
            self.take(self.box.observe(self.utc, seen))
            assert [place.alarm for place in self.box.places] == before, "bad quality changes nothing"

    @rule(seconds=st.sampled_from([1.0, 30.0, 130.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.box.tick(self.utc))

    @rule(jump=st.sampled_from([-3600.0, 3600.0]))
    def set_clock(self, jump: float) -> None:
        self.offset += jump
        self.take(self.box.tick(self.utc))
        if jump > 0:  # whatever runs may end early
            self.hidden_since = {zone: (since - jump, length) for zone, (since, length) in self.hidden_since.items()}
            self.acknowledged = {zone: since - jump for zone, since in self.acknowledged.items()}

    @rule()
    def lose_camera(self) -> None:
        self.box.interrupted()

    @rule(verb=ACTIONS, zone=st.sampled_from([None, *ZONES, "roof"]), seconds=st.sampled_from([5.0, 300.0, 301.0]))
    def ask(self, verb: str, zone: str | None, seconds: float) -> None:
        self.take(self.box.tick(self.utc))
        before, self.asked = self.box.places, self.asked + 1
        fields = {"duration_s": seconds} if verb == "shelve" else {}
        message = {"command": verb, "id": f"c{self.asked}", "operator": "Jo", "zone": zone, **fields}
        outcome = self.take(self.box.act(json.dumps(message).encode(), self.utc))
        reply = outcome.reply
        assert reply.accepted == bool(outcome.transitions)
        assert reply.accepted == (reply.reason is None)
        self.answers[reply.id] = reply
        assert all((one.operator, one.command_id) == ("Jo", reply.id) for one in outcome.transitions)
        if not reply.accepted:
            assert self.box.places == before
        if verb == "shelve":
            assert not (reply.accepted and (seconds > LIMIT_S or zone == "roof")), "beyond the limit"
            self.hidden_since |= {one.zone: (self.now, seconds) for one in outcome.transitions}

    @rule(back=st.integers(1, 60))
    def repeat(self, back: int) -> None:
        if (id_ := f"c{self.asked - back}") not in self.answers:
            return
        before = self.box.places
        message = {"command": "reset", "id": id_, "operator": "Someone else"}
        outcome = self.take(self.box.act(json.dumps(message).encode(), self.utc))
        assert outcome.reply == self.answers[id_], "the same answer again"
        assert (outcome.transitions, outcome.changed, self.box.places) == ((), False, before)

    @rule(away=st.sampled_from([0.0, 10.0, 500.0]))
    def restart(self, away: float) -> None:
        kept = [(p.alarm.state, p.alarm.sequence, p.alarm.event_id, p.alarm.standing) for p in self.box.places]
        records = {zone: len(said) for zone, said in self.records.items()}
        self.now += away
        self.box = Annunciator("north", self.rules)
        self.take(self.box.restore(self.disk, self.utc))
        if records == {zone: len(said) for zone, said in self.records.items()}:
            after = [(p.alarm.state, p.alarm.sequence, p.alarm.event_id, p.alarm.standing) for p in self.box.places]
            assert after == kept, "whatever moved was saved with what it said"

    @rule(latching=st.booleans())
    def reload(self, latching: bool) -> None:
        self.take(self.box.tick(self.utc))
        before = self.box.places
        self.rules = dict.fromkeys(ZONES, rules(latching))
        outcome = self.take(self.box.reruled(self.rules, self.utc))
        assert (outcome.events, outcome.transitions, self.box.places) == ((), (), before), "all of it goes on"

    def take(self, outcome: Outcome) -> Outcome:
        for key, value in outcome.save.items():
            assert value is not None
            self.disk[key] = value
        for one in outcome.transitions:
            said = self.records[one.zone]
            assert one.sequence == len(said) + 1, "strictly rising, without gaps"
            assert one.before is (said[-1].after if said else State.NORMAL)
            assert one.id not in self.ids
            assert not (one.after is State.NORMAL and one.standing), "never normal while a leak stands"
            if said and said[-1].standing and one.standing and said[-1].event_id == one.event_id:
                assert one.priority >= said[-1].priority, "it never falls during one leak"
            said.append(one)
            self.ids.add(one.id)
            if one.after is State.ACKNOWLEDGED and one.before is not one.after:
                self.acknowledged[one.zone] = self.now
            check("alarm_event", payload.encode(payload.alarm_event(one, MADE_BY)))
        return outcome

    @invariant()
    def holds(self) -> None:
        for place in self.box.places if hasattr(self, "box") else ():
            state, zone = place.alarm.state, place.alarm.zone
            stands = place.condition.phase.alarming
            assert place.alarm.standing == stands, "the alarm knows the process"
            if not state.hidden:
                assert stands == (state in (State.UNACKNOWLEDGED, State.ACKNOWLEDGED))
            if state is State.SHELVED:
                since, length = self.hidden_since[zone]
                assert self.now - since < length + 0.2, "a shelved alarm comes back by itself"
            if state is State.ACKNOWLEDGED:
                assert self.now - self.acknowledged[zone] < REALARM_S + 0.2, "an acknowledgement ends by itself"
            assert alarm.restored(alarm.saved(place.alarm)) == place.alarm


HOW = settings(
    max_examples=100, stateful_step_count=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
NO_GAS = Reading(False, "", 0.0, 0.0, True)
TestHistories = Histories.TestCase
TestHistories.settings = HOW


def hastily(one: alarm.Alarm, *_: object) -> tuple[alarm.Alarm, tuple[Transition, ...]]:
    return alarm._moved(replace(one, priority=Priority.LOW), one.state, Cause.PRIORITY)


def forgetfully(box: Annunciator, rules: dict[str, AlarmSettings], _utc: float) -> Outcome:
    box._places = {zone: annunciator.Place(alarm.Alarm("north", zone)) for zone in rules}
    return Outcome()


def leniently(one: alarm.Alarm, asked: command.Command, rule: AlarmSettings) -> str | None:
    return REFUSAL(one, asked, rule.model_copy(update={"shelve_limit_s": 1e9}))


REFUSAL = alarm._refusal
PLANTED = {  # name -> what to break, with what, and what the search says then
    "an acknowledged leak is normal": (alarm, "ACKNOWLEDGED", dict.fromkeys(State, State.NORMAL), "never normal while"),
    "a leak that is over stays": (alarm, "_over", lambda one, rule: (one, ()), "knows the process"),
    "shelving lasts": (alarm, "_advanced", lambda one, utc: replace(one, utc=utc), "by itself"),
    "an alarm comes back normal": (alarm, "_uncovered", lambda one: State.NORMAL, "never normal while a leak stands"),
    "bad frames are believed": (alarm, "reading", lambda *_: NO_GAS, "bad quality changes nothing|knows the process"),
    "priorities fall": (alarm, "_gone_on", hastily, "never falls during one leak"),
    "repetitions are forgotten": (annunciator, "REMEMBERED", 1, "the same answer again"),
    "replies are not saved": (Annunciator, "_saved_replies", lambda box: {}, "the same answer again"),
    "alarms are not saved": (Annunciator, "_saved", lambda box: {}, "was saved with what it said"),
    "a reload starts anew": (Annunciator, "reruled", forgetfully, "all of it goes on"),
    "every shelving is granted": (alarm, "_refusal", leniently, "beyond the limit"),
    "a clock set back stops time": (alarm, "JITTER_S", 1e9, "by itself"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault, monkeypatch):
    where, name, broken, found = PLANTED[fault]
    monkeypatch.setattr(where, name, broken)
    with pytest.raises(AssertionError, match=found):
        run_state_machine_as_test(Histories, settings=settings(HOW, phases=[Phase.generate], max_examples=500))
