"""Alarms against what is known of a clip: did one follow when gas came, how soon, did it stand, was it false."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from calibration.metrics import share
from edge.condition import Condition
from edge.records import Event, Summary

SETTLED_S = 20.0  # after the onset: from here on the alarm has had time to come


@dataclass(frozen=True, slots=True)
class Started:
    """One alarm."""

    frame: int  # when it was raised
    since: int  # when the plume was first seen
    area_px: int
    at_s: float = math.nan  # when it was raised, from the clip's first frame
    until: int | None = None  # frame in which it was over; None: it stands at the end


@dataclass(slots=True)
class EventScore:
    """What the alarm did over one clip, frame by frame."""

    alarms: list[Started] = field(default_factory=list)
    frames: int = 0
    first_s: float = math.nan  # capture time of the first frame
    last_s: float = math.nan
    onset: int | None = None  # frame in which gas came
    onset_s: float = math.nan  # the same from the first frame
    gas: int = 0  # frames from the onset on
    alarmed: int = 0  # of these, with a standing alarm
    settled: int = 0  # frames from SETTLED_S after the onset on
    settled_alarmed: int = 0

    def add(self, summary: Summary, state: Condition, events: Iterable[Event], *, gas: bool) -> None:
        """One frame: what the alarm became, what it said, and whether this frame is known to show gas."""
        if not self.frames:
            self.first_s = summary.captured
        self.frames += 1
        self.last_s = summary.captured
        for event in events:
            if event.type == "start":
                since = event.frame_index if state.leak is None else state.leak.started_index
                self.alarms.append(Started(event.frame_index, since, event.area_px, self.last_s - self.first_s))
            elif event.type == "end":
                self.alarms[-1] = replace(self.alarms[-1], until=event.frame_index)
        if gas and self.onset is None:
            self.onset, self.onset_s = summary.index, self.last_s - self.first_s
        if self.onset is not None:
            self._since_onset(state.phase.alarming)

    def _since_onset(self, alarming: bool) -> None:
        self.gas += 1
        self.alarmed += alarming
        if self.last_s - self.first_s - self.onset_s >= SETTLED_S - 1e-6:
            self.settled += 1
            self.settled_alarmed += alarming

    @property
    def hours(self) -> float:
        """Length of the footage: each frame lasts as long as the frames do on average."""
        return (self.last_s - self.first_s) * self.frames / (self.frames - 1) / 3600 if self.frames > 1 else 0.0

    @property
    def early(self) -> int:
        """Alarms raised before the gas came: false ones."""
        return sum(self.onset is not None and alarm.frame < self.onset for alarm in self.alarms)

    @property
    def time_to_alarm_s(self) -> float:
        """From the onset to the first alarm raised at or after it; NaN where none came."""
        after = [alarm.at_s for alarm in self.alarms if self.onset is not None and alarm.frame >= self.onset]
        return after[0] - self.onset_s if after else math.nan

    @property
    def alarmed_share(self) -> float:
        """Share of the frames from the onset on in which an alarm stands."""
        return share(self.alarmed, self.gas)

    @property
    def settled_share(self) -> float:
        """The same from SETTLED_S after the onset on."""
        return share(self.settled_alarmed, self.settled)
