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
FINE = 65536  # parts of a px that a slide is told in: they are exact in the float32 that OpenCV takes it in

__all__ = [
    "STILL",
    "aside",
    "between",
    "carried",
    "draw",
    "draw_planes",
    "draw_planes_aside",
    "in_cells",
    "inverse",
    "reach",
    "shifted",
    "slid",
    "slide",
    "whole",
]


def between(now: Array, then: Array) -> Array | None:
    """Px of the present picture -> px of the past one, from their views; None where both are the same."""
    if now is then or now.tolist() == then.tolist():
        return None
    made: Array = inverse(then) @ now
    if (far := made[2, 2]) != 1:
        made /= far
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
    if (way := slide(transform, out.shape)) is None:
        _warped(plane, transform, out, flags)
        return
    way = way if flags == cv2.INTER_LINEAR else (round(way[0]), round(way[1]))
    if (window := slid(way, plane.shape, out.shape)) is not None:
        aside(plane, way, *window, out[window])


def draw_planes(planes: Array, transform: Array, out: Array) -> None:
    """Draw planes (C, h, w) into `out` (C, h, w), 0 where they have nothing."""
    if (way := slide(transform, out.shape[1:])) is None:
        out.fill(0)
        _warped_planes(planes, transform, out)
    else:
        draw_planes_aside(planes, way, out)


def draw_planes_aside(planes: Array, way: tuple[float, float], out: Array, missing: Array | None = None) -> None:
    """As `draw_planes`, by a shift to the right and down; `missing` (C, h, w), if given, where they have nothing."""
    count, height, width = planes.shape
    if (window := slid(way, planes.shape[1:], out.shape[1:])) is None:
        np.copyto(out, 0 if missing is None else missing)
        return
    rows, columns = window  # one plane lies below the other: what comes from another one is on the rim
    all_rows = slice(rows.start, rows.stop + (count - 1) * height)
    aside(planes.reshape(-1, width), way, all_rows, columns, out.reshape(-1, width)[all_rows, columns])
    above, below = np.s_[:, : rows.start], np.s_[:, rows.stop :]
    left, right = np.s_[:, :, : columns.start], np.s_[:, :, columns.stop :]
    for rim in (above, below, left, right):
        if (part := out[rim]).size:
            part[...] = 0 if missing is None else missing[rim]


def slide(transform: Array, shape: tuple[int, ...]) -> tuple[float, float] | None:
    """The shift, right and down, that does the same to a picture (height, width) but for SLIGHT px at its corners; None
    where there is none."""
    (a, b, x), (c, d, y), (p, q, _) = transform.tolist()
    if p or q:
        return None
    right, down = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    if max(abs(a - 1) * right + abs(b) * down, abs(c) * right + abs(d - 1) * down) > SLIGHT:
        return None
    x, y = (a - 1) * right + b * down + x, c * right + (d - 1) * down + y
    return round(x * FINE) / FINE, round(y * FINE) / FINE


def slid(way: tuple[float, float], size: tuple[int, ...], room: tuple[int, ...]) -> tuple[slice, slice] | None:
    """Rows and columns that a picture (height, width) fills of a larger or smaller one when drawn aside; None where it
    fills none. A row or column that would be mixed with what lies beyond the picture is left out."""
    x, y = math.floor(way[0]), math.floor(way[1])
    left, end = max(0, -x), min(room[1], size[1] - x - (way[0] > x))
    top, bottom = max(0, -y), min(room[0], size[0] - y - (way[1] > y))
    return (slice(top, bottom), slice(left, end)) if left < end and top < bottom else None


def aside(plane: Array, way: tuple[float, float], rows: slice, columns: slice, into: Array | None = None) -> Array:
    """What a plane (h, w) drawn aside fills of the rows and columns that `slid` gives, in `into` or in an array that is
    not to be written into."""
    x, y = columns.start + way[0], rows.start + way[1]
    width, height = columns.stop - columns.start, rows.stop - rows.start
    if x != int(x) or y != int(y):
        return np.asarray(
            cv2.getRectSubPix(plane, (width, height), (x + (width - 1) / 2, y + (height - 1) / 2), patch=into)
        )
    part = plane[int(y) : int(y) + height, int(x) : int(x) + width]
    if into is None:
        return part
    np.copyto(into, part)
    return into


def _warped_planes(planes: Array, transform: Array, out: Array) -> None:
    """Draw planes (C, h, w) into `out` (C, H, W)."""
    four = len(planes) - len(planes) % 4  # as many at a time give the same to the last bit; more have other edges
    for at in range(0, four, 4):
        mixed = cv2.transpose(planes[at : at + 4].reshape(4, -1)).reshape(*planes.shape[1:], 4)
        drawn = np.zeros((*out.shape[1:], 4), np.float32)
        _warped(mixed, transform, drawn)
        cv2.transpose(drawn.reshape(-1, 4), out[at : at + 4].reshape(4, -1))
    for plane, into in zip(planes[four:], out[four:], strict=True):
        _warped(plane, transform, into)


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
    return max(math.hypot(*_away(transform, x, y)) for x, y in ((0, 0), (right, 0), (0, bottom), (right, bottom)))


def whole(transform: Array, size: tuple[int, int]) -> tuple[int, int]:
    """The shift in whole px, right and down, that is nearest to what becomes of the middle of a picture."""
    right, down = _away(transform, (size[0] - 1) / 2, (size[1] - 1) / 2)
    return round(right), round(down)


def _away(transform: Array, x: float, y: float) -> tuple[float, float]:
    """How far the transform takes a point, to the right and down."""
    (a, b, right), (c, d, down), (p, q, r) = transform.tolist()
    far = p * x + q * y + r
    return (a * x + b * y + right) / far - x, (c * x + d * y + down) / far - y


def shifted(right: float, down: float) -> Array:
    """A transform that does nothing else."""
    return np.array([[1.0, 0, right], [0, 1.0, down], [0, 0, 1.0]])
