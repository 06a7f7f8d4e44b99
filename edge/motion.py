"""How far did the view shift between two pictures? Corners are tracked, and the largest group that moves alike counts.

Corners and not the picture as a whole: burnt-in text, a row pattern and whatever the camera follows stand still in the
picture of a camera that pans, and hold the peak of a phase correlation at zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge.records import Array

TILES = (3, 4)  # rows and columns; each has corners of its own, or sharp text would leave none for soft cloud
CORNERS = 6  # of each tile, at most
FEWEST = 12  # in all; fewer do not tell a view from an object
QUALITY, APART = 0.1, 5  # share of the best corner's strength, px between two
WINDOW, LEVELS = (11, 11), 3  # of the tracker, px and times that it halves the picture first
RETURN = 0.7  # px that a corner, tracked there and back, may be off
STILL = 0.3  # px that noise may move it by
ALIKE, ALIKE_SHARE = 0.6, 0.15  # px, and share of their length, by which the shifts of one group may differ
MIDDLE = 0.9  # the spread of a group leaves out a tenth at either end: noise that happened to move alike


@dataclass(frozen=True, slots=True)
class Shift:
    """The translation that most of what moved has in common."""

    dx: float  # px of the pictures compared; content moved right and down where positive
    dy: float
    share: float  # of the corners that moved so, 0..1
    spread: float  # of most of these over the view, share of its width or height, 0..1: an object is small


NO_SHIFT = Shift(0.0, 0.0, 0.0, 0.0)


def shift(before: Array, after: Array) -> Shift:
    """From two pictures (h, w) uint8. No shift where there is too little to track, or nothing moved."""
    corners = spread_corners(before)
    if len(corners) < FEWEST:
        return NO_SHIFT
    there, found = track(before, after, corners)
    back, found_back = track(after, before, there)
    tracked = found & found_back & (length((back - corners)[:, 0]) < RETURN)
    places, moves = corners[tracked, 0], (there - corners)[tracked, 0]
    far = length(moves) > STILL
    places, moves = places[far], moves[far]
    if not far.any():
        return NO_SHIFT
    reach = np.maximum(ALIKE, ALIKE_SHARE * length(moves))[:, None]
    groups = length(moves[:, None] - moves[None]) < reach
    group = groups[groups.sum(axis=1).argmax()]
    dx, dy = quantile(np.sort(moves[group], axis=0), 0.5)
    height, width = before.shape
    places = np.sort(places[group], axis=0)
    least, most = quantile(places, 1 - MIDDLE), quantile(places, MIDDLE)
    return Shift(
        float(dx), float(dy), float(group.sum()) / len(corners), float(((most - least) / (width, height)).max())
    )


def spread_corners(picture: Array) -> Array:
    """(N, 1, 2) float32, x and y."""
    found = [np.zeros((0, 1, 2), np.float32)]
    height, width = (side // count for side, count in zip(picture.shape, TILES, strict=True))
    for y, x in np.ndindex(TILES):
        tile = picture[y * height : (y + 1) * height, x * width : (x + 1) * width]
        corners = cv2.goodFeaturesToTrack(tile, CORNERS, QUALITY, APART)
        if corners is not None:
            found.append(corners + np.array((x * width, y * height), np.float32))
    return np.concatenate(found)


def track(before: Array, after: Array, corners: Array, guess: Array | None = None) -> tuple[Array, Array]:
    """Where the corners (N, 1, 2) are in `after` (Lucas and Kanade), and (N,) whether they were found there; `guess` is
    where they may be."""
    start, flags = (corners, 0) if guess is None else (guess.astype(np.float32), cv2.OPTFLOW_USE_INITIAL_FLOW)
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, corners, start.copy(), winSize=WINDOW, maxLevel=LEVELS, flags=flags
    )
    return there, found[:, 0].astype(bool)


def quantile(ordered: Array, share: float) -> Array:
    """Of each column of (N, …), in order; an eighth of the time that numpy's takes."""
    at = share * (len(ordered) - 1)
    low, high = ordered[math.floor(at)].astype(np.float64), ordered[math.ceil(at)]
    made: Array = low + (at - math.floor(at)) * (high - low)
    return made


def length(vectors: Array) -> Array:
    """Of (…, 2)."""
    lengths: Array = np.hypot(vectors[..., 0], vectors[..., 1])
    return lengths
