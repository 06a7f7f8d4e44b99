"""A camera that flies: where it looks in each frame, what its registration makes of that, and the window it sees.

A track is (T, 3, 3), float64: px of the view at each frame -> px of the view that hovers where the flight began. What
the device registers are the steps between frames, (T, 2, 3) float32: px of the PRESENT view -> px of the previous one,
as cv2.WARP_INVERSE_MAP wants it; the first step is the identity. Lengths are px of the view, times are frames.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from edge import motion
from edge.records import Array

Kind = Literal["still", "pan", "tilt", "orbit", "shake"]

SHAKE_RHO = 0.6  # what a gust's push leaves of itself in the next frame, in training
FEWEST, ALIKE, OFF = 16, 0.6, 1.0  # corners, their share that must agree, and px by which they may be off
JITTER_PX = (0.03, 0.15)  # of a registration in a textured scene, standard deviation
DRIFT_PX, DRIFT_RHO = 0.3, 0.97  # what errors add up to, and what a frame leaves of it: a registration to a keyframe
TWIST = 0.004  # rad of rotation error to each px of error
TEXTURE = 0.012  # mean gradient, 0..1 scale a px, below which registration gets worse…
WORST = 5.0  # …up to this many times


@dataclass(frozen=True, slots=True)
class Flight:
    """How a camera moves."""

    pan: float = 0.0  # px a frame, to the right and back
    tilt: float = 0.0  # the same, downwards
    room: tuple[float, float] = (np.inf, np.inf)  # px to either side at which it turns back, x and y
    orbit: float = 0.0  # rad a frame about the view's centre, to and fro within `swing`
    swing: float = np.inf  # rad
    climb: float = 0.0  # e-foldings of scale a frame, to and fro within `height`
    height: float = 0.3
    shake: float = 0.0  # rms length of the push from frame to frame, px
    rho: float = 0.0  # of one push, what the next frame still feels
    vibration: float = 0.0  # px, amplitude of the airframe's hum
    readout: float = 0.0  # of the time between frames, in which a rolling shutter reads its rows; 0: global shutter


FLIGHTS: dict[Kind, Flight] = {
    "still": Flight(),
    "pan": Flight(pan=2.0),
    "tilt": Flight(tilt=2.0),
    "orbit": Flight(orbit=np.deg2rad(0.5), swing=np.deg2rad(12.0)),
    "shake": Flight(shake=3.0),
}


def draw_flight(rng: np.random.Generator, size: tuple[int, int], pace: float = 1.0) -> Flight:
    """A random flight for a view of (height, width): hovering in the wind to sweeping; `pace` is the time between
    frames, in units of 1/15 s."""
    speed = 0.0 if rng.random() < 0.25 else float(np.exp(rng.uniform(np.log(0.1), np.log(5.0))))
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.choice([0.0, 0.5, 1.0, 1.5]) * np.pi
    reach = rng.uniform(0.1, 0.6)
    return Flight(
        pan=float(pace * speed * np.cos(angle)),
        tilt=float(pace * speed * np.sin(angle)),
        room=(reach * size[1], reach * size[0]),
        orbit=float(pace * rng.choice([0.0, 0.0, rng.normal(0, 0.006)])),
        swing=float(rng.uniform(0.1, 0.5)),
        climb=float(pace * rng.choice([0.0, 0.0, rng.normal(0, 0.004)])),
        shake=float(rng.choice([0.0, 0.2, np.exp(rng.uniform(np.log(0.2), np.log(4.0)))])),
        rho=float(rng.uniform(0, SHAKE_RHO)),
        vibration=float(rng.choice([0.0, 0.0, rng.uniform(0.1, 0.8)])),
        readout=float(rng.choice([0.0, 0.0, rng.uniform(0.1, 0.9)])),
    )


def track(rng: np.random.Generator, flight: Flight, size: tuple[int, int], frames: int, before: int = 0) -> Array:
    """Where the camera looks, (before + frames, 3, 3); frame `before` is in the middle of the pan's way."""
    times = np.arange(-before, frames, dtype=float)
    place = np.stack(
        [to_and_fro(flight.pan * times, flight.room[0]), to_and_fro(flight.tilt * times, flight.room[1])], axis=1
    )
    place = place + pushes(rng, flight, len(times)) + hum(rng, flight, times)
    angle = to_and_fro(flight.orbit * times, flight.swing)
    scale = np.exp(to_and_fro(flight.climb * times, flight.height))
    centre = (size[1] - 1) / 2, (size[0] - 1) / 2
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    matrices = np.tile(np.eye(3), (len(times), 1, 1))
    matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 0], matrices[:, 1, 1] = c, -s, s, c
    matrices[:, 0, 2] = place[:, 0] + centre[0] - c * centre[0] + s * centre[1]
    matrices[:, 1, 2] = place[:, 1] + centre[1] - s * centre[0] - c * centre[1]
    return matrices


def to_and_fro(way: Array, room: float) -> Array:
    """A way that turns back at +-`room`: a triangle of the same slope, 0 where the way is 0."""
    if not np.isfinite(room) or room <= 0:
        return way if room > 0 else np.zeros_like(way)
    return np.abs((way - room) % (4 * room) - 2 * room) - room


