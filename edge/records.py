"""The records that travel from box to box: frozen, one per arrow of the data flow.

Coordinates are pixels of the source frame, x to the right, y down. Times are seconds: `captured` on the stream's own
monotonic clock (differences count), `utc` on the wall clock (for people and logs).
"""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Point = tuple[float, float]
STILL: Array = np.eye(3)  # a view that has not moved
STILL.setflags(write=False)


class Quality(enum.Flag):
    """Why a frame's mask deserves less than full belief; `Quality.GOOD` is the absence of every reason."""

    GOOD = 0
    WARMING_UP = enum.auto()  # less history than the longest lag
    GAP = enum.auto()  # time jumped: state was reset
    CUT = enum.auto()  # another view: state was reset
    GAIN = enum.auto()  # the camera changed its gain (AGC step): what is remembered was rescaled
    SHUTTER = enum.auto()  # a shutter (NUC) event: the frame shows no scene
    MOVING = enum.auto()  # the view moves, and what is remembered with it
    FROZEN = enum.auto()  # the camera repeats one frame
    DARK = enum.auto()  # black: nothing to see
    SATURATED = enum.auto()  # white: nothing to see
    VIEW_CHANGED = enum.auto()  # not the view of the last minutes: the mask holds, places in the view may not
    UNREGISTERED = enum.auto()  # the view moves, where to is not known: temporal differences are not to be believed

    # Every frame asks some twenty times, and enum's own operators take four times as long.
    def __and__(self, other: Quality) -> Quality:
        return _quality(self._value_ & other._value_)

    def __or__(self, other: Quality) -> Quality:
        return _quality(self._value_ | other._value_)

    @property
    def names(self) -> tuple[str, ...]:
        """The reasons as lower-case words, in a fixed order; empty when good."""
        return tuple(q.name.lower() for q in Quality if q.value and q in self and q.name) if self else ()

    @property
    def blind(self) -> bool:
        """Whether the camera shows no scene, or none of the present: a fault, or as good as one."""
        return bool(self & BLIND)

    @property
    def believable(self) -> bool:
        """Whether this frame's mask may move the alarm state at all: a scene that can be laid over the past."""
        return not self & UNBELIEVABLE


@functools.cache
def _quality(value: int) -> Quality:
    return Quality(value)


BLIND = Quality.GAP | Quality.SHUTTER | Quality.FROZEN | Quality.DARK | Quality.SATURATED
UNBELIEVABLE = BLIND | Quality.CUT | Quality.UNREGISTERED


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the camera."""

    image: Array  # (H, W) or (H, W, 3 BGR); uint8 or uint16
    index: int  # counts from 0 in its source
    captured: float  # seconds on the stream's monotonic clock
    utc: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What the model says of one frame."""

    frame: Frame
    logits: Array  # (h, w) float32 at the model's output resolution
    mask: Array  # (H, W) uint8, 0 or 255, at source resolution
    noise: float  # the frame's robust temporal noise sigma in grey levels (0..255)
    image: Array  # (h, w) float32 0..1, the frame as the model saw it; w, h: its input without letterbox borders
    background: Array  # (h, w) float32 0..1, what the image was compared with
    quality: Quality
    view: Array = field(
        default_factory=lambda: STILL
    )  # (3, 3): px of `image` -> px of the ground (see `edge.warp`), the same while the camera stands


@dataclass(frozen=True, slots=True)
class Summary:
    """One frame's plume in numbers: the record that alarms are made of."""

    index: int
    captured: float
    utc: float
    width: int  # of the source frame, px
    height: int
    noise: float  # temporal noise sigma, grey levels
    quality: Quality
    view: tuple[float, ...] | None = None  # (3, 3), row by row: px -> px of the ground; None: where the camera stood
    # of the plume; as here where there is none
    area_px: int = 0  # pixels at source resolution
    area_share: float = 0.0  # of the view, 0..1
    box: tuple[int, int, int, int] | None = None  # x, y, width, height
    contour: tuple[tuple[int, int], ...] = ()  # outline of the largest part, at most 32 points
    centroid: Point | None = None
    # drift, origin and flicker are those of the last look (see `edge.summary`): of this frame, or up to 0.1 s before it
    drift: Point | None = None  # px/s, smoothed motion of its texture: (x, y)
    origin: Point | None = None  # estimated source, px
    cnr: float = 0.0  # contrast-to-noise ratio against the background
    confidence: float = 0.0  # mean probability inside the mask, 0..1
    flicker: float = 0.0  # how much livelier it is than the rest of the view, 1: not at all


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a figure came from: enough to repeat it a year later."""

    model: str  # name in the ModelSpec
    model_sha256: str
    config_hash: str
    software: str  # version of this package
    clock_synchronised: bool | None  # None where the system cannot tell


@dataclass(frozen=True, slots=True)
class Location:
    """Where on the ground a plume comes from, WGS84, and the ellipse that holds the true place in 95 of 100 cases."""

    latitude: float  # degrees
    longitude: float
    altitude: float  # m above mean sea level, of the ground plane that the ray was met with
    major_m: float  # semi-axes of the ellipse
    minor_m: float
    azimuth: float  # of its major axis, degrees clockwise from north, 0..180
    outline: tuple[Point, ...]  # (longitude, latitude) of the plume's contour; empty where it leaves the ground
    camera: tuple[float, float, float]  # longitude, latitude, altitude: where it was seen from
    utc: float | None = None  # of the pose, by the clock that it came with; a recording's own frames know none
    incident: str = ""  # the event_id of the first leak of this flight at this place


@dataclass(frozen=True, slots=True)
class Event:
    """One step in the life of a leak: its start, an update, its end."""

    type: str  # "start" | "update" | "end"
    event_id: str  # the same for every step of one leak
    sequence: int  # 0 at the start, then counting
    camera: str
    started_utc: float
    utc: float
    captured: float
    frame_index: int
    duration_s: float
    area_px: int  # at this step
    peak_area_px: int  # so far
    area_share: float
    box: tuple[int, int, int, int] | None
    contour: tuple[tuple[int, int], ...]
    centroid: Point | None
    origin: Point | None
    drift: Point | None
    cnr: float
    confidence: float
    quality: Quality
    provenance: Provenance | None = field(default=None)
    zone: str = ""  # of the camera's view; "": all of it
    snapshot_sha256: str | None = None  # of the still that shows the start of the leak; at the start only
    location: Location | None = None  # None: the camera's pose is not known
