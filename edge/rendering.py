"""How a camera draws what it sees: which values are white, in what colours, and what is written over the view."""

from __future__ import annotations

from dataclasses import dataclass

from edge.records import Point

Polygon = tuple[Point, ...]  # corners (x, y) as shares of the view, 0..1


@dataclass(frozen=True, slots=True)
class Range:
    """The 16-bit values that become 0 and 1."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a picture does not say of itself. Its polarity is told apart: a CameraCalibration holds for one."""

    palette: str | None = None  # see `edge.palette`; None: grey
    range: Range | None = None  # of 16-bit pictures; None: percentiles of the scene
    ignore: tuple[Polygon, ...] = ()  # burnt-in logos, clocks, scales


PLAIN = Rendering()  # grey, nothing written over it
