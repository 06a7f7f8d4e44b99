"""Alarms against the truth of a clip, frame by frame."""

import math

import pytest

from benchmarks.events import EventScore, Started
from edge.condition import Condition, step
from edge.rules import AlarmSettings
from tests.edge.summaries import summary

FPS = 10.0


def scored(plume: range, gas: range, frames: int) -> EventScore:
    """A clip in which the method sees a plume in some frames, and gas is truly there in others."""
    score, state = EventScore(), Condition()
    for index in range(frames):
        seen = summary(index, captured=100 + index / FPS, box=(100, 100, 40, 30) if index in plume else None)
        state, events = step(state, seen, AlarmSettings(), camera="clip")
        score.add(seen, state, events, gas=index in gas)
    return score


def test_an_alarm_after_the_onset_is_timed_from_it() -> None:
    score = scored(plume=range(22, 400), gas=range(20, 400), frames=400)
    (alarm,) = score.alarms
    assert (score.onset, score.onset_s) == (20, pytest.approx(2.0))
    assert alarm.since == 22
    assert alarm.at_s == pytest.approx(alarm.frame / FPS)
    assert alarm.until is None
    assert score.time_to_alarm_s == pytest.approx(0.2 + AlarmSettings().on_delay_s, abs=0.11)
    assert score.early == 0
    assert score.alarmed_share == pytest.approx((400 - alarm.frame) / 380)
    assert (score.settled, score.settled_share) == (400 - 220, 1.0)


def test_an_alarm_before_the_onset_is_false_and_no_detection() -> None:
    score = scored(plume=range(5, 60), gas=range(150, 200), frames=200)
    (alarm,) = score.alarms
    assert score.early == 1
    assert math.isnan(score.time_to_alarm_s)
    assert alarm.until == pytest.approx(59 + 50, abs=2), "over when the plume has been gone for the off-delay"
    assert score.alarmed_share == 0.0
    assert math.isnan(score.settled_share), "the clip ends before an alarm had time to settle"


def test_without_gas_nothing_is_early_or_late() -> None:
    score = scored(plume=range(5, 60), gas=range(0), frames=100)
    assert len(score.alarms) == 1
    assert (score.onset, score.early) == (None, 0)
    assert math.isnan(score.time_to_alarm_s)
    assert math.isnan(score.alarmed_share)


def test_a_clip_lasts_as_long_as_all_its_frames() -> None:
    assert scored(range(0), range(0), frames=36).hours == pytest.approx(3.6 / 3600)
    assert scored(range(0), range(0), frames=1).hours == 0.0
    assert EventScore().hours == 0.0


def test_only_the_first_alarm_after_the_onset_counts_for_the_time() -> None:
    score = EventScore(onset=10, onset_s=1.0)
    score.alarms = [Started(4, 2, 99, 0.4), Started(30, 25, 99, 3.0), Started(50, 45, 99, 5.0)]
    assert score.time_to_alarm_s == pytest.approx(2.0)
    assert score.early == 1
