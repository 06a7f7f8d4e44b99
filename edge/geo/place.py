"""A pixel's place on the ground, with the ellipse that holds the true one in 95 of 100 cases.

The ground is a level plane at a given altitude in the camera's local tangent frame: over the 2 km that are allowed by
default the earth falls 0.3 m below it. A plume is taken to rise from this plane; gas that is seen h metres above it
appears h / tan(angle below the horizon) too far away, which the standard deviation of the ground's altitude must cover.

Modelled errors (`PoseErrors`): the camera's position and altitude, the vertical and the heading of its attitude, its
boresight, focal length, the pixel, the time between frame and pose (through speed and turn rate) and the ground's
altitude; independent and normal. Not modelled: terrain, the geoid's slope, errors of the distortion, interpolation
between poses. Fourteen errors, one at a time, go through the geometry by plus and minus sqrt(3) standard deviations
(second-order divided differences, Norgaard, Poulsen, Ravn 2000): linear propagation understates rays that graze the
ground. Where one of them no longer meets the ground within reach, there is no place rather than a bad one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.errors import ConfigError
from edge.geo.pose import Lens, Pose, turned
from edge.records import Array, Location, Point
from edge.vantage import PoseErrors

INSIDE_95 = 5.991  # chi-squared with two degrees of freedom: squared Mahalanobis radius of the 95 % ellipse
STEP_SQUARED = 3.0  # of a normal distribution: the kurtosis


@dataclass(frozen=True, slots=True)
class Ground:
    """Where rays end."""

    altitude: float  # m above mean sea level
    reach: float  # m from the camera; what is further away has no place


def locate(
    pose: Pose, lens: Lens, pixel: Point, outline: Sequence[Point], ground: Ground, errors: PoseErrors
) -> Location | None:
    """Where `pixel` lies on the ground; None where it is above the horizon, out of reach or not to be told."""
    found = spread(pose, lens, pixel, ground, errors)
    if found is None:
        return None
    where, covariance = found
    major, minor, azimuth = ellipse(covariance)
    corners = [hit(pose, lens, corner, ground) for corner in outline]
    whole = [corner for corner in corners if corner is not None]
    (latitude, longitude), *rest = geodetic(pose, [where, *(whole if len(whole) == len(corners) else [])], ground)
    return Location(
        latitude=latitude,
        longitude=longitude,
        altitude=ground.altitude,
        major_m=major,
        minor_m=minor,
        azimuth=azimuth,
        outline=tuple((one[1], one[0]) for one in rest),
        camera=(pose.longitude, pose.latitude, pose.altitude),
        utc=pose.utc,
    )


def hit(pose: Pose, lens: Lens, pixel: Point, ground: Ground, error: Array | None = None) -> Array | None:
    """(north, east) in metres from the camera's foot; `error` (14,) in the order of `_sigmas`, none by default."""
    e = np.zeros(14) if error is None else error
    seconds = e[13]
    attitude = turned(e[3:6] + pose.turn * seconds) @ pose.rotation @ turned(e[6:9])
    ray = attitude @ lens.ray((pixel[0] + e[10], pixel[1] + e[11]), 1.0 + e[9])
    moved = e[0:3] + pose.velocity * seconds
    height = pose.altitude - moved[2] - ground.altitude + e[12]
    if height <= 0 or ray[2] <= 0 or (scale := height / ray[2]) * np.linalg.norm(ray) > ground.reach:
        return None
    reached: Array = moved[:2] + scale * ray[:2]
    return reached


def spread(pose: Pose, lens: Lens, pixel: Point, ground: Ground, errors: PoseErrors) -> tuple[Array, Array] | None:
    """(north, east) and its covariance (2, 2) about it, the bias of the second order included."""
    middle = hit(pose, lens, pixel, ground)
    if middle is None:
        return None
    covariance, bias = np.zeros((2, 2)), np.zeros(2)
    for index, sigma in enumerate(_sigmas(errors)):
        if not sigma:
            continue
        step = np.zeros(14)
        step[index] = math.sqrt(STEP_SQUARED) * sigma
        ahead, back = hit(pose, lens, pixel, ground, step), hit(pose, lens, pixel, ground, -step)
        if ahead is None or back is None:
            return None
        slope, bend = ahead - back, ahead + back - 2 * middle
        covariance += np.outer(slope, slope) / (4 * STEP_SQUARED)
        covariance += np.outer(bend, bend) * (STEP_SQUARED - 1) / (4 * STEP_SQUARED**2)
        bias += bend / (2 * STEP_SQUARED)
    return middle, covariance + np.outer(bias, bias)


def ellipse(covariance: Array) -> tuple[float, float, float]:
    """Semi-axes in metres, the larger first, and the azimuth of that one, degrees clockwise from north in [0, 180)."""
    values, vectors = np.linalg.eigh(covariance)
    minor, major = np.sqrt(INSIDE_95 * np.maximum(values, 0.0))
    north, east = vectors[:, 1]
    return float(major), float(minor), math.degrees(math.atan2(east, north)) % 180.0


def covariance_of(location: Location) -> Array:
    """What `ellipse` was made from."""
    along = np.array([math.cos(math.radians(location.azimuth)), math.sin(math.radians(location.azimuth))])
    across = np.array([-along[1], along[0]])
    made: Array = location.major_m**2 * np.outer(along, along) + location.minor_m**2 * np.outer(across, across)
    return made / INSIDE_95


def geodetic(pose: Pose, places: Sequence[Array], ground: Ground) -> list[tuple[float, float]]:
    """(latitude, longitude) of places (north, east) in metres from the camera's foot."""
    ned2geodetic = library().ned2geodetic
    north, east = np.array(places).T
    down = np.full(len(places), pose.altitude - ground.altitude)
    latitude, longitude, _ = ned2geodetic(north, east, down, pose.latitude, pose.longitude, pose.altitude)
    return [(float(lat), float(lon)) for lat, lon in zip(latitude, longitude, strict=True)]


def library() -> Any:
    """Geodesy. Raises ConfigError where it is not installed."""
    try:
        import pymap3d
    except ImportError as error:
        raise ConfigError("places on the map need pymap3d: pip install 'fgstp-edge[geo]'") from error
    return pymap3d


def _sigmas(errors: PoseErrors) -> tuple[float, ...]:
    """North, east, down; tilt about north and east, heading; boresight about the camera's axes; focal; pixel across and
    down; ground; time."""
    tilt, heading, bore = (math.radians(s) for s in (errors.tilt_deg, errors.heading_deg, errors.boresight_deg))
    return (
        *(errors.horizontal_m, errors.horizontal_m, errors.vertical_m),
        *(tilt, tilt, heading),
        *(bore, bore, bore),
        *(errors.focal_share, errors.pixel_px, errors.pixel_px),
        *(errors.ground_m, errors.time_s),
    )
