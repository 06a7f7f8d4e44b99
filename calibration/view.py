"""A gas-free clip, the base of a rendered one, and the way of the camera that saw it."""

from __future__ import annotations

from dataclasses import dataclass, field

from calibration.flight import Flight
from edge.records import Array


@dataclass(frozen=True, slots=True)
class Course:
    """The way of a camera whose registration works; tracks as in `calibration.flight`."""

    track: Array  # (T, 3, 3) as it is
    read: Array  # (T, 3, 3) as it is registered
    flight: Flight = field(default_factory=Flight)  # a rolling shutter, a hum; of footage it is in the frames already
    near: Array | None = None  # (T, H, W) float32: opacity of what stands before ground and gas
    fresh: Array | None = None  # (H, W) bool: what has come into the first view just now; the background knows it not


@dataclass(frozen=True, slots=True)
class View:
    """A gas-free clip: (T, H, W) float32 0..1, and the same view some time earlier, (E, H, W)."""

    frames: Array
    earlier: Array
    moving: bool = False  # the camera moves and nobody knows how: what is fixed to the ground does not stay where it is
    course: Course | None = None  # the camera moves as told; `earlier` is brought to the first view
