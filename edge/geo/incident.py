"""Which leaks are one: events of a flight at one place are an incident, so that a second pass finds the first again.

Two places are one when they are within `merge_m`, or when their distance is within what their errors explain: squared
Mahalanobis distance under the sum of both covariances below the 99 % point. Errors that both share make that sum too
large, so it rather joins than parts. Two leaks that are open at once in one camera are two, however close: their errors
are the same, so their difference is real. An incident's place is the best known of its leaks, not their mean, whose
error would be understated for the same reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from edge.geo.place import covariance_of
from edge.records import Array, Event, Location

WITHIN = 9.210  # chi-squared with two degrees of freedom, 99 %
EQUATOR_M, FLATNESS = 6_378_137.0, 1 / 298.257223563  # WGS84


@dataclass(frozen=True, slots=True)
class Incident:
    """A place that leaks."""

    id: str  # the event_id of its first leak
    place: Location
    open: tuple[tuple[str, str], ...] = ()  # camera, event_id of those that are not over


def step(known: tuple[Incident, ...], event: Event, merge_m: float) -> tuple[tuple[Incident, ...], Event]:
    """Put one located event where it belongs: the incidents with it, and the event with its incident's id."""
    assert event.location is not None
    leak = event.camera, event.event_id
    mine = next((one for one in known if leak in one.open), None)
    if mine is None:
        mine = _nearest(known, event, merge_m) or Incident(event.event_id, event.location)
    better = min(mine.place, event.location, key=_size)
    still = tuple(one for one in mine.open if one != leak)
    now = replace(
        mine,
        place=replace(better, incident=mine.id),
        open=still if event.type == "end" else (*still, leak),
    )
    others = tuple(one for one in known if one.id != mine.id)
    return (*others, now), replace(event, location=replace(event.location, incident=mine.id))


def _nearest(known: tuple[Incident, ...], event: Event, merge_m: float) -> Incident | None:
    """The closest incident that may be this leak's."""
    place = event.location
    assert place is not None
    apart = [(one, offset(one.place, place)) for one in known if all(who != event.camera for who, _ in one.open)]
    near = [(float(np.hypot(*way)), one) for one, way in apart if _same(one.place, place, way, merge_m)]
    return min(near, key=lambda pair: pair[0])[1] if near else None


def _same(one: Location, other: Location, way: Array, merge_m: float) -> bool:
    if math.hypot(*way) <= merge_m:
        return True
    spread = covariance_of(one) + covariance_of(other) + 1e-6 * np.eye(2)
    return float(way @ np.linalg.solve(spread, way)) <= WITHIN


def offset(one: Location, other: Location) -> Array:
    """Metres (north, east) from one place to another, for distances of some kilometres."""
    latitude = math.radians((one.latitude + other.latitude) / 2)
    squared = FLATNESS * (2 - FLATNESS)  # eccentricity
    bulge = 1 - squared * math.sin(latitude) ** 2
    along = EQUATOR_M * (1 - squared) / bulge**1.5  # radius of curvature of the meridian
    across = EQUATOR_M / math.sqrt(bulge) * math.cos(latitude)
    east = (other.longitude - one.longitude + 180.0) % 360.0 - 180.0
    return np.array([math.radians(other.latitude - one.latitude) * along, math.radians(east) * across])


def _size(place: Location) -> float:
    return place.major_m * place.minor_m
