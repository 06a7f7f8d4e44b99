"""The part of the configuration that says where a camera stands or flies, and how well that is known."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, field_validator, model_validator

from edge.rules import Strict

Metres = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
Degrees = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
Altitude = Annotated[float, Field(ge=-1000, le=100_000, allow_inf_nan=False)]
Sigma = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class PoseErrors(Strict):
    """One standard deviation of everything that a place on the map is computed from. All are independent and normal.

    The defaults are those of a small drone with an ordinary GNSS receiver and a magnetic compass.
    """

    horizontal_m: Sigma = 1.5  # of the camera's position, north and east each
    vertical_m: Sigma = 2.0  # of its altitude
    tilt_deg: Sigma = 0.5  # of the reported vertical, about two level axes each
    heading_deg: Sigma = 2.0  # about the vertical
    boresight_deg: Sigma = 0.5  # of the camera in its gimbal or mount, about each of its own axes
    focal_share: Sigma = 0.01  # of the focal length
    pixel_px: Sigma = 3.0  # of the place in the picture, across and down each
    time_s: Sigma = 0.05  # between a frame and its pose
    ground_m: Sigma = 2.0  # of the ground's altitude where the leak is, its height above the ground included


class Standing(Strict):
    """A camera that does not move."""

    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]  # degrees, WGS84
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    altitude_m: Altitude  # above mean sea level, as ground_m
    heading_deg: Degrees  # of the optical axis, clockwise from north
    pitch_deg: Degrees  # of the optical axis above the horizon; -90 looks straight down
    roll_deg: Degrees = 0.0


class GeoSettings(Strict):
    """Where the pose of a camera's frames comes from, how its lens draws, and where the ground is."""

    poses: Annotated[str, Field(min_length=1)] | None = None  # see docs/geo.md
    fixed: Standing | None = None  # instead of poses
    start: AwareDatetime | Literal["images"] | None = None  # UTC of a recording's first frame; see docs/geo.md
    delay_s: Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)] = 0.0  # a frame's pose is so much later
    hfov_deg: Annotated[float, Field(gt=0, lt=180, allow_inf_nan=False)] | None = None  # None: what the poses say
    distortion: Annotated[tuple[float, ...], Field(max_length=8)] = ()  # k1, k2, p1, p2, k3 … as OpenCV's
    mount_deg: tuple[Degrees, Degrees, Degrees] = (0.0, 0.0, 0.0)  # heading, pitch, roll in the gimbal or airframe
    ground_m: Altitude | None = None  # altitude of the ground, above mean sea level; None: what the poses say
    max_gap_s: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 1.5  # between two poses that are joined
    max_range_m: Annotated[float, Field(gt=0, le=20_000, allow_inf_nan=False)] = 2000.0  # further away is no place
    merge_m: Metres = 10.0  # leaks closer than this are one incident, however well their places are known
    errors: PoseErrors = PoseErrors()

    @field_validator("distortion")
    @classmethod
    def _countable(cls, distortion: tuple[float, ...]) -> tuple[float, ...]:
        if len(distortion) not in (0, 4, 5, 8):
            raise ValueError("give 4, 5 or 8 coefficients, as OpenCV's calibration does")
        return distortion

    @model_validator(mode="after")
    def _complete(self) -> GeoSettings:
        if (self.poses is None) == (self.fixed is None):
            raise ValueError("give poses or fixed, one of them")
        if self.fixed is not None and (self.hfov_deg is None or self.ground_m is None):
            raise ValueError("a fixed camera needs hfov_deg and ground_m")
        return self

    @property
    def start_utc(self) -> float | None:
        """`start` in seconds since the epoch."""
        return self.start.timestamp() if isinstance(self.start, datetime) else None
