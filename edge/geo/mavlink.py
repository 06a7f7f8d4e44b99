"""Poses from MAVLink: a ground station's log (.tlog), a UDP port or a serial line.

Read are GLOBAL_POSITION_INT, ATTITUDE, GIMBAL_DEVICE_ATTITUDE_STATUS, CAMERA_IMAGE_CAPTURED and CAMERA_FOV_STATUS, of
the vehicle whose position is heard first. Each sender stamps its messages with the time since its own start; the least
delay between stamp and arrival puts them on the clock of the arrivals, as for frames (`edge.capture.clock`): this
machine's monotonic one, or of a log the UTC that its recorder wrote.

A gimbal's roll and pitch are against the horizon, its heading against north or, by its flags, the vehicle's heading.
Without a gimbal's messages the camera is fixed to the airframe. The ground is where the vehicle took off.
"""

from __future__ import annotations

import math
import os
import threading
import time
from pathlib import Path
from typing import Any

from edge.capture.clock import StreamClock
from edge.errors import ConfigError, SourceError
from edge.geo.pose import euler, quaternion
from edge.geo.track import Fix, Pointing, Track

KINDS = [
    "GLOBAL_POSITION_INT",
    "ATTITUDE",
    "GIMBAL_DEVICE_ATTITUDE_STATUS",
    "CAMERA_IMAGE_CAPTURED",
    "CAMERA_FOV_STATUS",
]
YAW_LOCK, VEHICLE_FRAME, EARTH_FRAME = 16, 32, 64  # GIMBAL_DEVICE_FLAGS
BAUD = 57_600
WAIT_S = 0.5  # for one message, before we look whether to stop


class Intake:
    """Messages into a track."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self._clocks: dict[tuple[int, str], StreamClock] = {}
        self._vehicle: int | None = None  # system id
        self._take = {
            "GLOBAL_POSITION_INT": self._position,
            "ATTITUDE": self._attitude,
            "GIMBAL_DEVICE_ATTITUDE_STATUS": self._gimbal,
            "CAMERA_IMAGE_CAPTURED": self._captured,
            "CAMERA_FOV_STATUS": self._field_of_view,
        }

    def take(self, message: Any, arrived: float) -> None:
        """One message of `KINDS`; `arrived` in seconds."""
        kind, system = message.get_type(), message.get_srcSystem()
        if self._vehicle is None and kind == "GLOBAL_POSITION_INT":
            self._vehicle = system
        if system != self._vehicle:
            return
        clock = self._clocks.setdefault((message.get_srcComponent(), kind), StreamClock())
        at = clock.step(message.time_boot_ms / 1000.0, arrived)
        try:
            self._take[kind](at, message)
        except ValueError:
            self._track.faults += 1

    def _position(self, at: float, message: Any) -> None:
        if message.lat == message.lon == 0:
            raise ValueError("no fix yet")
        altitude, above = message.alt / 1000.0, message.relative_alt / 1000.0
        self._track.fix(at, Fix(message.lat / 1e7, message.lon / 1e7, altitude, altitude - above))

    def _attitude(self, at: float, message: Any) -> None:
        if not math.isfinite(message.yaw + message.pitch + message.roll):
            raise ValueError("no attitude")
        self._track.attitude(at, euler(message.yaw, message.pitch, message.roll))

    def _gimbal(self, at: float, message: Any) -> None:
        flags = message.flags
        earth = flags & EARTH_FRAME or (flags & YAW_LOCK and not flags & VEHICLE_FRAME)
        self._track.pointing(at, Pointing(quaternion(*message.q), relative=not earth))

    def _captured(self, at: float, message: Any) -> None:
        if message.capture_result == 1:
            self._track.shots.append(at)

    def _field_of_view(self, at: float, message: Any) -> None:
        if not 0 < message.hfov < 180:  # also of NaN
            raise ValueError("no field of view")
        self._track.zoomed(at, message.hfov)


def read(path: Path, track: Track) -> None:
    """All of a log, on the clock that wrote it, in UTC. Raises SourceError."""
    if not path.is_file():
        raise SourceError(f"{path}: no such log; see geo.poses")
    link = library().mavlink_connection(str(path), dialect="ardupilotmega")
    intake = Intake(track)
    while (message := link.recv_match(type=KINDS)) is not None:
        intake.take(message, message._timestamp)
    link.close()
    track.epoch = 0.0
    if track.begins is None:
        raise SourceError(f"{path}: no position (GLOBAL_POSITION_INT) in it; is it a MAVLink log (.tlog)?")


def listen(address: str, track: Track, stop: threading.Event) -> None:
    """Messages as they come, on this machine's monotonic clock, until `stop`; `address` is udpin:HOST:PORT and the
    like, or DEVICE[,BAUD]. Raises SourceError where nothing can be opened there."""
    device, _, baud = address.partition(",")
    try:
        link = library().mavlink_connection(device, baud=int(baud or BAUD), dialect="ardupilotmega")
    except (OSError, ValueError) as error:
        raise SourceError(f"mavlink:{address}: cannot be opened: {error}; see geo.poses") from error
    intake = Intake(track)
    try:
        while not stop.is_set():
            message = link.recv_match(type=KINDS, blocking=True, timeout=WAIT_S)
            if message is not None:
                intake.take(message, time.monotonic())
    except OSError as error:
        raise SourceError(f"mavlink:{address}: {error}; check the line") from error
    finally:
        link.close()


def library() -> Any:
    """What reads them. Raises ConfigError where it is not installed."""
    os.environ.setdefault("MAVLINK20", "1")  # gimbal and camera messages have numbers that MAVLink 1 cannot carry
    try:
        from pymavlink import mavutil
    except ImportError as error:
        raise ConfigError("poses from MAVLink need pymavlink: pip install 'fgstp-edge[geo]'") from error
    return mavutil
