"""A flight as GeoJSON (RFC 7946): the camera's way, and of each leak its place, its ellipse and its outline.

Coordinates are longitude, latitude and, of the camera, altitude, WGS84. `kind` in a feature's properties says what it
is: "track", "leak", "ellipse" or "outline".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge.geo.incident import EQUATOR_M

Feature = dict[str, Any]
CORNERS = 36  # of an ellipse
LEAK = ("event_id", "camera", "zone", "started_utc", "utc", "duration_s", "peak_area_px", "confidence", "quality")


def collection(features: Iterable[Feature]) -> Feature:
    """The file's content."""
    return {"type": "FeatureCollection", "features": list(features)}


def track(way: Sequence[tuple[float, float, float]], times: Sequence[str], camera: str) -> list[Feature]:
    """Where a camera was: longitude, latitude, altitude, and when. Nothing for fewer than two places."""
    if len(way) < 2:
        return []
    line = {"type": "LineString", "coordinates": [_rounded(place) for place in way]}
    return [_feature(line, {"kind": "track", "camera": camera, "times": list(times)})]


def leak(event: Mapping[str, Any], number: int | None = None) -> list[Feature]:
    """An event, as its JSON message, and the number of its incident in a report; nothing for one without a location."""
    place = event["location"]
    if place is None:
        return []
    known = {name: place[name] for name in ("semi_major_m", "semi_minor_m", "azimuth_deg", "incident_id")}
    said = {**{name: event[name] for name in LEAK}, **known, **({} if number is None else {"number": number})}
    made = [
        _feature(
            {"type": "Point", "coordinates": _rounded((place["longitude"], place["latitude"]))},
            {"kind": "leak", **said},
        ),
        _polygon(ellipse(place), {"kind": "ellipse", "event_id": event["event_id"]}),
    ]
    if len(place["outline"]) >= 3:
        made.append(_polygon(place["outline"], {"kind": "outline", "event_id": event["event_id"]}))
    return made


def ellipse(place: Mapping[str, Any]) -> list[list[float]]:
    """The corners, longitude and latitude, of the 95 % ellipse of a location's message."""
    azimuth, latitude = math.radians(place["azimuth_deg"]), math.radians(place["latitude"])
    corners = []
    for index in range(CORNERS):
        angle = 2 * math.pi * index / CORNERS
        along, across = place["semi_major_m"] * math.cos(angle), place["semi_minor_m"] * math.sin(angle)
        north = along * math.cos(azimuth) - across * math.sin(azimuth)
        east = along * math.sin(azimuth) + across * math.cos(azimuth)
        per_degree = math.radians(EQUATOR_M)  # half a percent of an ellipse's size does not show
        corners.append(
            [
                place["longitude"] + east / (per_degree * math.cos(latitude)),
                place["latitude"] + north / per_degree,
            ]
        )
    return corners


def _polygon(corners: Sequence[Sequence[float]], properties: Feature) -> Feature:
    """Closed, and counterclockwise as the RFC wants it."""
    ring = [_rounded(corner) for corner in corners]
    twice = sum(x * v - u * y for (x, y), (u, v) in zip(ring, ring[1:] + ring[:1], strict=True))
    ring = ring if twice > 0 else ring[::-1]
    return _feature({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, properties)


def _rounded(place: Sequence[float]) -> list[float]:
    """To a centimetre."""
    return [round(figure, 7) for figure in place]


def _feature(geometry: Feature, properties: Feature) -> Feature:
    return {"type": "Feature", "geometry": geometry, "properties": properties}
