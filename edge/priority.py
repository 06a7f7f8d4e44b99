"""How urgent a leak is: from the area that its plume covers, and from whether it grows and persists. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from edge.rules import PrioritySettings

FAST_S, SLOW_S = 5.0, 60.0  # memory of the present area, and of what it is compared with


class Priority(enum.IntEnum):
    """Alarm priority, as ISA-18.2 recommends at most four of them."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """As messages say it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Trend:
    """The area of one leak's plume while it stands. Areas are shares of the view, times on its alarm's clock."""

    since: float
    at: float
    area: float  # smoothed over FAST_S: a gust or a bird in one frame is no larger leak
    mean: float  # smoothed over SLOW_S


def begun(area: float, at: float) -> Trend:
    """A leak was raised."""
    return Trend(at, at, area, area)


def followed(trend: Trend, area: float, at: float) -> Trend:
    """The leak still stands."""
    elapsed, age = at - trend.at, at - trend.since
    return Trend(
        since=trend.since,
        at=at,
        area=_approached(trend.area, area, elapsed, min(age, FAST_S)),
        mean=_approached(trend.mean, area, elapsed, min(age, SLOW_S)),
    )


def priority(trend: Trend, settings: PrioritySettings) -> Priority:
    """Of a leak as it is now; that it never falls while the leak lasts is the alarm's business."""
    bars = settings.medium_area_share, settings.high_area_share, settings.critical_area_share
    steps = sum(trend.area >= bar for bar in bars)
    if settings.growth is not None and trend.area > 0:
        steps += trend.area >= settings.growth * trend.mean
    if settings.persistent_s is not None:
        steps += trend.at - trend.since >= settings.persistent_s
    return Priority(min(Priority.CRITICAL, Priority.LOW + steps))


def _approached(mean: float, value: float, elapsed: float, memory: float) -> float:
    """A running mean while `memory` is the leak's age, exponential once it is constant."""
    return mean + min(1.0, elapsed / memory) * (value - mean) if elapsed > 0 else mean
