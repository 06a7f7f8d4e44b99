"""One camera's alarms together: zones, commands and their repetition, restarts."""

from __future__ import annotations

import json

import pytest

from edge import payload
from edge.annunciator import REMEMBERED, Annunciator, Outcome, rules
from edge.condition import Phase
from edge.config import CameraSettings
from edge.lifecycle import Cause, State
from edge.records import Provenance, Quality
from edge.rules import AlarmSettings, ZoneSettings
from tests.conftest import check
from tests.edge.summaries import UTC, summary

BRISK = AlarmSettings(on_delay_s=0.5, off_delay_s=0.5, update_every_s=10)
MADE_BY = Provenance("student.int8", "0" * 64, "f" * 64, "0.1.0", True)
HERE = (100, 100, 40, 30)


class Box:
    """A camera's annunciator with the disk behind it."""

    def __init__(self, *zones: str, settings: AlarmSettings = BRISK, camera: str = "north") -> None:
        self.camera, self.rules = camera, dict.fromkeys(zones or ("",), settings)
        self.disk: dict[str, str] = {}
        self.said: list[tuple[str, payload.Payload]] = []
        self.index, self.utc = 0, UTC
        self.annunciator = Annunciator(camera, self.rules)

    def take(self, outcome: Outcome) -> Outcome:
        """What the service does with it."""
        for key, value in outcome.save.items():
            if value is None:
                self.disk.pop(key, None)
            else:
                self.disk[key] = value
        for kind, said in payload.messages(outcome, MADE_BY):
            schema = {"update": "event", "refusal": "reply"}.get(kind, kind)
            self.said.append((kind, check(schema, payload.encode(said))))
        check(
            "alarm", payload.encode(payload.alarm(self.annunciator.places or [self.annunciator.leading], "north", UTC))
        )
        return outcome

    def see(
        self, *boxes: tuple[int, int, int, int] | None, seconds: float = 1.0, quality: Quality = Quality.GOOD
    ) -> None:
        for _ in range(round(seconds * 10)):
            self.index, self.utc = self.index + 1, self.utc + 0.1
            seen = [summary(self.index, fps=10, box=box, quality=quality) for box in boxes]
            self.take(self.annunciator.observe(self.utc, seen))

    def ask(self, command: str, id_: str, **fields: object) -> Outcome:
        message = json.dumps({"command": command, "id": id_, "operator": "Jo", **fields}).encode()
        return self.take(self.annunciator.act(message, self.utc))

    def restart(self, *zones: str) -> Outcome:
        """Killed and started again, with other zones if given."""
        if zones:
            self.rules = dict.fromkeys(zones, BRISK)
        self.annunciator = Annunciator(self.camera, self.rules)
        return self.take(self.annunciator.restore(self.disk, self.utc))

    def states(self) -> list[State]:
        return [place.alarm.state for place in self.annunciator.places]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.said]


def test_a_leak_is_an_event_and_an_alarm_in_one_outcome():
    box = Box()
    box.see(HERE, seconds=0.5)
    outcome = box.take(box.annunciator.observe(box.utc + 0.1, [summary(6, fps=10)]))
    assert [event.type for event in outcome.events] == ["start"]
    (record,) = outcome.transitions
    assert (record.cause, record.event_id) == (Cause.LEAK, outcome.events[0].event_id)
    assert outcome.changed
    assert set(outcome.save) == {"north"}
    assert box.kinds() == ["event", "alarm_event"]


def test_a_frame_that_says_nothing_new_costs_neither_message_nor_disk():
    box = Box()
    box.see(HERE, seconds=2)
    outcome = box.annunciator.observe(box.utc + 0.1, [summary(21, fps=10)])
    assert outcome == Outcome()


