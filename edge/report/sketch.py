"""Drawings for a page, as SVG: the map of a flight, and how a leak's area went."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from edge.geo import geojson
from edge.geo.incident import EQUATOR_M
from edge.report.reading import Flight, Leak

MAP_PX, CHART_PX = (860, 520), (420, 150)
MARGIN_PX, LEAST_M = 40.0, 40.0
METRES_PER_DEGREE = math.radians(EQUATOR_M)

Place = tuple[float, float]  # longitude, latitude


class Sheet:
    """A level map with north up that holds some places; good to a thousandth over some ten kilometres."""

    def __init__(self, places: Sequence[Place]) -> None:
        """At least one place."""
        wests, souths = [p[0] for p in places], [p[1] for p in places]
        self._middle = (min(wests) + max(wests)) / 2, (min(souths) + max(souths)) / 2
        self._narrow = math.cos(math.radians(self._middle[1]))
        wide = (max(wests) - min(wests)) * METRES_PER_DEGREE * self._narrow
        high = (max(souths) - min(souths)) * METRES_PER_DEGREE
        room = [side - 2 * MARGIN_PX for side in MAP_PX]
        self.px_per_m = min(room[0] / max(wide, LEAST_M), room[1] / max(high, LEAST_M))

    def at(self, place: Place) -> tuple[float, float]:
        """Pixels (x, y)."""
        east = (place[0] - self._middle[0]) * METRES_PER_DEGREE * self._narrow
        north = (place[1] - self._middle[1]) * METRES_PER_DEGREE
        return MAP_PX[0] / 2 + east * self.px_per_m, MAP_PX[1] / 2 - north * self.px_per_m

    def line(self, places: Iterable[Place]) -> str:
        """The `points` of a polyline or polygon."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, places))


def chart_of(flight: Flight) -> str:
    """The map: ways, ellipses and outlines, incidents by their numbers, scale and north; "" without a place."""
    ways = [[(x, y) for x, y, _ in way.places] for way in flight.ways]
    shown = [(number, place) for number, one in enumerate(flight.incidents, 1) if (place := one.place) is not None]
    rings = [geojson.ellipse(place) for _, place in shown]
    everything = [*(p for way in ways for p in way), *((x, y) for ring in rings for x, y in ring)]
    if not everything:
        return ""
    sheet = Sheet(everything)
    drawn = [f'<polyline class="way" points="{sheet.line(way)}"/>' for way in ways if len(way) > 1]
    for (_, place), ring in zip(shown, rings, strict=True):
        drawn.append(f'<polygon class="outline" points="{sheet.line((x, y) for x, y in place["outline"])}"/>')
        drawn.append(f'<polygon class="ellipse" points="{sheet.line((x, y) for x, y in ring)}"/>')
    for number, place in shown:
        x, y = sheet.at((place["longitude"], place["latitude"]))
        drawn.append(f'<circle class="leak" cx="{x:.1f}" cy="{y:.1f}" r="9"/>')
        drawn.append(f'<text class="number" x="{x:.1f}" y="{y + 4:.1f}">{number}</text>')
    return _svg(MAP_PX, "Map sketch of the flight", [*drawn, *_scale(sheet), _NORTH])


def area_of(leak: Leak) -> str:
    """The plume's share of the view over time; "" for fewer than two points."""
    timed = [step for step in leak.steps if step["duration_s"] is not None]
    points = [(float(step["duration_s"]), 100 * (step["area_share"] or 0.0)) for step in timed]
    if len(points) < 2:
        return ""
    last, most = max(points[-1][0], 1e-3), max(max(share for _, share in points), 1e-3)
    (width, height), left, top = CHART_PX, 56.0, 10.0
    room = width - left - 10, height - top - 24
    line = " ".join(f"{left + room[0] * t / last:.1f},{top + room[1] * (1 - a / most):.1f}" for t, a in points)
    floor = top + room[1]
    drawn = [
        f'<path class="axis" d="M{left},{top}V{floor}H{left + room[0]}"/>',
        f'<polyline class="area" points="{line}"/>',
        f'<text class="end" x="{left - 4}" y="{top + 8}">{most:.2g} %</text>',
        f'<text class="end" x="{left - 4}" y="{floor}">0</text>',
        f'<text class="end" x="{left + room[0]}" y="{height - 6}">{last:.0f} s</text>',
    ]
    return _svg(CHART_PX, "Area over time, share of the view", drawn)


def _scale(sheet: Sheet) -> list[str]:
    """A bar of 1, 2 or 5 times a power of ten metres, a fifth of the sheet at most."""
    most = MAP_PX[0] / 5 / sheet.px_per_m
    power = 10.0 ** math.floor(math.log10(most))
    length = max(step * power for step in (1, 2, 5) if step * power <= most)
    right, y = 20 + length * sheet.px_per_m, MAP_PX[1] - 18
    bar = f'<path class="axis" d="M20,{y - 5}V{y}H{right:.1f}V{y - 5}"/>'
    return [bar, f'<text x="24" y="{y - 6}">{length:g} m</text>']


_NORTH = '<path class="north" d="M830,46L838,20L846,46L838,40Z"/><text x="833" y="60">N</text>'


def _svg(size: tuple[int, int], title: str, drawn: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}" role="img">'
        f"<title>{escape(title)}</title>{''.join(drawn)}</svg>"
    )
