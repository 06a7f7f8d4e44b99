"""Rendered views for tests: a scene with structure, sensor noise, and what a camera may do to it."""

from __future__ import annotations

import cv2
import numpy as np

from edge.records import Array

HEIGHT, WIDTH = 240, 320


def scene(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Array:
    """A view (H, W) float32 in grey levels: soft clouds of structure, levels about 40 to 200."""
    rng = np.random.default_rng(seed)
    field = sum(
        cv2.resize(
            rng.normal(0, 1, (2**n + 2, 2**n + 2)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        / n
        for n in range(1, 7)
    )
    field = (field - field.mean()) / field.std()
    return np.clip(120 + 30 * field, 5, 250).astype(np.float32)


def shot(view: Array, seed: int, noise: float = 1.0) -> Array:
    """The view as an 8-bit camera with temporal noise (sigma in grey levels) sees it once."""
    return np.clip(np.rint(view + np.random.default_rng(seed).normal(0, noise, view.shape)), 0, 255).astype(np.uint8)


def shifted(view: Array, dx: float, dy: float) -> Array:
    """The view with its content moved right and down; what comes in at the rim is its mirror."""
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    return np.asarray(cv2.warpAffine(view, move, view.shape[::-1], borderMode=cv2.BORDER_REFLECT))


def plume(
    t: float, *, x: float = 60, y: float = 150, speed: float = 40, height: int = HEIGHT, width: int = WIDTH
) -> Array:
    """Optical depth 0..1 of a cone of gas from (x, y) to the right whose puffs travel at `speed` px/s."""
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    along = xx - x
    spread = 4 + 0.18 * np.maximum(along, 0)
    across = np.exp(-(((yy - y - 6 * np.sin((along - speed * t) / 25)) / spread) ** 2))
    puffs = 0.75 + 0.25 * np.sin((along - speed * t) / 9)
    return np.where(along > 0, across * puffs * np.exp(-np.maximum(along, 0) / 180), 0).astype(np.float32)


def person(view: Array, at: float) -> Array:
    """Somebody warm, 24 px wide and 90 px high, with the left side at x = `at`."""
    seen = view.copy()
    left, right = max(0, int(at)), max(0, int(at) + 24)
    seen[120:210, left:right] = 225
    return seen