def pushes(rng: np.random.Generator, flight: Flight, count: int) -> Array:
    """(count, 2) px of shake, of rms length `flight.shake`, never out of the room."""
    if not flight.shake:
        return np.zeros((count, 2))
    kicks = rng.normal(0, flight.shake / np.sqrt(2), (count, 2))
    for t in range(1, count):
        kicks[t] = flight.rho * kicks[t - 1] + np.sqrt(1 - flight.rho**2) * kicks[t]
    return kicks.clip(-np.array(flight.room), np.array(flight.room))


def hum(rng: np.random.Generator, flight: Flight, times: Array) -> Array:
    """(T, 2) px: rotors turn many times a frame, so what is left of them is their beat with the frame rate."""
    if not flight.vibration:
        return np.zeros((len(times), 2))
    phase = rng.uniform(0, 2 * np.pi, 2) + rng.uniform(0, 2 * np.pi, 2) * times[:, None]
    return flight.vibration * np.sin(phase)


def steps(path: Array) -> Array:
    """(T, 2, 3) float32 of a track: present view -> previous view."""
    back = np.linalg.inv(path[:-1]) @ path[1:]
    return np.concatenate((np.eye(3)[None], back))[:, :2].astype(np.float32)


def texture(image: Array) -> float:
    """Mean gradient of a picture (H, W) float32 0..1, a px, its noise smoothed away."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.5)
    return float(np.abs(np.diff(smooth, axis=0)).mean() + np.abs(np.diff(smooth, axis=1)).mean())


def misread(rng: np.random.Generator, path: Array, textured: float) -> Array:
    """The track as a registration reports it: off by some hundredths of a px from frame to frame and by some tenths in
    the long run, by more where there is little texture to hold on to."""
    worse = float(np.clip(TEXTURE / max(textured, 1e-6), 1.0, WORST))
    jitter = worse * np.exp(rng.uniform(*np.log(JITTER_PX)))
    slow = worse * rng.uniform(0, DRIFT_PX) * np.sqrt(1 - DRIFT_RHO**2)
    error, drift = np.zeros((len(path), 3)), np.zeros(3)
    for t in range(len(path)):
        drift = DRIFT_RHO * drift + slow * rng.normal(size=3)
        error[t] = drift + jitter * rng.normal(size=3)
    off = np.tile(np.eye(3), (len(path), 1, 1))
    off[:, :2, 2] = error[:, :2]
    off[:, 1, 0], off[:, 0, 1] = (sign * TWIST * error[:, 2] for sign in (1, -1))
    return path @ off


def look(
    picture: Array, matrix: Array, size: tuple[int, int], *, nearest: bool = False, outside: int | None = None
) -> Array:
    """The window of (height, width) that `matrix`, window px -> picture px, cuts out of a picture; beyond its edges the
    picture is mirrored, or has the value `outside`."""
    border = cv2.BORDER_REFLECT if outside is None else cv2.BORDER_CONSTANT
    flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR)
    seen = cv2.warpAffine(picture, matrix[:2], size[::-1], flags=flags, borderMode=border, borderValue=outside or 0)
    return np.asarray(seen)


def rows_late(rng: np.random.Generator, flight: Flight, path: Array, rows: int) -> Array:
    """(T, rows, 2) px by which each row of a rolling shutter sees another place than the middle one."""
    late = flight.readout * (np.arange(rows) / rows - 0.5)
    pace = np.gradient(path[:, :2, 2], axis=0)
    bend = pace[:, None] * late[:, None]
    if flight.vibration:
        turns = rng.uniform(1, 6) * 2 * np.pi * np.arange(rows) / rows
        phase = rng.uniform(0, 2 * np.pi, (len(path), 2))
        bend = bend + flight.vibration * flight.readout * np.sin(turns[:, None] + phase[:, None])
    return bend.astype(np.float32)


def roll_rows(plane: Array, late: Array, *, nearest: bool = False) -> Array:
    """A picture (H, W) or (H, W, 3) as a rolling shutter reads it; `late` (H, 2) as `rows_late` gives it."""
    height, width = plane.shape[:2]
    x = np.arange(width, dtype=np.float32)[None] + late[:, :1]
    y = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None] + late[:, 1:], x.shape)
    kind = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return np.asarray(cv2.remap(plane, x, np.ascontiguousarray(y), kind, borderMode=cv2.BORDER_REPLICATE))


def registered(frames: Array) -> Array | None:
    """The track of a film (T, H, W) uint8 whose camera moves, measured; None where some frame cannot be registered."""
    path = [np.eye(3)]
    for before, after in itertools.pairwise(frames):
        corners = motion.spread_corners(after)
        if len(corners) < FEWEST:
            return None
        there, found = motion.track(after, before, corners)
        if found.sum() < FEWEST:
            return None
        step, agree = cv2.estimateAffinePartial2D(
            corners[found], there[found], method=cv2.RANSAC, ransacReprojThreshold=OFF
        )
        if step is None or agree.mean() < ALIKE:
            return None
        path.append(path[-1] @ np.vstack((step, (0, 0, 1))))
    return np.stack(path)
