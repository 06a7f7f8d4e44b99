"""Records of the times in which a camera was not monitored: each made once, closed once, whatever happens between."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import downtime, payload
from edge.downtime import SETTLE_S, Downtime, Validity, closed, reasons, resumed, saved, step
from edge.mqtt import Publisher
from edge.outbox import Outbox, default_path
from edge.records import Quality
from edge.uplink import OutboxSettings
from tests.conftest import check
from tests.edge.summaries import UTC
from tests.edge.test_mqtt import STOPPED, WILL

LOST = frozenset({"camera_lost"})
FINE: frozenset[str] = frozenset()
VALID = Validity()


def told(inputs: Sequence[tuple[float, frozenset[str]]], state: Validity = VALID) -> tuple[Validity, list[Downtime]]:
    records = []
    for now, present in inputs:
        state, record = step(state, now, UTC + now, present, camera="north")
        records += [record] if record else []
    return state, records


def test_a_loss_opens_a_record_and_the_return_closes_it_where_they_happened():
    _, (opened, over) = told([(0, FINE), (10, LOST), (11, LOST), (12, LOST), (40, FINE), (41, FINE), (42.5, FINE)])
    assert (opened.started_utc, opened.ended_utc, opened.duration_s) == (UTC + 10, None, None)
    assert (over.started_utc, over.ended_utc, over.duration_s) == (UTC + 10, UTC + 40, 30)
    assert over.downtime_id == opened.downtime_id
    for record in (opened, over):
        check("downtime", payload.encode(payload.downtime(record)))


def test_a_shutter_event_makes_no_record():
    state, records = told([(0, FINE), (1, frozenset({"shutter"})), (1.5, FINE), (4, FINE)])
    assert records == []
    assert state == Validity()


def test_a_camera_that_comes_and_goes_makes_one_record_with_every_reason():
    flapping = [(float(n), FINE if n % 3 == 0 else LOST if n < 50 else frozenset({"frozen"})) for n in range(100)]
    state, records = told([*flapping, (100, FINE), (103, FINE)])
    assert [(record.started_utc - UTC, record.ended_utc) for record in records] == [(1, None), (1, UTC + 99)]
    assert records[-1].reasons == ("camera_lost", "frozen")
    assert state.valid
    assert state.total_s == 98


def test_a_clock_that_jumps_does_not_change_how_long_it_lasted():
    state, _ = step(Validity(), 0, UTC, LOST, camera="n")
    state, _ = step(state, 5, UTC + 5, LOST, camera="n")
    state, _ = step(state, 60, UTC - 3600, FINE, camera="n")
    _, over = step(state, 63, UTC - 3597, FINE, camera="n")
    assert over is not None
    assert over.duration_s == 60


def test_why_monitoring_is_not_valid():
    assert reasons(Quality.WARMING_UP | Quality.GAIN) == FINE
    assert reasons(Quality.DARK) == {"dark"}
    assert reasons(Quality.GOOD, camera_lost=True, out_of_service=True) == {"camera_lost", "out_of_service"}


def test_the_time_in_which_we_did_not_run_is_a_record():
    before = saved(Validity(), UTC)
    state, opened = resumed(before, UTC + 500, camera="north")
    assert opened is not None
    assert (opened.started_utc, opened.reasons) == (UTC, ("not_running",))
    assert not state.valid
    _, [over] = told([(0, frozenset({"gap"})), (520, FINE), (523, FINE)], state)
    assert (over.ended_utc, over.duration_s, over.reasons) == (UTC + 520, 520, ("gap", "not_running"))
    assert over.downtime_id == opened.downtime_id


def test_a_restart_at_once_makes_no_record_and_a_clock_set_back_none_of_negative_length():
    assert resumed(saved(Validity(), UTC), UTC + 1, camera="n") == (Validity(), None)
    assert resumed(saved(Validity(), UTC), UTC - 9000, camera="n") == (Validity(), None)


def test_a_record_that_was_open_at_a_crash_goes_on():
    state, [opened] = told([(0, LOST), (5, LOST)])
    again, nothing = resumed(saved(state, UTC + 6), UTC + 100, camera="north")
    assert nothing is None
    _, [over] = told([(120, FINE), (130, FINE)], again)
    assert over.downtime_id == opened.downtime_id
    assert (over.duration_s, over.reasons) == (120, ("camera_lost", "not_running"))


def test_a_camera_that_is_watched_no_longer_is_closed():
    state, _ = told([(0, LOST), (5, LOST)])
    over = closed(state, UTC + 9)
    assert over is not None
    assert (over.ended_utc, over.duration_s) == (UTC + 9, 9)
    assert closed(Validity(), UTC) is None


@pytest.mark.parametrize("text", ["", "{}", '{"seen_utc": "x"}', "null"])
def test_what_is_not_ours_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        resumed(text, UTC, camera="north")


@given(st.lists(st.tuples(st.floats(0.01, 10), st.sampled_from([FINE, LOST, frozenset({"dark"})]), st.booleans())))
def test_whatever_happens_records_open_and_close_in_turn_and_do_not_overlap(history):
    state, now, records = Validity(), 0.0, []
    for elapsed, present, killed in history:
        now += elapsed
        if killed:
            state, record = resumed(saved(state, UTC + now), UTC + now, camera="n")
            assert record is None
        state, record = step(state, now, UTC + now, present, camera="n")
        records += [record] if record else []
    assert [record.ended_utc is None for record in records] == [n % 2 == 0 for n in range(len(records))]
    ended = -math.inf
    for opened, over in zip(records[::2], records[1::2], strict=False):
        assert opened.downtime_id == over.downtime_id
        assert ended <= over.started_utc <= over.ended_utc
        assert over.duration_s == pytest.approx(over.ended_utc - over.started_utc, abs=1e-3)
        ended = over.ended_utc
    assert (state.open is not None) == (len(records) % 2 == 1)


def test_records_are_kept_and_the_sign_of_life_with_them(broker, ear):
    publisher = Publisher(broker, "box", will=WILL)
    publisher.start()
    key = downtime.STATE_KEY.format(camera="north")
    state, [opened] = told([(0, LOST), (5, LOST)])
    publisher.publish("downtime", payload.downtime(opened), "north", save={key: saved(state, UTC + 5)})
    assert ear.message("downtime")["state"] == "open"
    publisher.remember({key: saved(state, UTC + 60)})
    publisher.close(STOPPED)
    queue = Outbox(default_path("box"), OutboxSettings())
    again, _ = resumed(queue.states()[key], UTC + 61, camera="north")
    queue.close()
    assert again.open == opened
    assert SETTLE_S < 5
