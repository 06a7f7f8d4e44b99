"""Every payload is strict JSON that its schema accepts, whatever the figures are."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import payload
from edge.alarm import Alarm
from edge.annunciator import Place
from edge.condition import Condition, interrupted, step
from edge.mqtt import TOPICS
from edge.records import Provenance, Quality
from edge.rules import AlarmSettings
from tests.conftest import check
from tests.edge.summaries import UTC, summary

MADE_BY = Provenance("student.int8", "0" * 64, "f" * 64, "0.1.0", None)


def leak_of(frames: int = 135) -> tuple[Condition, list[payload.Payload]]:
    state, events = Condition(), []
    for index in range(frames):
        state, new = step(state, summary(index), AlarmSettings(), camera="north")
        events += [payload.event(replace(event, provenance=MADE_BY)) for event in new]
    return state, events


def test_every_topic_has_a_schema_that_is_itself_valid():
    schemas = {path.stem for path in payload.SCHEMAS.glob("*.json")}
    assert {topic.pattern.rpartition("/")[2] for topic in TOPICS.values()} == schemas
    for kind in schemas:
        jsonschema.Draft202012Validator.check_schema(json.loads((payload.SCHEMAS / f"{kind}.json").read_text()))


def test_events_of_a_leak_fit_their_schema():
    said = [check("event", payload.encode(event)) for event in leak_of()[1]]
    assert [event["type"] for event in said] == ["start", "update"]
    assert said[0]["provenance"]["model"] == "student.int8"
    assert said[0]["box"] == [100, 100, 40, 30]


def test_the_retained_state_fits_its_schema_with_and_without_zones():
    for zones in ((), ("tank", "mast")):
        standing = [Place(Alarm("north", zone)) for zone in zones] or [Place(Alarm("north"))]
        said = check("alarm", payload.encode(payload.alarm(standing, "north", UTC)))
        assert [one["zone"] for one in said["zones"]] == list(zones)
        assert (said["state"], said["active"], said["alarm_state"], said["priority"]) == (
            "normal",
            False,
            "normal",
            None,
        )


def test_the_schema_of_the_retained_state_refuses_what_is_not_its_own():
    good = payload.alarm([Place(Alarm("north", "tank"))], "north", UTC)
    for damage in (
        {"alarm_state": "latched"},
        {"alarm_state": "shelved"},
        {"alarm_state": "unacknowledged"},
        {"active": True},
        {"surplus": 1},
        {"zones": [{**good["zones"][0], "surplus": 1}]},
        {"zones": [{**good["zones"][0], "zone": None}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            check("alarm", payload.encode({**good, **damage}))


FIGURES = st.one_of(st.floats(), st.just(math.nan), st.just(math.inf), st.floats(0, 1).map(np.float32))


@settings(derandomize=True, deadline=None)
@given(FIGURES, FIGURES, st.sampled_from([None, (1, 2, 3, 4)]))
def test_a_summary_fits_its_schema_even_with_figures_that_are_none(cnr, drift, box):
    record = replace(summary(3, box=box), cnr=cnr, drift=(drift, 0.0) if math.isfinite(drift) else None)
    said = check("summary", payload.encode(payload.summary(record, "north")))
    assert (said["cnr"] is None) == (not math.isfinite(cnr))


@pytest.mark.parametrize(
    ("flags", "word", "held"),
    [
        (Quality.GOOD, "good", False),
        (Quality.WARMING_UP, "uncertain", False),
        (Quality.MOVING, "uncertain", False),
        (Quality.MOVING | Quality.UNREGISTERED, "uncertain", True),
        (Quality.CUT, "uncertain", True),
        (Quality.FROZEN, "bad", True),
        (Quality.WARMING_UP | Quality.DARK, "bad", True),
        (Quality.UNREGISTERED | Quality.FROZEN, "bad", True),
    ],
)
def test_quality_is_one_word_with_its_reasons_and_whether_the_alarm_is_held(flags, word, held):
    said = check("summary", payload.encode(payload.summary(summary(0, quality=flags), "north")))
    assert (said["quality"], said["held"], said["reasons"]) == (word, held, list(flags.names))
    assert held != flags.believable


@pytest.mark.parametrize("damage", [{"quality": "bad"}, {"quality": "good", "held": True}, {"held": None}])
def test_the_schemas_know_that_bad_is_held_and_good_is_not(damage):
    said = payload.summary(summary(0, quality=Quality.MOVING), "north")
    standing = payload.alarm([Place(Alarm("north"))], "north", UTC)
    for kind, good in (("summary", said), ("alarm", standing), ("event", leak_of()[1][0])):
        check(kind, payload.encode(good))
        with pytest.raises(jsonschema.ValidationError):
            check(kind, payload.encode({**good, **damage}))


def test_a_lost_camera_is_bad_quality_and_not_the_end_of_a_leak():
    state, events = leak_of()
    said = check(
        "alarm",
        payload.encode(payload.alarm([Place(Alarm("north"), interrupted(state))], "north", UTC, camera_lost=True)),
    )
    assert said["active"]
    assert said["event_id"] == events[0]["event_id"]
    assert (said["quality"], said["held"]) == ("bad", True)
    assert said["reasons"] == ["camera_lost"]


def test_a_last_will_fits_the_schema_of_status():
    said = check("status", payload.encode(payload.status("box", "offline", "connection_lost", None, MADE_BY)))
    assert said["utc"] is None


def test_the_schemas_refuse_what_is_not_theirs():
    good = leak_of()[1][0]
    for damage in ({"type": "begin"}, {"sequence": 1}, {"area_px": -1}, {"surplus": 1}, {"utc": "yesterday"}):
        with pytest.raises(jsonschema.ValidationError):
            check("event", payload.encode({**good, **damage}))