def test_zones_have_alarms_of_their_own_and_the_camera_shows_the_worst():
    box = Box("tank", "mast")
    box.see(None, HERE, seconds=2)
    assert box.states() == [State.NORMAL, State.UNACKNOWLEDGED]
    said = payload.alarm(box.annunciator.places, "north", box.utc)
    assert (said["zone"], said["active"], said["alarm_state"], said["priority"]) == (
        "mast",
        True,
        "unacknowledged",
        "medium",
    )
    assert [(one["zone"], one["active"]) for one in said["zones"]] == [("tank", False), ("mast", True)]
    box.see(HERE, HERE, seconds=2)
    starts = [said for kind, said in box.said if kind == "event" and said["type"] == "start"]
    assert [said["zone"] for said in starts] == ["mast", "tank"]
    assert len({said["event_id"] for said in starts}) == 2


def test_leaks_that_begin_in_two_zones_at_once_have_two_ids():
    box = Box("tank", "mast")
    box.see(HERE, HERE, seconds=1)
    assert len({said["event_id"] for kind, said in box.said if kind == "event"}) == 2


def test_a_command_without_a_zone_is_for_all_of_them_where_it_makes_sense():
    box = Box("tank", "mast")
    box.see(None, HERE, seconds=1)
    assert box.ask("ack", "1").reply.accepted
    assert box.states() == [State.NORMAL, State.ACKNOWLEDGED]
    assert box.ask("ack", "2").reply.reason == "cannot ack: the alarm is normal"
    box.ask("out_of_service", "3", zone="tank")
    assert box.states() == [State.OUT_OF_SERVICE, State.ACKNOWLEDGED]
    outcome = box.ask("out_of_service", "4", zone="roof")
    assert (outcome.reply.accepted, outcome.reply.reason) == (False, "zone: north has no zone of this name")


def test_a_snapshot_is_taken_once_whatever_the_zones():
    box = Box("tank", "mast")
    assert [record.cause for record in box.ask("snapshot", "1").transitions] == [Cause.SNAPSHOT]
    assert box.ask("snapshot", "1").transitions == ()


def test_every_accepted_action_is_on_record_with_its_operator():
    box = Box()
    box.see(HERE, seconds=1)
    for number, verb in enumerate(("ack", "suppress", "unsuppress", "out_of_service", "in_service", "snapshot")):
        assert box.ask(verb, str(number)).reply.accepted
    records = [said for kind, said in box.said if kind == "alarm_event"][1:]
    assert [(said["cause"], said["operator"], said["command_id"]) for said in records] == [
        (verb, "Jo", str(number))
        for number, verb in enumerate(("ack", "suppress", "unsuppress", "out_of_service", "in_service", "snapshot"))
    ]
    assert [said["sequence"] for said in records] == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("verb", ["ack", "reset"], ids=["accepted", "refused"])
def test_a_repeated_command_gets_the_same_answer_and_does_nothing(verb, restarted):
    box = Box()
    box.see(HERE, seconds=1)
    first = box.ask(verb, "once")
    assert first.reply.accepted == (verb == "ack")
    box.see(None, seconds=2)
    box.see(HERE, seconds=1)
    if restarted:
        box.restart()
    before = box.annunciator.places
    again = box.ask(verb, "once")
    assert again.reply == first.reply
    assert (again.transitions, again.changed) == ((), False)
    assert box.annunciator.places == before
    assert box.states() == [State.UNACKNOWLEDGED], "the leak that came since is not acknowledged by it"


def test_the_memory_of_commands_is_bounded():
    box = Box()
    for number in range(REMEMBERED + 10):
        box.ask("ack", f"n{number}")
    assert len(json.loads(box.disk["north/cmd"])) == REMEMBERED
    assert box.ask("ack", f"n{REMEMBERED + 9}").save == {}


def test_what_was_no_command_is_answered_and_leaves_no_trace():
    box = Box()
    outcome = box.take(box.annunciator.act(b'{"command": "ack", "id": "7"}', UTC))
    assert (outcome.reply.id, outcome.reply.accepted, outcome.save) == ("7", False, {})
    assert box.kinds() == ["refusal"]


