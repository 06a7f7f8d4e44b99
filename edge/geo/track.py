"""A camera's pose at any time, from what was told at other times: positions, attitudes, where the gimbal points.

Each comes at its own rate; between two of one kind positions go straight and attitudes turn about one axis. Nothing is
guessed across a gap, nor beyond the first and the last but for the moment that a live track is given. May be added to
from one thread and asked from another.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from edge.geo.pose import CAMERA_IN_BODY, Pose, euler, heading_of, turned, turning
from edge.records import Array

STALE_S = 5.0  # a sample that is older than its predecessor by more than this: the sender's clock has been set back


@dataclass(frozen=True, slots=True)
class Fix:
    """Where the vehicle is."""

    latitude: float  # degrees
    longitude: float
    altitude: float  # m above mean sea level
    ground: float | None  # altitude of the ground, m


@dataclass(frozen=True, slots=True)
class Pointing:
    """Where the gimbal, or whatever the camera is mounted in, points: a body's rotation."""

    rotation: Array  # (3, 3), to NED or, where `relative`, to NED turned by the vehicle's heading
    relative: bool


Kind = TypeVar("Kind")


class Series(Generic[Kind]):
    """Samples of one kind in the order of their times; the oldest go when there are more than `most`."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self.times: list[float] = []
        self.values: list[Kind] = []

    def add(self, at: float, value: Kind) -> None:
        """A sample that is not later than the last is left out; much older, it begins the series anew."""
        if self.times and at < self.times[-1] - STALE_S:
            self.times.clear()
            self.values.clear()
        if self.times and at <= self.times[-1]:
            return
        self.times.append(at)
        self.values.append(value)
        if self._most is not None and len(self.times) > 2 * self._most:  # seldom: deleting in front moves the rest
            del self.times[: -self._most], self.values[: -self._most]

    def around(self, at: float, max_gap: float, ahead: float) -> tuple[int, float] | None:
        """The index of the sample before `at` and the share of the way to the next one; None outside, or in a gap.
        Up to `ahead` after the last sample the share is above 1: as it went, it goes on."""
        index = min(bisect_right(self.times, at), len(self.times) - 1) - 1
        if index < 0 or not self.times[index] <= at <= self.times[-1] + ahead:
            return None
        gap = self.times[index + 1] - self.times[index]
        return (index, (at - self.times[index]) / gap) if gap <= max_gap else None


class Track:
    """What is known of one camera's way. Times in seconds, on one clock."""

    def __init__(
        self, mount_deg: tuple[float, float, float], max_gap: float, most: int | None = None, ahead: float = 0.0
    ) -> None:
        """`most` samples of each kind are kept; None: all. `ahead` of the last one, in seconds, a pose is still given:
        live, a frame is often computed before the next sample comes."""
        self._mount = euler(*np.radians(mount_deg)) @ CAMERA_IN_BODY
        self._reach = max_gap, ahead
        self._lock = threading.Lock()
        self._fixes: Series[Fix] = Series(most)
        self._vehicle: Series[Array] = Series(most)
        self._gimbal: Series[Pointing] = Series(most)
        self._hfov: Series[float] = Series(most)
        self.epoch: float | None = None  # UTC at time 0, where the samples told it
        self.shots: list[float] = []  # when single pictures were taken
        self.faults = 0  # messages that could not be used

    def fix(self, at: float, fix: Fix) -> None:
        """The vehicle's position."""
        with self._lock:
            self._fixes.add(at, fix)

    def attitude(self, at: float, rotation: Array) -> None:
        """The airframe's, to NED."""
        with self._lock:
            self._vehicle.add(at, rotation)

    def pointing(self, at: float, pointing: Pointing) -> None:
        """The gimbal's."""
        with self._lock:
            self._gimbal.add(at, pointing)

    def zoomed(self, at: float, hfov: float) -> None:
        """The camera's horizontal field of view, degrees."""
        with self._lock:
            self._hfov.add(at, hfov)

    @property
    def begins(self) -> float | None:
        """The first position's time."""
        return self._fixes.times[0] if self._fixes.times else None

    def at(self, time: float) -> Pose | None:
        """The camera's pose; None where it was not told close enough before and after."""
        with self._lock:
            found = self._fixes.around(time, *self._reach)
            looking = self._looking(time)
            if found is None or looking is None:
                return None
            index, share = found
            before, after = self._fixes.values[index], self._fixes.values[index + 1]
            elapsed = self._fixes.times[index + 1] - self._fixes.times[index]
            rotation, turn = looking
            return Pose(
                latitude=before.latitude + share * (after.latitude - before.latitude),
                longitude=before.longitude + share * _around_the_world(after.longitude - before.longitude),
                altitude=before.altitude + share * (after.altitude - before.altitude),
                rotation=rotation @ self._mount,
                velocity=_moved(before, after) / elapsed,
                turn=turn,
                ground=before.ground,
                hfov=self._zoom(time),
                utc=None if self.epoch is None else self.epoch + time,
            )

    def _looking(self, time: float) -> tuple[Array, Array] | None:
        """The rotation of what the camera is mounted in, and its turn: the gimbal's, or without one the airframe's."""
        if not self._gimbal.times:
            return self._flown(time)
        found = self._gimbal.around(time, *self._reach)
        if found is None:
            return None
        index, share = found
        first, second = self._to_ned(index), self._to_ned(index + 1)
        if first is None or second is None:
            return None
        return _between(first, second, share, self._gimbal.times[index + 1] - self._gimbal.times[index])

    def _flown(self, time: float) -> tuple[Array, Array] | None:
        """The airframe's rotation and turn."""
        found = self._vehicle.around(time, *self._reach)
        if found is None:
            return None
        index, share = found
        first, second = self._vehicle.values[index : index + 2]
        return _between(first, second, share, self._vehicle.times[index + 1] - self._vehicle.times[index])

    def _to_ned(self, index: int) -> Array | None:
        pointing = self._gimbal.values[index]
        if not pointing.relative:
            return pointing.rotation
        vehicle = self._flown(self._gimbal.times[index])
        return None if vehicle is None else euler(heading_of(vehicle[0]), 0.0, 0.0) @ pointing.rotation

    def _zoom(self, time: float) -> float | None:
        """The last that was said: a camera says it when it changes."""
        index = bisect_right(self._hfov.times, time) - 1
        return self._hfov.values[index] if index >= 0 else None


def _between(first: Array, second: Array, share: float, elapsed: float) -> tuple[Array, Array]:
    """The rotation at a share of the way from the first to the second, and the turn of a second."""
    way = turning(first, second)
    return turned(share * way) @ first, way / elapsed


def _moved(before: Fix, after: Fix) -> Array:
    """Metres north, east, down, on a sphere: good to half a percent, for speeds."""
    north = np.radians(after.latitude - before.latitude) * 6_371_000
    east = np.radians(_around_the_world(after.longitude - before.longitude)) * 6_371_000
    return np.array([north, east * np.cos(np.radians(before.latitude)), before.altitude - after.altitude])


def _around_the_world(degrees: float) -> float:
    """A difference of longitudes by the shorter way."""
    return (degrees + 180.0) % 360.0 - 180.0
