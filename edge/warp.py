"""How the past is brought to the present view. Training imitates this with the motion that it knows.

A `view` is a matrix (3, 3), float64, that takes px of one model input to px of the ground: the first picture since the
last reset, carried on beyond its edges. Whole numbers are the middles of pixels, x to the right, y down. The transform
to a past step is `between(now, then)`: it takes px of the PRESENT model input to px of the PAST one, so

    past_seen_now[y, x] = past[transform @ (x, y, 1)]        cv2.warpPerspective with WARP_INVERSE_MAP

- A plane whose cells are s px wide is drawn with the same transform in its own cells: S^-1 transform S, where S takes
  the middle of cell (i, j) to px (s (i + 0.5) - 0.5, s (j + 0.5) - 0.5).
- All is interpolated bilinearly, pictures, keys and memory. Cubic costs thrice as much, Lanczos twenty times, and
  neither finds more gas.
- What falls outside of the past picture is unknown: there the present frame stands in for pictures, and zeros for
  anything else, as the ModelSpec's `missing`. Outside is what lies beyond the middles of the outermost pixels.
- Where the transform is the identity nothing is drawn: the past is handed on bit for bit.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.records import STILL, Array

SLIGHT = 0.05  # cells: a turn or zoom that takes no corner further is less than what registration errs by

__all__ = [
    "STILL",
    "between",
    "carried",
    "draw",
    "draw_planes",
    "in_cells",
    "inverse",
    "reach",
    "shifted",
    "slide",
    "whole",
]


def between(now: Array, then: Array) -> Array | None:
    """Px of the present picture -> px of the past one, from their views; None where both are the same."""
    if now is then or (now == then).all():
        return None
    made: Array = inverse(then) @ now
    made /= made[2, 2]
    return made


def inverse(transform: Array) -> Array:
    """The way back, (3, 3); a tenth of the time that numpy's takes."""
    return np.asarray(cv2.invert(transform)[1])


def in_cells(transform: Array, across: float, down: float | None = None) -> Array:
    """The same transform, or view, between planes whose cells are `across` px wide and `down`, or as much, high."""
    down = across if down is None else down
    if across == down == 1:
        return transform
    (a, b, x), (c, d, y), (p, q, r) = transform.tolist()
    right, low = (across - 1) / 2, (down - 1) / 2  # px of the middle of the first cell
    x, y, r = right * a + low * b + x, right * c + low * d + y, right * p + low * q + r
    a, b, c, d, p, q = across * a, down * b, across * c, down * d, across * p, down * q
    return np.array(
        [
            [(a - right * p) / across, (b - right * q) / across, (x - right * r) / across],
            [(c - low * p) / down, (d - low * q) / down, (y - low * r) / down],
            [p, q, r],
        ]
    )


def draw(plane: Array, transform: Array, out: Array, flags: int = cv2.INTER_LINEAR) -> None:
    """Draw a plane (h, w) into `out` (H, W); where the plane has nothing, `out` stays as it is."""
    if (way := slide(transform, out.shape)) is not None:
        right, down = way
        _slid(plane[None], way if flags == cv2.INTER_LINEAR else (round(right), round(down)), out[None])
    else:
        _warped(plane, transform, out, flags)


def draw_planes(planes: Array, transform: Array, out: Array) -> None:
    """Draw planes (C, h, w) into `out` (C, H, W), 0 where they have nothing."""
    out.fill(0)
    if (way := slide(transform, out.shape[1:])) is not None:
        _slid(planes, way, out)
        return
    four = len(planes) - len(planes) % 4  # as many at a time give the same to the last bit; more have other edges
    for at in range(0, four, 4):
        mixed = cv2.transpose(planes[at : at + 4].reshape(4, -1)).reshape(*planes.shape[1:], 4)
        drawn = np.zeros((*out.shape[1:], 4), np.float32)
        _warped(mixed, transform, drawn)
        cv2.transpose(drawn.reshape(-1, 4), out[at : at + 4].reshape(4, -1))
    for plane, into in zip(planes[four:], out[four:], strict=True):
        _warped(plane, transform, into)


def slide(transform: Array, shape: tuple[int, ...]) -> tuple[float, float] | None:
    """The shift, right and down, that does the same to a picture (height, width) but for SLIGHT px at its corners; None
    where there is none."""
    (a, b, x), (c, d, y), (p, q, _) = transform.tolist()
    if p or q:
        return None
    right, down = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    if max(abs(a - 1) * right + abs(b) * down, abs(c) * right + abs(d - 1) * down) > SLIGHT:
        return None
    return (a - 1) * right + b * down + x, c * right + (d - 1) * down + y


def _slid(planes: Array, way: tuple[float, float], out: Array) -> None:
    """Draw planes (C, h, w), aside by (right, down), into `out` (C, H, W). A row or column that would be mixed with
    what lies beyond the plane is left out."""
    count, height, width = planes.shape
    x, y = math.floor(way[0]), math.floor(way[1])
    right, down = way[0] - x, way[1] - y
    left, end = max(0, -x), min(out.shape[2], width - x - (right > 0))
    top, bottom = max(0, -y), min(out.shape[1], height - y - (down > 0))
    if left >= end or top >= bottom:
        return
    tall = planes.reshape(-1, width)  # one below the other
    made = tall[:, left + x : end + x]
    if right:
        made = cv2.addWeighted(made, 1 - right, tall[:, left + x + 1 : end + x + 1], right, 0)
    if down:
        mixed = np.empty(made.shape, np.float32)
        cv2.addWeighted(made[:-1], 1 - down, made[1:], down, 0, dst=mixed[:-1])
        made = mixed
    np.copyto(out[:, top:bottom, left:end], made.reshape(count, height, -1)[:, top + y : bottom + y])


def _warped(plane: Array, transform: Array, out: Array, flags: int = cv2.INTER_LINEAR) -> None:
    """Draw a plane (h, w), or as many as four in one (h, w, 4), into `out` (H, W …)."""
    how = flags | cv2.WARP_INVERSE_MAP
    size = out.shape[1::-1]
    if transform[2, 0] or transform[2, 1]:
        cv2.warpPerspective(plane, transform, size, out, how, cv2.BORDER_TRANSPARENT)
    else:
        cv2.warpAffine(plane, transform[:2], size, out, how, cv2.BORDER_TRANSPARENT)


def carried(point: Array, transform: Array) -> Array:
    """Points (N, 2) through a transform."""
    seen = point @ transform[:, :2].T + transform[:, 2]
    made: Array = seen[:, :2] / seen[:, 2:]
    return made


def reach(transform: Array, size: tuple[int, int]) -> float:
    """How far the transform takes the corner of a picture (width, height) that it takes furthest, px."""
    right, bottom = size[0] - 1, size[1] - 1
    corners = np.array([(0, right, 0, right), (0, 0, bottom, bottom), (1, 1, 1, 1)], np.float64)
    seen = transform @ corners
    away = seen[:2] / seen[2] - corners[:2]
    return math.sqrt((away * away).sum(axis=0).max())


def whole(transform: Array, size: tuple[int, int]) -> tuple[int, int]:
    """The shift in whole px, right and down, that is nearest to what becomes of the middle of a picture."""
    x, y = (size[0] - 1) / 2, (size[1] - 1) / 2
    right, down, far = (transform @ (x, y, 1.0)).tolist()
    return round(right / far - x), round(down / far - y)


def shifted(right: float, down: float) -> Array:
    """A transform that does nothing else."""
    return np.array([[1.0, 0, right], [0, 1.0, down], [0, 0, 1.0]])
