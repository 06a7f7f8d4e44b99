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
NUDGE_NOISE = 1e-3  # of a reduced pixel, where it has not been measured
CORRELATED = 3.0  # neighbours share their noise, so there is less to average over than there are points: in variance


@dataclass(frozen=True, slots=True)
class Fit:
    """How one picture lies over the key."""

    matrix: Array  # (3, 3): px of the picture's plane -> px of the key's plane
    alike: float  # correlation of the structure, -1..1
    share: float  # of the structure that fits, 0..1
    rest: float  # mean square of what differs still
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
        self._rows, self._columns = ys, xs
        self.points: Array = np.stack((xs, ys), axis=1).astype(np.float32)
        self.values: Array = detail[ys, xs]
        self._middle = np.array(structure.size, np.float64) / 2
        x, y = ((self.points - self._middle) / self._middle[0]).T
        gx, gy = gx[ys, xs], gy[ys, xs]
        self._slack: Array = SLACK**2 * (gx * gx + gy * gy)
        forms = (gx, gy, gx * x + gy * y, gy * x - gx * y, gx * x - gy * y, gx * y + gy * x)
        self._slopes: Array = np.stack((*forms, self.values), axis=1).astype(np.float32)
        self._energy: Array = gx * gx + gy * gy
        still, zero = np.ones_like(x), np.zeros_like(x)
        across, down = np.stack((still, zero, x, -y, x, y)), np.stack((zero, still, y, x, -y, x))
        weight = self._energy / (float(self._energy.sum()) + 1e-20)
        self._spread: Array = (across * weight) @ across.T + (down * weight) @ down.T
        normal = ridged((self._slopes.T @ self._slopes).astype(np.float64)) + np.diag(TIGHT * CORRELATED * NUDGE_NOISE**2)
        self._inverse: Array = np.linalg.solve(normal, self._slopes.T)
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

    def rest(self, structure: Structure) -> float:
        """Mean square of what differs where a picture lies over the key as it is."""
        return float(np.square(structure.detail[self._rows, self._columns] - self.values).mean())

    def nudge(self, structure: Structure) -> float:
        """How far, in px of the plane, the first step of a fit would take the structure; next to free."""
        rest = structure.detail[self._rows, self._columns] - self.values
        step = self._inverse @ rest
        return self._length(step) * float(self.structure.scale.max())

    def _track(self, structure: Structure, start: Array) -> Array | None:
        """Corners followed from the key into the picture; None where too few agree."""
        if self._corners is None:
            self._eight_bits = self.structure.eight_bits()
            self._corners = spread_corners(self._eight_bits)
        corners = self._corners
        if len(corners) < FEWEST:
            return None
        there, found = track(self._eight_bits, structure.eight_bits(), corners, corners @ start[:2, :2].T + start[:2, 2])
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
            energy = weight * self._energy
            noise = CORRELATED * (float(energy @ np.square(rest)) / (float(energy.sum()) + 1e-20) + 1e-10)
            held = TIGHT * noise
            normal = ridged(normal) + np.diag(held)
            step = np.linalg.solve(normal, weighed.T @ rest + held * self._turned(warp))
            change = self._moved(step)
            warp = warp @ np.linalg.inv(change)
            moved = self._length(step)
            if moved < CLOSE:
                break
        if moved > SETTLED:
            return None
        alike = likeness(self.values[inside], seen[inside])
        share = float(energy.sum()) / (float(self._energy @ inside) + 1e-20)
        covariance = np.linalg.inv(normal)[:6, :6] * noise
        sigma = float(np.sqrt(np.trace(covariance @ self._spread)) * self.structure.scale.max()) / max(alike, 0.1)
        return Fit(scale @ np.linalg.inv(warp) @ np.linalg.inv(scale), alike, share, float(np.square(rest) @ inside) / float(inside.sum()), sigma)

    def _moved(self, step: Array) -> Array:
        """The small warp that a step stands for, in px of the reduced key."""
        dx, dy, zoom, turn, stretch, shear = step[:6]
        linear = np.eye(2) + np.array([[zoom + stretch, shear - turn], [shear + turn, zoom - stretch]]) / self._middle[0]
        made = np.eye(3)
        made[:2, :2] = linear
        made[:2, 2] = (dx, dy) + self._middle - linear @ self._middle
        return made

    def _turned(self, warp: Array) -> Array:
        """What of a warp is no shift, as a step would say it: where little structure tells, there is none."""
        (a, b), (c, d) = (warp[:2, :2] - np.eye(2)) * self._middle[0] / 2
        return np.array([0, 0, a + d, c - b, a - d, b + c, 0])

    def _length(self, step: Array) -> float:
        """How far a step takes the structure, px of the reduced picture, root mean square."""
        return float(np.sqrt(max(0.0, step[:6] @ self._spread @ step[:6])))

    def way(self, transform: Array) -> float:
        """How far a transform takes the structure of the key, px of the plane, root mean square."""
        at = self.points * self.structure.scale
        away = at @ (transform[:2, :2] - np.eye(2)).T + transform[:2, 2]
        return float(np.sqrt(np.square(away).sum(axis=1) @ self._energy / (float(self._energy.sum()) + 1e-20)))


def likeness(one: Array, other: Array) -> float:
    """Correlation of two samples without a mean, -1..1."""
    return float(one @ other) / (float(np.sqrt((one @ one) * (other @ other))) + 1e-12)


# of the six parameters of a step and the gain: 1 / variance, px of the reduced picture at its right edge
TIGHT = 1 / np.square(np.array([100.0, 100.0, 1.5, 1.5, 0.3, 0.3, 10.0]))


def ridged(normal: Array) -> Array:
    """A normal matrix that can be solved, whatever is in it."""
    diagonal = np.diag_indices(len(normal))
    normal[diagonal] = normal[diagonal] * (1 + 1e-6) + 1e-12
    return normal


NOWHERE = Fit(np.eye(3), 0.0, 0.0, np.inf, np.inf)


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
