"""What is fixed to the ground, as a moving camera sees it; what can be known of gas over ground that comes and goes.

Tracks are those of `calibration.flight`: px of the view at each frame -> px of the hovering view.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from calibration.flight import look
from calibration.movers import Mover
from edge.records import Array

SHRINK = 4  # evidence is gathered near a place, so a coarse map of the ground will do…
NEAR = 3  # px of that map across which something counts as near
GROUND = 3  # …with so many times the sides of the view


def carried(thing: Mover, track: Array) -> Mover:
    """A mover whose way is one over the ground of the hovering view."""
    size = thing.past.shape
    return Mover(
        np.stack([look(one, at, size, outside=0) for one, at in zip(thing.opacity, track, strict=True)]),
        np.stack([look(one, at, size) for one, at in zip(thing.grey, track, strict=True)]),
        look(thing.past, track[0], size, outside=0),
    )


def evidence(change: Array, known: Array, track: Array) -> Array:
    """(T, H, W) float32: by how much the gas near each place of the ground ever differs from what is `known` of it:
    what the background holds (H, W) of the ground in the first view, the first look at the rest."""
    height, width = change.shape[1:]
    coarse = (height // SHRINK, width // SHRINK)
    ground = (GROUND * coarse[0], GROUND * coarse[1])
    first, most = np.zeros(ground, np.float32), np.zeros(ground, np.float32)
    seen = np.zeros(ground, bool)
    places = [on_ground(matrix, coarse) for matrix in track]
    for plane, place in zip((known, *change), (places[0], *places), strict=True):
        small = cv2.resize(plane, coarse[::-1], interpolation=cv2.INTER_AREA)
        onto = np.linalg.inv(place)
        there = look(small, onto, ground, outside=0)
        inside = look(np.ones(coarse, np.uint8), onto, ground, nearest=True, outside=0) > 0
        np.copyto(first, there, where=inside & ~seen)
        seen |= inside
        np.maximum(most, np.abs(there - first), out=most, where=inside)
    near = cv2.dilate(most, np.ones((NEAR, NEAR), np.uint8))
    shown = (look(near, place, coarse, outside=0) for place in places)
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in shown])


def on_ground(matrix: Array, coarse: tuple[int, int]) -> Array:
    """From px of a coarse view (height, width) to px of the coarse map around the hovering view."""
    half = (SHRINK - 1) / 2
    fine = np.array([[SHRINK, 0, half], [0, SHRINK, half], [0, 0, 1.0]])
    aside = (GROUND - 1) / 2 * np.array([[0, 0, coarse[1]], [0, 0, coarse[0]], [0, 0, 0]])
    return np.linalg.inv(fine) @ matrix @ fine + aside


def born(track: Array, size: tuple[int, int]) -> Array:
    """(T, H, W) bool: ground that the previous frame did not show."""
    whole = np.ones(size, np.uint8)
    new = np.zeros((len(track), *size), bool)
    for t, (before, now) in enumerate(itertools.pairwise(track), 1):
        new[t] = look(whole, np.linalg.inv(before) @ now, size, nearest=True, outside=0) == 0
    return new
