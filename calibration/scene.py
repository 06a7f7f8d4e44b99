"""Procedural scenes, for where no footage is at hand, and what of any scene stirs in place.

Grey levels are float32, 0..1.
"""

from __future__ import annotations

import cv2
import numpy as np

from calibration.noise import NoiseBank
from calibration.view import View
from edge.records import Array


def procedural(rng: np.random.Generator, bank: NoiseBank, size: tuple[int, int], frames: int, earlier: int = 3) -> View:
    """Sky with or without drifting cloud, ground, tanks, stacks and pipes; pure arithmetic, free of any footage."""
    height, width = size
    yy = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    sky = rng.uniform(0.02, 0.4) + rng.uniform(-0.1, 0.35) * yy**2 + np.zeros(size, np.float32)
    still = sky.copy()
    if rng.random() < 0.6:
        horizon = rng.uniform(0.4, 0.95)
        ground = rng.uniform(0.15, 0.7) + rng.uniform(0.02, 0.12) * bank.still(rng, size, rng.uniform(0.5, 3))
        edge = horizon * height + 4 * bank.still(rng, (1, width), 2.0)
        land = (np.arange(height)[:, None] > edge).astype(np.float32)
        still = still * (1 - land) + ground * land
    solid = np.zeros(size, np.float32)
    for _ in range(rng.integers(0, 8)):
        structure(rng, still, solid)
    total = frames + earlier
    shown = [still] * total
    if rng.random() < 0.75:
        # cloud drifts behind whatever stands on the ground
        times = np.concatenate([np.sort(rng.uniform(-60, -5, earlier)), np.arange(frames)])
        strength, cover = np.float32(rng.uniform(0.02, 0.25)), np.float32(rng.uniform(-0.5, 1.5))
        open_sky = strength * (1 - solid) * (still == sky)
        shown = [still + open_sky * np.maximum(c - cover, 0) for c in clouds(rng, bank, size, times)]
    stack = np.stack(shown).clip(0, 1).astype(np.float32)
    return View(stack[earlier:], stack[:earlier])


def clouds(rng: np.random.Generator, bank: NoiseBank, size: tuple[int, int], times: Array) -> list[Array]:
    """Billows to wisps at `times` (frames): two layers that drift each its own way and wax as the other wanes, so that
    shapes form and dissolve, as in a time-lapse of a sky."""
    speed, angle = rng.choice([0.0, 0.03, 0.1, 0.3, 0.6]), rng.uniform(0, 2 * np.pi)
    zoom = np.exp(rng.uniform(np.log(0.4), np.log(2.5)))
    layers = []
    for turn, share in ((0.0, 1.0), (rng.normal(0, 0.5), rng.uniform(0.5, 1.2))):
        drift = share * speed * np.array([[np.cos(angle + turn), np.sin(angle + turn)]])
        layers.append(bank.drifting(rng, size, times[:, None] * drift, zoom))
    phase = rng.uniform(0, 2 * np.pi) + rng.choice([0.0, 0.002, 0.005, 0.012]) * times
    mix = np.stack((np.cos(phase), np.sin(phase)), axis=1).astype(np.float32)
    return [a * one + b * other for (a, b), one, other in zip(mix, *layers, strict=True)]


def structure(rng: np.random.Generator, image: Array, solid: Array) -> None:
    """Draw a tank, a stack, a box or a pipe into `image`, its silhouette into `solid`."""
    height, width = image.shape
    grey = float(rng.uniform(0.05, 1.0))
    x, y = int(rng.integers(0, width)), int(rng.integers(height // 3, height))
    if rng.random() < 0.6:
        w, h = int(rng.integers(3, max(4, width // 5))), int(rng.integers(5, height // 2))
        top = max(0, y - h)
        profile = np.cos(np.linspace(-1.2, 1.2, w, dtype=np.float32)) if rng.random() < 0.6 else np.ones(w, np.float32)
        part = image[top:y, x : x + w]
        part[:] = (grey * profile)[None, : part.shape[1]]
        solid[top:y, x : x + w] = 1.0
    else:
        end = (int(rng.integers(0, width)), y + int(rng.integers(-3, 4)))
        thick = int(rng.integers(1, 6))
        cv2.line(image, (x, y), end, grey, thick)
        cv2.line(solid, (x, y), end, 1.0, thick)


def sway(rng: np.random.Generator, bank: NoiseBank, scene: Array, past: Array) -> tuple[Array, Array]:
    """Parts of the scene that move in place: foliage in the wind, a flag, a person's limbs, air over something hot.

    Each part is shifted to and fro by some tenths of a pixel to a few pixels; its texture stays, which gas would veil.
    """
    frames, height, width = scene.shape
    yy, xx = np.mgrid[:height, :width].astype(np.float32)
    parts, paths = [], []
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        rx, ry = rng.uniform(0.04, 0.35, 2) * (width, height)
        part = cv2.exp(
            -((((xx - np.float32(x)) / np.float32(rx)) ** 2 + ((yy - np.float32(y)) / np.float32(ry)) ** 2) ** 2)
        )
        if rng.random() < 0.5:  # not all of it alike
            part = part * bank.still(rng, (height, width), rng.uniform(0.2, 1.0))
        strength, angle = np.exp(rng.uniform(np.log(0.2), np.log(3.0))), rng.uniform(0, 2 * np.pi)
        phase = rng.uniform(0, 2 * np.pi, 2) + rng.uniform(0.1, 1.5, 2) * np.arange(frames + 1)[:, None]
        swing = np.sin(phase[:, 0]) + 0.5 * np.sin(phase[:, 1]) + rng.normal(0, 0.3, frames + 1)
        parts.append(part)
        paths.append(strength * swing[:, None] * np.array([np.cos(angle), np.sin(angle)]))
    moved = []
    for t, image in enumerate((*scene, past)):
        dx, dy = (
            sum((np.float32(p[t, i]) * part for p, part in zip(paths, parts, strict=True)), np.float32(0))
            for i in (0, 1)
        )
        moved.append(cv2.remap(image, xx + dx, yy + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return np.stack(moved[:-1]), moved[-1]


def creep(rng: np.random.Generator, bank: NoiseBank, past: Array) -> Array:
    """The past with its parts shifted by up to some pixels: cloud and shadows have drifted on since, slower than any
    lag would show; a mast has sagged."""
    size = past.shape
    yy, xx = np.mgrid[: size[0], : size[1]].astype(np.float32)
    strength, zoom = np.exp(rng.uniform(np.log(0.3), np.log(5.0))), rng.uniform(0.5, 4.0)
    dx, dy = (np.float32(strength) * (bank.still(rng, size, zoom) + np.float32(rng.normal())) for _ in range(2))
    return cv2.remap(past, xx + dx, yy + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