@pytest.mark.parametrize("verb", ["ack", "suppress", "out_of_service", None])
def test_a_restart_goes_on_where_it_stopped(verb):
    box = Box()
    box.see(HERE, seconds=1)
    if verb:
        box.ask(verb, "1")
    state = box.states()
    event_id = box.annunciator.places[0].condition.leak.event_id
    box.utc += 600
    assert box.restart().transitions == ()
    assert box.states() == state
    box.see(HERE, seconds=2)
    assert box.states() == state
    assert box.annunciator.places[0].condition.leak.event_id == event_id
    assert [said["type"] for kind, said in box.said if kind == "event"] == ["start"]


def test_a_shelving_that_ended_while_we_were_away_is_over_at_the_start():
    box = Box()
    box.see(HERE, seconds=1)
    box.ask("shelve", "1", duration_s=300)
    box.utc += 301
    (record,) = box.restart().transitions
    assert (record.cause, record.after) == (Cause.SHELVING_OVER, State.UNACKNOWLEDGED)


def test_a_zone_that_is_watched_no_longer_leaves_nothing_open():
    box = Box("tank", "mast")
    box.see(HERE, HERE, seconds=1)
    box.ask("ack", "1", zone="tank")
    outcome = box.restart("tank")
    assert [(event.type, event.zone) for event in outcome.events] == [("end", "mast")]
    assert [(record.cause, record.zone, record.after) for record in outcome.transitions] == [
        (Cause.REMOVED, "mast", State.NORMAL)
    ]
    assert box.restart().transitions == (), "and only once"
    assert box.states() == [State.ACKNOWLEDGED]


def test_a_camera_that_is_watched_no_longer_leaves_nothing_open_and_nothing_behind():
    box = Box()
    box.see(HERE, seconds=1)
    box.ask("ack", "1")
    gone = Annunciator("north", {})
    outcome = box.take(gone.restore(box.disk, box.utc))
    assert [event.type for event in outcome.events] == ["end"]
    assert [record.cause for record in outcome.transitions] == [Cause.REMOVED]
    assert box.disk == {}


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"": {}}', '{"": {"alarm": {"camera": "n"}, "condition": {"phase": "active"}}}',
     '{"": {"alarm": {"camera": "n", "standing": true}, "condition": {}}}'],
)  # fmt: skip
def test_a_saved_state_that_makes_no_sense_is_refused_and_leaves_a_fresh_start(text):
    annunciator = Annunciator("north", {"": BRISK})
    with pytest.raises(ValueError, match=r"validation error|a leak that stands without"):
        annunciator.restore({"north": text}, UTC)
    assert annunciator.places == Annunciator("north", {"": BRISK}).places


def test_a_lost_camera_keeps_the_leak_and_its_delays():
    box = Box()
    box.see(HERE, seconds=1)
    box.see(None, seconds=0.3)
    box.annunciator.interrupted()
    box.utc += 100
    box.index += 1000
    box.see(None, seconds=0.1)
    assert box.annunciator.places[0].condition.phase is Phase.RETURNING
    assert box.states() == [State.UNACKNOWLEDGED]


@pytest.mark.parametrize(
    ("reason", "word"), [(Quality.FROZEN, "bad"), (Quality.MOVING | Quality.UNREGISTERED, "uncertain")]
)
def test_a_frame_that_is_not_believed_changes_what_is_shown_and_not_the_alarm(reason, word):
    box = Box()
    box.see(HERE, seconds=1)
    outcome = box.annunciator.observe(box.utc, [summary(11, fps=10, box=None, quality=reason)])
    assert outcome == Outcome(changed=True)
    said = check("alarm", payload.encode(payload.alarm(box.annunciator.places, "north", box.utc)))
    assert (said["quality"], said["held"]) == (word, True)
    assert (said["alarm_state"], said["active"]) == ("unacknowledged", True)


