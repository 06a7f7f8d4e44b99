"""A controlled release: one leak of known contrast, size and onset over a given view, seen by a given camera.

The renderer draws leaks, cameras and views at random, for training; here the plume is the same (`calibration.plume`)
but what decides whether it can be seen is set: its mean contrast over the background within its outline, the size of
that outline, when it opens, and a camera that stands still, shakes or pans. The same plume at another size is the same
plume at another distance: slower in px a second, and finer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from calibration.camera import Camera
from calibration.leak import draw_leak
from calibration.noise import NoiseBank
from calibration.plume import RIM, ramp, simulate
from edge.records import Array

Motion = Literal["still", "shake", "pan"]

DOMAIN = (160, 200)  # px in which the plume is simulated before it is brought to its size
CROSSING_S = (1.0, 3.0)  # the gas crosses the domain in so many seconds
OUTLINE = 0.3  # of the dense part's opacity: where the plume's outline runs
TRACE = 0.05  # the same: what still counts as touching the plume
MARGIN = 0.85  # share of the scene, each way, that the camera sees: room to shake and to pan
SHAKE_PX = 0.5  # standard deviation from frame to frame, px of the view: a mast in the wind
PAN_PX_S = 3.0  # px of the view a second: below what `edge.quality` calls moving


@dataclass(frozen=True, slots=True)
class Release:
    """What gas adds to a scene, in px of the scene; the leak opens at frame `onset`."""

    contrast: Array  # (T, H, W) float32, 0..1 scale, either sign
    opacity: Array  # (T, H, W) float32, 1: the dense part of the plume
    onset: int
    developed: int  # the frame from which on it has its size


def release(
    rng: np.random.Generator,
    bank: NoiseBank,
    scene: tuple[int, int],
    *,
    contrast: float,
    size: float,
    frames: int,
    onset: int,
    fps: float,
) -> Release:
    """A leak in a scene of (height, width) that a view of MARGIN of it shows.

    `contrast` is the mean within the outline over the frames in which the plume is developed, 0..1 scale; `size` is the
    mean area of the outline over the same frames as a share of the view. A plume too large for the view loses what lies
    outside of it.
    """
    depth, developed = _developed(rng, bank, frames, onset, fps)
    opacity = 1 - cv2.exp(-depth)
    late = opacity[developed:]
    opacity /= np.float32(max(float(np.quantile(late[late > 0.02 * late.max()], 0.9)), 1e-6))
    inside = opacity[developed:] > OUTLINE
    view = MARGIN**2 * scene[0] * scene[1]
    zoom = float(np.sqrt(size * view * len(inside) / max(int(inside.sum()), 1)))
    strength = contrast / max(float(opacity[developed:][inside].mean()), 1e-6)
    where = _placed(rng, inside.mean(axis=0), zoom, scene)
    blur = 0.5 * np.sqrt(max(zoom**-2 - 1, 0.0))  # or shrinking would skip px
    soft = (cv2.GaussianBlur(gas, (0, 0), blur) if blur > 0.3 else gas for gas in opacity)
    there = np.stack([cv2.warpAffine(gas, where, scene[::-1], flags=cv2.INTER_LINEAR) for gas in soft])
    return Release(np.float32(strength) * there, there, onset, developed)


def _developed(rng: np.random.Generator, bank: NoiseBank, frames: int, onset: int, fps: float) -> tuple[Array, int]:
    """Optical depth (T, h, w) of a random leak that opens at `onset`, zero at the rim; and when it is developed."""
    height, width = DOMAIN
    crossing = float(rng.uniform(*CROSSING_S)) * fps
    speed = max(DOMAIN) / crossing
    drawn = draw_leak(rng, DOMAIN, frames)
    leak = replace(
        drawn,
        x=width / 2 - 0.3 * width * np.cos(drawn.angle),  # upwind, so that the plume has the domain before it
        y=height / 2 - 0.3 * height * np.sin(drawn.angle),
        speed=speed,
        jet=speed * drawn.jet / drawn.speed,
        meander=min(drawn.meander, 0.3),
        pulsing=min(drawn.pulsing, 0.6),
        onset=float(onset),
    )
    depth, _ = simulate(rng, bank, leak, DOMAIN, frames)
    rim = np.minimum.outer(ramp(height, RIM), ramp(width, RIM))
    return depth * rim, min(onset + int(0.8 * crossing), frames - 1)


def _placed(rng: np.random.Generator, inside: Array, zoom: float, scene: tuple[int, int]) -> Array:
    """The matrix from the domain to the scene that puts the plume, where it fits, wholly into the view."""
    ys, xs = np.nonzero(inside > 0.1)
    if not len(xs):
        ys, xs = np.nonzero(inside >= inside.max())
    at = []
    for cells, length in ((xs, scene[1]), (ys, scene[0])):
        low, high = zoom * float(cells.min()), zoom * float(cells.max() + 1)
        room = MARGIN * length - (high - low)
        first = (1 - MARGIN) / 2 * length + (float(rng.uniform(0, room)) if room > 0 else room / 2)
        at.append(first - low)
    return np.array([[zoom, 0, at[0]], [0, zoom, at[1]]])


def path(rng: np.random.Generator, motion: Motion, frames: int, fps: float) -> Array:
    """(T, 2) where the view's centre is, px from the scene's centre, x and y."""
    if motion == "shake":
        return rng.normal(0, SHAKE_PX, (frames, 2))
    if motion == "pan":
        angle = rng.uniform(0, 2 * np.pi)
        travel = PAN_PX_S / fps * (np.arange(frames) - frames / 2)
        return travel[:, None] * np.array([[np.cos(angle), np.sin(angle)]])
    return np.zeros((frames, 2))


def plain_camera(rng: np.random.Generator, bank: NoiseBank, size: tuple[int, int], noise: float) -> Camera:
    """A camera that adds noise (temporal sigma, 0..1 scale), a fixed pattern of half of that, and nothing else."""
    camera = Camera(rng, bank, size)
    camera.gain, camera.offset, camera.inverted = 1.0, 0.0, False
    camera.noise, camera.rows = noise, 0.0
    camera.pattern = (0.5 * noise * rng.standard_normal(size)).astype(np.float32)
    camera.shake, camera.lens, camera.halo, camera.quality, camera.dead_zone = 0.0, 0.0, 0.0, 0, 0.0
    return camera


def film(
    scene: Iterable[Array], gas: Release | None, track: Array, camera: Camera, view: tuple[int, int]
) -> Iterator[tuple[Array, Array]]:
    """Frames (h, w) uint8 of a camera that follows `track`, and the opacity (h, w) of the gas in each of them.

    `scene` gives (H, W) float32 0..1, larger than the view of (height, width) by 1 / MARGIN.
    """
    for t, (levels, (dx, dy)) in enumerate(zip(scene, track, strict=False)):
        left, top = ((whole - part) / 2 for whole, part in zip(levels.shape[::-1], view[::-1], strict=True))
        window = np.array([[1, 0, left + dx], [0, 1, top + dy]])
        lit = levels if gas is None else levels + gas.contrast[t]
        shown = camera.disturb(_window(lit, window, view))
        opacity = np.zeros(view, np.float32) if gas is None else _window(gas.opacity[t], window, view)
        yield np.rint(255 * shown).clip(0, 255).astype(np.uint8), opacity


def _window(plane: Array, window: Array, view: tuple[int, int]) -> Array:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(plane, window, view[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE))


def scene_size(view: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the scene that a view of this size looks into."""
    return round(view[0] / MARGIN), round(view[1] / MARGIN)


def fitted(image: Array, scene: tuple[int, int]) -> Array:
    """The middle of a picture (uint8), brought to the scene's size undistorted; float32 0..1."""
    height, width = image.shape[:2]
    zoom = max(scene[0] / height, scene[1] / width)
    left, top = (width - scene[1] / zoom) / 2, (height - scene[0] / zoom) / 2
    return _window(grey(image), np.array([[1 / zoom, 0, left], [0, 1 / zoom, top]]), scene)


def grey(image: Array) -> Array:
    """A frame as cameras give it, grey or BGR, uint8, as float32 0..1."""
    plane = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return plane.astype(np.float32) / np.float32(255)
