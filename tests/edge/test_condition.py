"""The alarm, walked state by state and then at random."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.condition import Condition, Phase, abandoned, interrupted, kept, resumed, step
from edge.records import Event, Quality, Summary
from edge.rules import AlarmSettings
from tests.edge.summaries import summary

SETTINGS = AlarmSettings(on_delay_s=1.5, persistence=0.7, min_confidence=0.7)
HERE, THERE, SPECK = (100, 100, 40, 30), (250, 20, 40, 30), (100, 100, 6, 6)


def play(
    frames: Iterable[Summary],
    state: Condition | None = None,
    camera: str = "north",
    settings: AlarmSettings = SETTINGS,
) -> tuple[Condition, list[Event]]:
    state, events = state or Condition(), []
    for frame in frames:
        state, new = step(state, frame, settings, camera=camera)
        events += new
    return state, events


def lasting(seconds: float, start: float = 0.0, fps: float = 30.0, **fields: object) -> list[Summary]:
    first = round(start * fps)
    return [summary(first + n, fps=fps, **fields) for n in range(round(seconds * fps))]


def reach(phase: Phase) -> Condition:
    """A state in `phase`, on the way that footage takes."""
    footage = {
        Phase.NORMAL: lasting(3, box=None),
        Phase.PENDING: lasting(2, box=None) + lasting(1, 2),
        Phase.ACTIVE: lasting(3),
        Phase.RETURNING: lasting(2) + lasting(1, 2, box=None),
    }
    state, _ = play(footage[phase])
    assert state.phase is phase
    return state


WALK = [
    # in this phase, after this many further seconds of this, the alarm stands there and said that
    (Phase.NORMAL, 1.0, None, Phase.NORMAL, []),
    (Phase.NORMAL, 1.0, HERE, Phase.PENDING, []),
    (Phase.NORMAL, 1.7, HERE, Phase.ACTIVE, ["start"]),
    (Phase.NORMAL, 3.0, SPECK, Phase.NORMAL, []),
    (Phase.PENDING, 0.2, HERE, Phase.PENDING, []),
    (Phase.PENDING, 0.7, HERE, Phase.ACTIVE, ["start"]),
    (Phase.PENDING, 0.7, THERE, Phase.PENDING, []),
    (Phase.PENDING, 1.0, None, Phase.PENDING, []),
    (Phase.PENDING, 2.0, None, Phase.NORMAL, []),
    (Phase.PENDING, 2.0, SPECK, Phase.NORMAL, []),
    (Phase.ACTIVE, 0.3, HERE, Phase.ACTIVE, []),
    (Phase.ACTIVE, 2.4, HERE, Phase.ACTIVE, ["update", "update"]),
    (Phase.ACTIVE, 0.1, None, Phase.RETURNING, []),
    (Phase.ACTIVE, 0.1, SPECK, Phase.RETURNING, []),
    (Phase.ACTIVE, 0.1, THERE, Phase.RETURNING, []),
    (Phase.ACTIVE, 5.5, None, Phase.NORMAL, ["update"] * 5 + ["end"]),
    (Phase.RETURNING, 0.1, HERE, Phase.ACTIVE, []),
    (Phase.RETURNING, 0.1, THERE, Phase.RETURNING, []),
    (Phase.RETURNING, 3.0, None, Phase.RETURNING, ["update"] * 3),
    (Phase.RETURNING, 4.5, None, Phase.NORMAL, ["update"] * 4 + ["end"]),
    (Phase.RETURNING, 4.5, THERE, Phase.PENDING, ["update"] * 4 + ["end"]),
]


@pytest.mark.parametrize(("phase", "seconds", "box", "then", "said"), WALK)
def test_every_phase_meets_every_input(phase, seconds, box, then, said):
    state, events = play(lasting(seconds, start=3.0, box=box), reach(phase))
    assert state.phase is then
    assert [event.type for event in events] == said


@pytest.mark.parametrize("box", [None, HERE, THERE], ids=["no plume", "plume", "plume elsewhere"])
@pytest.mark.parametrize("reason", [q for q in Quality if q.value and not q.believable], ids=lambda q: q.names[0])
@pytest.mark.parametrize("phase", Phase)
def test_an_unbelievable_minute_changes_nothing(phase, reason, box):
    before = reach(phase)
    after, events = play(lasting(60, start=3.0, box=box, quality=reason, fps=10), before)
    assert events == []
    assert replace(after, captured=0, quality=Quality.GOOD) == replace(before, captured=0, quality=Quality.GOOD)


def test_the_off_delay_does_not_run_while_the_camera_shows_nothing():
    state, _ = play(lasting(30, start=3.0, box=None, quality=Quality.SHUTTER), reach(Phase.RETURNING))
    state, events = play(lasting(1, start=33.0, box=None), state)
    assert state.phase is Phase.RETURNING
    assert "end" not in [event.type for event in events]


def test_the_time_without_a_camera_counts_for_no_delay():
    state, events = play(lasting(1, start=500.0, box=None), interrupted(reach(Phase.RETURNING)))
    assert state.phase is Phase.RETURNING
    assert "end" not in [event.type for event in events]


def test_a_clean_leak_is_raised_after_the_on_delay_and_not_before():
    _, events = play(lasting(3))
    assert SETTINGS.on_delay_s <= events[0].captured <= SETTINGS.on_delay_s + 0.1


@pytest.mark.parametrize("fps", [9, 15, 25, 30, 60])
def test_the_delays_are_seconds_at_every_frame_rate(fps):
    _, events = play([*lasting(4, fps=fps), *lasting(8, start=4, fps=fps, box=None)])
    start, end = events[0], events[-1]
    assert start.captured == pytest.approx(SETTINGS.on_delay_s, abs=2 / fps)
    assert end.captured == pytest.approx(4 + SETTINGS.off_delay_s, abs=2 / fps)


def test_a_plume_that_flickers_a_little_is_raised_and_one_that_flickers_much_is_not():
    steady = [summary(n, box=None if n % 5 == 0 else HERE) for n in range(90)]
    rare = [summary(n, box=HERE if n % 5 < 3 else None) for n in range(300)]
    assert [event.type for event in play(steady)[1]][:1] == ["start"]
    assert play(rare)[1] == []


@pytest.mark.parametrize("speed", [60, 120, 300])
def test_a_bird_that_crosses_the_view_is_no_leak(speed):
    crossing = [summary(n, box=(round(n / 30 * speed), 50, 30, 20)) for n in range(round(290 / speed * 30))]
    assert play(crossing)[1] == []


def test_a_bird_beside_a_plume_neither_hides_nor_ends_the_leak():
    plume = summary(0).contour
    both = [replace(summary(n, box=(0, 50, 140 + n, 80)), contour=plume) for n in range(150)]
    assert [event.type for event in play(both)[1]] == ["start", "update", "update", "update"]


def test_specks_all_over_the_view_are_no_leak():
    places = [(20, 20), (250, 30), (140, 200), (40, 180), (280, 200), (120, 60)]
    specks = [replace(summary(n, box=(10, 10, 300, 220)), contour=_square(*places[n % 6])) for n in range(200)]
    assert play(specks)[1] == []


def _square(x: int, y: int) -> tuple[tuple[int, int], ...]:
    return (x, y), (x + 8, y), (x + 8, y + 8), (x, y + 8)


def test_a_plume_that_grows_and_sways_at_one_place_is_one_leak():
    swaying = [summary(n, box=(100, 90 + round(10 * math.sin(n / 8)), 20 + n, 30)) for n in range(150)]
    events = play(swaying)[1]
    assert [event.type for event in events] == ["start", "update", "update", "update"]
    assert len({event.event_id for event in events}) == 1


def test_the_same_footage_gives_the_same_events_and_another_camera_other_ids():
    north = play(lasting(3))[1]
    assert north == play(lasting(3))[1]
    assert north[0].event_id != play(lasting(3), camera="south")[1][0].event_id


def test_the_end_tells_how_long_and_how_large_the_leak_was():
    large = (90, 90, 80, 60)
    _, events = play([*lasting(2), *lasting(1, 2, box=large), *lasting(6, 3, box=None)])
    end = events[-1]
    assert end.type == "end"
    assert end.peak_area_px == 80 * 60
    assert end.area_px == 0
    assert end.duration_s == pytest.approx(8.0, abs=0.1)
    assert end.started_utc == summary(0).utc


BOXES = st.one_of(st.none(), st.sampled_from([HERE, THERE, SPECK, (90, 90, 80, 60)]))
QUALITIES = st.sampled_from([Quality.GOOD] * 4 + [Quality.WARMING_UP, Quality.GAIN, Quality.CUT, Quality.FROZEN])
STRETCHES = st.lists(st.tuples(BOXES, QUALITIES, st.integers(1, 60), st.sampled_from([0.03, 0.1, 0.4])), max_size=30)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(STRETCHES)
def test_whatever_comes_events_are_in_order_and_one_at_most_is_open(stretches):
    state, at, index, open_id, sequence = Condition(), 0.0, 0, None, -1
    seen: set[str] = set()
    for box, quality, count, period in stretches:
        for _ in range(count):
            at, index = at + period, index + 1
            state, events = step(state, summary(index, captured=at, box=box, quality=quality), SETTINGS, camera="north")
            assert len(events) <= 1
            if not quality.believable:
                assert events == ()
            for event in events:
                if event.type == "start":
                    assert open_id is None
                    assert event.event_id not in seen
                    open_id, sequence = event.event_id, 0
                    seen.add(open_id)
                else:
                    assert event.event_id == open_id
                    sequence += 1
                assert event.sequence == sequence
                assert event.duration_s >= 0
                if event.type == "end":
                    open_id = None
            assert state.phase.alarming == (open_id is not None)
            assert (state.leak is None) == (state.phase is Phase.NORMAL)


@pytest.mark.parametrize("at", [5.0, 0.0, -7.0], ids=["jumped on", "stood still", "jumped back"])
def test_a_capture_clock_that_jumps_raises_nothing_by_itself(at):
    state, _ = play(lasting(0.2))
    _, events = step(state, summary(7, captured=at, quality=Quality.GAP), SETTINGS, camera="north")
    assert events == ()


def test_a_doubtful_plume_raises_nothing_but_keeps_a_leak_open() -> None:
    _, events = play(lasting(6, confidence=0.6))
    assert events == []
    _, events = play(lasting(2) + lasting(6, 2, confidence=0.6))
    assert [event.type for event in events][:2] == ["start", "update"]
    assert "end" not in [event.type for event in events]


def test_what_stands_still_raises_nothing_but_keeps_a_leak_open() -> None:
    _, events = play(lasting(6, flicker=1.2))
    assert events == []
    _, events = play(lasting(2) + lasting(6, 2, flicker=1.2))
    assert "end" not in [event.type for event in events]


def test_an_open_leak_is_kept_by_a_smaller_plume_within_the_deadband_only():
    small = (100, 100, 6, 6)
    for deadband, said in ((0.0, ["start", "end"]), (0.5, ["start"])):
        rules = SETTINGS.model_copy(update={"area_deadband": deadband, "update_every_s": 100})
        events = play(lasting(2) + lasting(8, 2, box=small), settings=rules)[1]
        assert [event.type for event in events] == said
        assert play(lasting(8, box=small), settings=rules)[1] == [], "none is raised by it"


def test_an_open_leak_is_kept_by_a_doubtful_plume_within_the_deadband_only():
    for deadband, said in ((0.0, ["start", "end"]), (0.1, ["start", "end"]), (0.2, ["start"])):
        rules = SETTINGS.model_copy(update={"confidence_deadband": deadband, "update_every_s": 100})
        events = play(lasting(2) + lasting(8, 2, confidence=0.6), settings=rules)[1]
        assert [event.type for event in events] == said


@pytest.mark.parametrize("phase", [Phase.ACTIVE, Phase.RETURNING])
@pytest.mark.parametrize("box", [None, HERE], ids=["no plume", "plume"])
def test_an_open_leak_goes_on_or_ends_after_a_restart(phase, box):
    before = reach(phase)
    first = summary(0, box=box)  # the capture clock begins anew, UTC does not
    afterwards = [replace(frame, utc=frame.utc + 600) for frame in lasting(7, box=box)]
    state = resumed(kept(before), replace(first, utc=first.utc + 600))
    assert (state.phase, state.leak.event_id) == (before.phase, before.leak.event_id)
    state, events = play(afterwards, state)
    assert {event.event_id for event in events} == {before.leak.event_id}
    assert [event.sequence for event in events] == [before.leak.sequence + n + 1 for n in range(len(events))]
    assert "start" not in [event.type for event in events]
    assert (state.phase is Phase.NORMAL) == (events[-1].type == "end") == (box is None)
    assert 600 <= events[0].duration_s <= 605, "the time away is part of the leak"


def test_time_away_counts_for_no_delay():
    state = kept(reach(Phase.RETURNING))
    late = replace(summary(0, box=None), captured=1e6, utc=2e9)
    state, events = step(resumed(state, late), late, SETTINGS, camera="north")
    assert state.phase is Phase.RETURNING
    assert events == ()


@pytest.mark.parametrize("phase", [Phase.NORMAL, Phase.PENDING])
def test_without_an_open_leak_there_is_nothing_to_keep(phase):
    assert kept(reach(phase)) == Condition()


def test_a_leak_that_nobody_watches_any_more_is_ended():
    state = reach(Phase.ACTIVE)
    end = abandoned(state, state.leak.started_utc + 60, camera="north")
    assert (end.type, end.event_id, end.camera) == ("end", state.leak.event_id, "north")
    assert end.sequence == state.leak.sequence + 1
    assert end.duration_s == pytest.approx(60)
    assert not end.quality.believable


def test_a_leak_that_stands_on_the_ground_is_in_one_place_for_a_camera_that_flies() -> None:
    """It crosses the view in a second and a half, and only its view tells that it stands."""
    boxes = [(280 - 6 * i, 100, 40, 30) for i in range(46)]
    flown = [
        summary(i, box=box, quality=Quality.MOVING, view=(1, 0, 6 * i, 0, 1, 0, 0, 0, 1)) for i, box in enumerate(boxes)
    ]
    state, events = play([*lasting(2, box=None), *(replace(f, captured=2 + i / 30) for i, f in enumerate(flown))])
    assert [event.type for event in events] == ["start"]
    assert state.leak is not None
    assert state.leak.box == (280, 100, 41, 31)
    _, unplaced = play([*lasting(2, box=None), *(replace(f, captured=2 + f.index / 30, view=None) for f in flown)])
    assert not unplaced


def test_a_view_that_nobody_can_place_holds_the_alarm() -> None:
    before = reach(Phase.ACTIVE)
    state, events = play(lasting(30, 3, box=None, quality=Quality.MOVING | Quality.UNREGISTERED), before)
    assert state.phase is Phase.ACTIVE
    assert not events