def test_a_view_that_nobody_can_place_raises_nothing_and_clears_nothing():
    """Half a minute of it, on the wire uncertain, with gas and without; a leak is raised or over only once it ends."""
    lost = Quality.MOVING | Quality.UNREGISTERED
    box = Box()
    for gas in (HERE, None):
        box.see(gas, seconds=30, quality=lost)
        said = check("alarm", payload.encode(payload.alarm(box.annunciator.places, "north", box.utc)))
        assert (said["quality"], said["held"], said["active"]) == ("uncertain", True, False)
    box.see(HERE, seconds=1)
    box.see(None, seconds=30, quality=lost)
    said = check("alarm", payload.encode(payload.alarm(box.annunciator.places, "north", box.utc)))
    assert (said["quality"], said["held"], said["active"]) == ("uncertain", True, True)
    assert box.states() == [State.UNACKNOWLEDGED]
    box.see(None, seconds=30)
    assert box.states() == [State.RETURNED_UNACKNOWLEDGED]


def test_the_rules_of_a_camera_are_those_of_its_zones_or_of_the_whole_view():
    common = AlarmSettings(on_delay_s=9, off_delay_s=8)
    corner = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5))
    zones = (
        ZoneSettings(name="tank", polygon=corner, alarm=AlarmSettings(on_delay_s=2)),
        ZoneSettings(name="flare", kind="exclude", polygon=corner),
    )
    camera = CameraSettings(name="north", source="x")
    assert rules(camera, common) == {"": common}
    assert rules(camera.model_copy(update={"zones": zones[1:]}), common) == {"": common}
    zoned = rules(camera.model_copy(update={"zones": zones}), common)
    assert list(zoned) == ["tank"]
    assert (zoned["tank"].on_delay_s, zoned["tank"].off_delay_s) == (2, 8), "even a value that is also the default"


def reruled(box: Box, *zones: str, settings: AlarmSettings = BRISK) -> Outcome:
    box.rules = dict.fromkeys(zones, settings)
    return box.take(box.annunciator.reruled(box.rules, box.utc))


def test_other_zones_while_it_runs_end_what_is_gone_and_keep_what_stays():
    box = Box("tank", "mast")
    box.see(HERE, HERE, seconds=2)
    box.ask("ack", "1", zone="tank")
    kept = box.annunciator.places[0]
    outcome = reruled(box, "pump", "tank")
    assert [(event.type, event.zone) for event in outcome.events] == [("end", "mast")]
    assert [(step.cause, step.zone, step.after) for step in outcome.transitions] == [
        (Cause.REMOVED, "mast", State.NORMAL)
    ]
    assert [place.alarm.zone for place in box.annunciator.places] == ["pump", "tank"]
    assert (box.annunciator.places[1].condition, box.states()) == (kept.condition, [State.NORMAL, State.ACKNOWLEDGED])
    box.see(None, HERE, seconds=2)
    assert box.kinds().count("event") == 3, "two starts and the end in the zone that went"
    assert box.restart("pump", "tank").events == ()
    assert box.states() == [State.NORMAL, State.ACKNOWLEDGED]


def test_other_settings_while_it_runs_count_from_the_next_frame_on():
    box = Box("tank")
    box.see(HERE, seconds=1)
    before = box.annunciator.places
    outcome = reruled(box, "tank", settings=BRISK.model_copy(update={"off_delay_s": 3.0}))
    assert (outcome.events, outcome.transitions, box.annunciator.places) == ((), (), before)
    box.see(None, seconds=2)
    assert box.states() == [State.UNACKNOWLEDGED]
    box.see(None, seconds=2)
    assert box.states() == [State.RETURNED_UNACKNOWLEDGED]


def test_a_leak_restored_and_not_seen_yet_outlives_new_rules():
    box = Box("tank", "mast")
    box.see(HERE, HERE, seconds=2)
    box.restart()
    reruled(box, "tank")
    box.see(HERE, seconds=1)
    assert [said["zone"] for kind, said in box.said if kind == "event" and said["type"] == "end"] == ["mast"]
    assert box.annunciator.places[0].condition.phase is Phase.ACTIVE


def test_a_shelved_alarm_of_a_zone_that_goes_is_told_as_removed():
    box = Box("tank", "mast")
    box.ask("shelve", "1", zone="mast", duration_s=100)
    [step] = reruled(box, "tank").transitions
    assert (step.cause, step.before, step.zone) == (Cause.REMOVED, State.SHELVED, "mast")
