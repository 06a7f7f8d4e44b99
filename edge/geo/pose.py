"""Where a camera is and looks, and how its lens draws. Pure geometry.

Frames of reference: `NED` is north, east, down at the camera; the camera's own is x right, y down, z along the optical
axis; a body's (airframe, gimbal) is x forward, y right, z down. A rotation is a matrix (3, 3) that takes the second to
the first. Heading is clockwise from north, pitch upwards, roll right side down, applied in this order; radians here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge.records import Array, Point

EARTH_M = 6_371_000.0  # mean radius
CAMERA_IN_BODY = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # looks forward, x to the right


@dataclass(frozen=True, slots=True)
class Pose:
    """Of one camera at one time."""

    latitude: float  # degrees, WGS84
    longitude: float
    altitude: float  # m above mean sea level
    rotation: Array  # (3, 3), camera to NED
    velocity: Array  # (3,) m/s, NED
    turn: Array  # (3,) rad/s, the rotation vector of one second in NED
    ground: float | None  # altitude of the ground, m, where the source of the pose knows it
    hfov: float | None  # horizontal field of view, degrees, where it knows that
    utc: float | None = None  # where it knows that


@dataclass(frozen=True, slots=True)
class Lens:
    """A pinhole with, where they matter, OpenCV's distortion coefficients; square pixels, axis in the middle."""

    size: tuple[int, int]  # width, height of the picture, px
    focal: float  # px
    distortion: tuple[float, ...] = ()

    @classmethod
    def of(cls, size: tuple[int, int], hfov: float, distortion: tuple[float, ...] = ()) -> Lens:
        """From the horizontal field of view in degrees, that of the undistorted picture."""
        return cls(size, size[0] / 2 / math.tan(math.radians(hfov) / 2), distortion)

    def ray(self, pixel: Point, focal: float = 1.0) -> Array:
        """Direction (3,) in the camera's frame, z = 1; `focal` times the focal length."""
        across, down = (pixel[0] - self.size[0] / 2) / self.focal, (pixel[1] - self.size[1] / 2) / self.focal
        if self.distortion:
            seen = np.array([[[across, down]]])
            across, down = cv2.undistortPoints(seen, np.eye(3), np.array(self.distortion)).reshape(2)
        return np.array([across / focal, down / focal, 1.0])

    @property
    def matrix(self) -> Array:
        """(3, 3) from the camera's frame to px, the distortion left out."""
        return np.array([[self.focal, 0, self.size[0] / 2], [0, self.focal, self.size[1] / 2], [0, 0, 1]])


def euler(heading: float, pitch: float, roll: float) -> Array:
    """Body to NED."""
    ch, sh, cp, sp, cr, sr = (f(angle) for angle in (heading, pitch, roll) for f in (math.cos, math.sin))
    return np.array(
        [
            [ch * cp, ch * sp * sr - sh * cr, ch * sp * cr + sh * sr],
            [sh * cp, sh * sp * sr + ch * cr, sh * sp * cr - ch * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def heading_of(rotation: Array) -> float:
    """The heading of a body."""
    return math.atan2(rotation[1, 0], rotation[0, 0])


def quaternion(w: float, x: float, y: float, z: float) -> Array:
    """The rotation of a quaternion, which need not be of unit length. Raises ValueError where it has none."""
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    if not 0.5 < norm < 2.0:  # also of NaN, which MAVLink writes for "unknown"
        raise ValueError("a quaternion far from unit length")
    w, x, y, z = w / norm, x / norm, y / norm, z / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def turned(vector: Array) -> Array:
    """The rotation about a vector by its length."""
    made: Array = cv2.Rodrigues(np.asarray(vector, float))[0]
    return made


def turning(first: Array, second: Array) -> Array:
    """The rotation vector (3,), in NED, that takes the first of two rotations to the second."""
    vector: Array = cv2.Rodrigues(second @ first.T)[0].reshape(3)
    return vector


def motion(now: Pose, before: Pose, lens: Lens, ground: float | None) -> Array:
    """Homography (3, 3): px of a picture taken now -> px of one taken before, of level ground at this altitude (Hartley
    and Zisserman 2004, 13.1); None: of what is far away, by the turn alone. The lens's distortion is left out."""
    along = np.zeros((3, 3))
    if ground is not None and now.altitude > ground:
        along[:, 2] = way(before, now) / (now.altitude - ground)
    seen = before.rotation.T @ (np.eye(3) + along) @ now.rotation
    made = lens.matrix @ seen @ np.linalg.inv(lens.matrix)
    scaled: Array = made / made[2, 2]
    return scaled


def way(first: Pose, second: Pose) -> Array:
    """Metres (3,), NED, from one pose to another nearby, on a sphere: good to half a per cent."""
    north, east = math.radians(second.latitude - first.latitude), math.radians(second.longitude - first.longitude)
    level = math.cos(math.radians(first.latitude))
    return np.array([EARTH_M * north, EARTH_M * level * east, first.altitude - second.altitude])
