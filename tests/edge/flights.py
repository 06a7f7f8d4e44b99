"""Simulated flights past a leak, with every error that a place is computed under, and the MAVLink log of them.

The way from the leak to its pixel is computed here by projection with vectors and quaternions, so that nothing is
shared with the code under test, which casts rays with matrices.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pymap3d

os.environ.setdefault("MAVLINK20", "1")
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from edge.vantage import PoseErrors

SIZE, HFOV = (640, 512), 24.0
GROUND_M = 412.0
HOME = (47.3769, 8.5417)  # degrees
UTC = 1_790_000_000.0
APART_S = 12.0  # from one pass to the next, with no messages in between


@dataclass(frozen=True, slots=True)
class Pass:
    """One flight past one leak."""

    at: float  # UTC of the sighting
    leak: tuple[float, float]  # latitude, longitude
    pixel: tuple[float, float]  # where it is seen
    depression: float  # degrees below the horizon


Quaternion = tuple[float, float, float, float]  # w, x, y, z


def times(p: Quaternion, q: Quaternion) -> Quaternion:
    """Hamilton's product: the rotation by `q`, then by `p`."""
    return (
        p[0] * q[0] - p[1] * q[1] - p[2] * q[2] - p[3] * q[3],
        p[0] * q[1] + p[1] * q[0] + p[2] * q[3] - p[3] * q[2],
        p[0] * q[2] - p[1] * q[3] + p[2] * q[0] + p[3] * q[1],
        p[0] * q[3] + p[1] * q[2] - p[2] * q[1] + p[3] * q[0],
    )


def back(q: Quaternion) -> Quaternion:
    return q[0], -q[1], -q[2], -q[3]


def rotated(q: Quaternion, v: np.ndarray) -> np.ndarray:
    return np.array(times(times(q, (0.0, *v)), back(q))[1:])


def euler(heading: float, pitch: float, roll: float) -> Quaternion:
    yaw, up, bank = (small(np.array(v)) for v in ([0, 0, heading], [0, pitch, 0], [roll, 0, 0]))
    return times(times(yaw, up), bank)


def small(vector: np.ndarray) -> Quaternion:
    """The rotation about a vector by its length."""
    angle = float(np.linalg.norm(vector)) or 1e-12
    x, y, z = math.sin(angle / 2) / angle * vector
    return math.cos(angle / 2), float(x), float(y), float(z)


class Flights:
    """`passes` of them one after another, each with errors of its own, in one log."""

    def __init__(self, path: Path, passes: int, errors: PoseErrors, seed: int = 7) -> None:
        self._random, self._errors = np.random.default_rng(seed), errors
        self._mav = mavlink.MAVLink(None, srcSystem=1, srcComponent=1)
        with path.open("wb") as self._log:
            self.passes = [self._pass(number) for number in range(passes)]

    def _pass(self, number: int) -> Pass:
        random, e = self._random, self._errors
        leak = np.array([*random.uniform(-300, 300, 2), 0.0])  # NED about HOME on the ground
        height, course, speed = random.uniform(40, 90), random.uniform(-math.pi, math.pi), random.uniform(0, 8)
        depression = math.radians(random.uniform(25, 80))
        away = height / math.tan(depression)
        bearing = random.uniform(-math.pi, math.pi)  # from the leak to the camera
        middle = leak + np.array([away * math.cos(bearing), away * math.sin(bearing), -height])
        velocity = speed * np.array([math.cos(course), math.sin(course), 0.0])
        # the camera looks near the leak and turns with it
        toward, spin = bearing + math.pi + random.normal(0, 0.06), random.uniform(-0.15, 0.15)
        tilt = -depression + random.normal(0, 0.04)
        relative = bool(number % 2)  # the gimbal tells its heading in the vehicle's frame
        sway = random.uniform(-0.1, 0.1, 3)
        # what is wrong in this pass, the same throughout
        shift = random.normal(0, [e.horizontal_m, e.horizontal_m, e.vertical_m])
        level = small(np.radians([*random.normal(0, e.tilt_deg, 2), 0.0]))
        north = math.radians(random.normal(0, e.heading_deg))
        bore = small(np.radians(random.normal(0, e.boresight_deg, 3)))
        focal = SIZE[0] / 2 / math.tan(math.radians(HFOV) / 2) * (1 + random.normal(0, e.focal_share))
        late = random.normal(0, e.time_s)
        leak[2] = random.normal(0, e.ground_m)
        at = number * APART_S + 6.0

        def camera(t: float) -> tuple[np.ndarray, np.ndarray]:
            return middle + velocity * (t - at), euler(toward + spin * (t - at), tilt, 0.0)

        told = at + np.arange(-1.5, 1.5, 0.25)
        where = pymap3d.ned2geodetic(*np.array([camera(t)[0] + shift for t in told]).T, *HOME, GROUND_M)
        for t, *place in zip(told, *where, strict=True):
            self._say(t, _position(t, place))
            looks = camera(t)[1]
            heading = course + 0.05 * math.sin(2 * t)
            self._say(t, _attitude(t, heading + north, *(sway[:2] * math.sin(t))))
            # tilt is an error of the gimbal's own vertical; heading comes from the vehicle
            seen = times(euler(north, 0, 0), times(level, looks))
            if relative:
                seen = times(euler(-(heading + north), 0, 0), seen)
            self._say(t, _gimbal(t, seen, relative))
        place, looks = camera(at + late)
        straight = rotated(back(times(looks, bore)), leak - place)  # forward, right, down
        pixel = np.array(SIZE) / 2 + focal * straight[1:] / straight[0] + random.normal(0, e.pixel_px, 2)
        latitude, longitude, _ = pymap3d.ned2geodetic(*leak, *HOME, GROUND_M)
        return Pass(UTC + at, (latitude, longitude), tuple(pixel), math.degrees(depression))

    def _say(self, t: float, message: mavlink.MAVLink_message) -> None:
        """As a ground station records it: eight bytes of UTC when it arrived, then the message."""
        arrived = UTC + t + self._random.exponential(0.01)
        self._log.write(struct.pack(">Q", round(arrived * 1e6)) + message.pack(self._mav))


def _position(t: float, place: list[float]) -> mavlink.MAVLink_message:
    latitude, longitude, altitude = place
    above = round((altitude - GROUND_M) * 1000)
    where = round(latitude * 1e7), round(longitude * 1e7), round(altitude * 1000), above
    return mavlink.MAVLink_global_position_int_message(_ms(t), *where, 0, 0, 0, 0)


def _attitude(t: float, heading: float, pitch: float, roll: float) -> mavlink.MAVLink_message:
    return mavlink.MAVLink_attitude_message(_ms(t), roll, pitch, _wrapped(heading), 0, 0, 0)


def _gimbal(t: float, q: Quaternion, relative: bool) -> mavlink.MAVLink_message:
    flags = 4 | 8 | (32 if relative else 64)  # roll and pitch against the horizon
    return mavlink.MAVLink_gimbal_device_attitude_status_message(
        0, 0, _ms(t), flags, list(q), 0, 0, 0, 0, float("nan"), float("nan"), 0
    )


def _ms(t: float) -> int:
    return round(1000 * (t + 30.0))  # the autopilot was started half a minute before


def _wrapped(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi
