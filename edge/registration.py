"""Where does the camera look now, against where it looked before? Pictures are laid over a key picture, to a tenth of a pixel.

Transforms are matrices (3, 3), float64, of homogeneous px: whole numbers are the middles of pixels, x to the right, y
down. A `view` takes px of one picture to px of the ground, which is the first picture since the last reset, carried on
beyond its edges. Two views make what the ring looks its past up with: `between(now, then)` takes px of the present
picture to px of the past one, what OpenCV calls WARP_INVERSE_MAP.

A picture is halved and freed of what is coarser than some px, so that neither gain nor a warm gradient counts. Where the
prediction (the speed so far, or a prior from gyro or telemetry) lays it close to the key, Gauss and Newton do the rest
over the 1000 px with the steepest structure, each weighed by how well it fits (inverse compositional, Baker and Matthews
2004); else corners are tracked first. What that is worth is said by the fit itself: how alike the two pictures are, how
much of the structure takes part, and by how much noise could have moved the corners of the view.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge.motion import spread_corners, track
from edge.records import Array

REDUCED = 160  # widest that pictures are compared at, px
COARSE = 4.0  # px of the reduced picture: structure finer than about this counts
CONTRAST = 32.0  # grey levels of the standard deviation in the 8 bits that corners are tracked in
TILES, POINTS = (3, 4), 170  # rows and columns, and points of each, so that one bright roof does not speak for the view
STEPS = 4  # of Gauss and Newton
SLACK = 0.15  # px of the reduced picture: what sampling alone misplaces steep structure by
CLOSE = 0.02  # px of the reduced picture: a smaller step is the last
SETTLED = 0.1  # px: with a larger last step it has not come to rest
HINT = 0.8  # correlation that a prediction must have before anything is refined
NEAR = 1.5  # px: if it goes further, the prediction was none, and corners are asked
FEWEST = 8  # corners that must agree
AGREE = 1.0  # px of the reduced picture that a corner may be off
ALIKE = 0.6  # correlation of the structure of two pictures of one place
SHARE = 0.4  # of the structure that must take part
CERTAIN = 0.35  # px of the plane: standard deviation of the worst corner of the view
CORRELATED = 3.0  # neighbours share their noise, so there is less to average over than there are points: in variance


@dataclass(frozen=True, slots=True)
class Fit:
    """How one picture lies over the key."""

    matrix: Array  # (3, 3): px of the picture's plane -> px of the key's plane
    alike: float  # correlation of the structure, -1..1
    share: float  # of the structure that fits, 0..1
    sigma: float  # px of the plane, of the worst corner of the view

    @property
    def good(self) -> bool:
        """Whether to believe it."""
        return self.alike > ALIKE and self.share > SHARE and self.sigma < CERTAIN


class Structure:
    """What of a plane (h, w) float32 0..1 is compared."""

    def __init__(self, plane: Array) -> None:
        height, width = plane.shape
        shrink = min(1.0, REDUCED / width)
        self.size = round(width * shrink), round(height * shrink)
        self.scale = np.array([width / self.size[0], height / self.size[1]])
        small = cv2.resize(plane, self.size, interpolation=cv2.INTER_AREA)
        self.detail: Array = small - cv2.GaussianBlur(small, (0, 0), COARSE)

    def eight_bits(self) -> Array:
        """For the tracker."""
        gain = CONTRAST / max(float(self.detail.std()), 1e-6)
        return np.clip(128 + gain * self.detail, 0, 255).astype(np.uint8)


class Key:
    """A picture that others are laid over."""

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        detail = structure.detail
        gx = cv2.Sobel(detail, cv2.CV_32F, 1, 0, scale=0.125)
        gy = cv2.Sobel(detail, cv2.CV_32F, 0, 1, scale=0.125)
        ys, xs = steepest(gx * gx + gy * gy)
        self.points: Array = np.stack((xs, ys), axis=1).astype(np.float32)
        self.values: Array = detail[ys, xs]
        self._middle = np.array(structure.size, np.float64) / 2
        x, y = ((self.points - self._middle) / self._middle[0]).T
        gx, gy = gx[ys, xs], gy[ys, xs]
        self._slack: Array = SLACK**2 * (gx * gx + gy * gy)
        self._slopes: Array = np.stack((gx, gy, gx * x, gx * y, gy * x, gy * y, self.values), axis=1).astype(np.float32)
        self._eight_bits: Array | None = None
        self._corners: Array | None = None

    def fit(self, structure: Structure, guess: Array) -> Fit:
        """Lay a picture over this one; `guess` is where it might lie, px of its plane -> px of the key's."""
        scale = np.diag([*self.structure.scale, 1.0])
        offset = (self.structure.scale - 1) / 2  # the middle of a reduced pixel, in px of the plane
        scale[:2, 2] = offset
        unscale = np.linalg.inv(scale)
        start = unscale @ np.linalg.inv(guess) @ scale
        fit = self._refine(structure, start, scale, HINT)
        if fit is None or not fit.good:
            tracked = self._track(structure, start)
            again = None if tracked is None else self._refine(structure, tracked, scale, 0.0)
            if again is not None and (fit is None or again.alike > fit.alike):
                fit = again
        return fit if fit is not None else NOWHERE

    def _track(self, structure: Structure, start: Array) -> Array | None:
        """Corners followed from the key into the picture; None where too few agree."""
        if self._corners is None:
            self._eight_bits = self.structure.eight_bits()
            self._corners = spread_corners(self._eight_bits)
        corners = self._corners
        if len(corners) < FEWEST:
            return None
        there, found = track(self._eight_bits, structure.eight_bits(), corners)
        if np.count_nonzero(found) < FEWEST:
            return None
        fitted, inside = cv2.estimateAffinePartial2D(
            corners[found, 0], there[found, 0], ransacReprojThreshold=AGREE, maxIters=300
        )
        if fitted is None or np.count_nonzero(inside) < FEWEST:
            return None
        return np.vstack((fitted, (0, 0, 1)))

    def _refine(self, structure: Structure, warp: Array, scale: Array, least: float) -> Fit | None:
        """Gauss and Newton from a warp that takes px of the reduced key to px of the reduced picture."""
        width, height = structure.size
        for count in range(STEPS):
            at = (self.points @ warp[:2, :2].T + warp[:2, 2]).astype(np.float32)
            seen = cv2.remap(structure.detail, at[:, :1], at[:, 1:], cv2.INTER_LINEAR)[:, 0]
            inside = (at[:, 0] >= 0) & (at[:, 0] <= width - 1) & (at[:, 1] >= 0) & (at[:, 1] <= height - 1)
            if np.count_nonzero(inside) < 0.3 * len(inside):
                return None
            if not count and likeness(self.values[inside], seen[inside]) < least:
                return None
            rest = seen - self.values
            spread = 1.4826 * float(np.median(np.abs(rest[inside]))) + 1e-7
            weight = inside / (1 + rest * rest / (4 * (spread * spread + self._slack))) ** 2
            weighed = self._slopes * weight[:, None]
            normal = (weighed.T @ self._slopes).astype(np.float64)
            normal[np.diag_indices(7)] *= 1 + 1e-6
            normal[np.diag_indices(7)] += 1e-12
            step = np.linalg.solve(normal, weighed.T @ rest)
            change = self._moved(step)
            warp = warp @ np.linalg.inv(change)
            if np.abs(step[:6]).max() < CLOSE:
                break
        values, seen, weight = self.values[inside], seen[inside], weight[inside]
        if np.abs(step[:6]).max() > SETTLED:
            return None
        alike = likeness(values, seen)
        energy = np.square(self._slopes[inside, :2]).sum(axis=1)
        share = float((weight * energy).sum()) / (float(energy.sum()) + 1e-12)
        covariance = np.linalg.inv(normal)[:6, :6] * spread**2 * CORRELATED
        sigma = max(
            float(np.sqrt(np.trace(j @ covariance @ j.T)))
            for j in (corner(x, y) for x in (-1, 1) for y in (-0.75, 0.75))
        )
        matrix = scale @ np.linalg.inv(warp) @ np.linalg.inv(scale)
        return Fit(matrix, alike, share, sigma * float(self.structure.scale.max()) / max(alike, 0.1))

    def _moved(self, step: Array) -> Array:
        """The small warp that a step stands for, in px of the reduced key."""
        dx, dy, a, b, c, d = step[:6]
        x, y = self._middle
        unit = x
        linear = np.array([[1 + a / unit, b / unit], [c / unit, 1 + d / unit]])
        made = np.eye(3)
        made[:2, :2] = linear
        made[:2, 2] = np.array([dx, dy]) + (x, y) - linear @ (x, y)
        return made


def likeness(one: Array, other: Array) -> float:
    """Correlation of two samples without a mean, -1..1."""
    return float(one @ other) / (float(np.sqrt((one @ one) * (other @ other))) + 1e-12)


def corner(x: float, y: float) -> Array:
    """How the six parameters of a step displace a place of the view."""
    return np.array([[1, 0, x, y, 0, 0], [0, 1, 0, 0, x, y]], np.float64)


NOWHERE = Fit(np.eye(3), 0.0, 0.0, np.inf)


def steepest(energy: Array) -> tuple[Array, Array]:
    """Rows and columns of the points of most energy, in each tile as many."""
    rows, columns = [], []
    height, width = (side // count for side, count in zip(energy.shape, TILES, strict=True))
    edge = 2
    for y, x in np.ndindex(TILES):
        top, left = max(edge, y * height), max(edge, x * width)
        bottom, right = min(energy.shape[0] - edge, (y + 1) * height), min(energy.shape[1] - edge, (x + 1) * width)
        tile = energy[top:bottom, left:right]
        count = min(POINTS, tile.size)
        best = np.argpartition(tile, tile.size - count, axis=None)[-count:]
        ys, xs = np.unravel_index(best, tile.shape)
        rows.append(ys + top)
        columns.append(xs + left)
    return np.concatenate(rows), np.concatenate(columns)
