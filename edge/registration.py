"""One picture laid over another, the key, to a tenth of a pixel; and how far that is to be believed.

Both are halved and freed of what is coarser than some px, so that neither gain nor a warm gradient counts. Where a
prediction lays the picture close to the key, Gauss and Newton do the rest over the steepest px of each tile, each
weighed by how well it fits (inverse compositional: Baker and Matthews 2004); else the way there is sought at less than
half size (`edge.approach`), and where that fails corners are tracked. What little structure cannot tell, a turn or a
zoom about the only mast in the sky, is held where it is; one that could be noise is held to be none.

The fit says itself what it is worth: how alike the two pictures are, how much of the structure takes part, and by how
much what still differs may have moved it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from edge.approach import Approach
from edge.motion import spread_corners, track
from edge.points import Points
from edge.records import Array
from edge.warp import in_cells, inverse, shifted

REDUCED = 160  # widest that pictures are compared at, px
COARSE = 4.0  # px of the reduced picture: structure finer than about this counts
CONTRAST = 32.0  # grey levels of the standard deviation in the 8 bits that corners are tracked in
AROUND = 21, 21  # px that such a mean is taken over: what is further off weighs next to nothing
STEPS = 4  # of Gauss and Newton
CLOSE, SETTLED = 0.08, 0.1  # px: a smaller step is the last; after a larger one it has not come to rest
SOME = 6  # of so many points one tells the usual difference well enough
NOTHING = 1e12  # what a point sees beyond the picture; structure is below 1
HINT = 0.8  # correlation that a prediction must have before anything is refined
COVERED = 0.3  # share of the points that must lie within the picture
FEWEST, AGREE = 8, 1.0  # corners that must agree, and px that each may be off
CORRELATED = 3.0  # px beside each other share their noise: there are so many times fewer than there seem to be
QUIET = 1e-3  # noise of a reduced px, where it has not been measured
ALIKE = 0.6  # correlation of the structure of two pictures of one place
SHARE = 0.4  # of the structure that must take part
STRAIGHT = 2.0  # standard deviations: a turn or zoom of less is noise, and is held to be none
CERTAIN = 0.175  # standard deviation of where the structure lies, px
# shift (x, y), zoom, turn, stretch, shear, gain: 1 / variance before anything is seen, px at the right edge
TIGHT: Array = 1 / np.square(np.array([100.0, 100.0, 3.0, 3.0, 0.3, 0.3, 10.0]))


@dataclass(frozen=True, slots=True)
class Fit:
    """How one picture lies over the key."""

    matrix: Array  # (3, 3): px of the picture's plane -> px of the key's plane
    alike: float  # correlation of the structure, -1..1
    share: float  # of the structure that fits, 0..1
    rest: float  # mean square of what differs still
    sigma: float  # of where the structure lies, px of the reduced picture

    @property
    def good(self) -> bool:
        """Whether to believe it."""
        return self.alike > ALIKE and self.share > SHARE and self.sigma < CERTAIN


NOWHERE = Fit(np.eye(3), 0.0, 0.0, np.inf, np.inf)


class Structure:
    """What of a plane (h, w) float32 0..1 is compared."""

    def __init__(self, plane: Array) -> None:
        height, width = plane.shape
        self.plane = width, height
        shrink = min(1.0, REDUCED / width)
        self.size = round(width * shrink), round(height * shrink)
        self.scale = width / self.size[0], height / self.size[1]  # px of the plane in one of these
        small = plane if shrink == 1 else cv2.resize(plane, self.size, interpolation=cv2.INTER_AREA)
        self.detail: Array = small - cv2.GaussianBlur(small, AROUND, COARSE)

    def eight_bits(self) -> Array:
        """For the tracker."""
        gain = CONTRAST / max(float(self.detail.std()), 1e-6)
        grey: Array = np.clip(128 + gain * self.detail, 0, 255).astype(np.uint8)
        return grey


class Key:
    """A picture that others are laid over."""

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self._middle = structure.size[0] / 2, structure.size[1] / 2
        self._points = Points.of(structure.detail, self._middle)
        self._few: Points | None = None  # enough of them to come near
        (x, y, one), (across, down) = self._points.places, self._middle
        x, y = (x - across) / across, (y - down) / across
        weight = self._points.energy / (float(self._points.energy.sum()) + 1e-20)
        none = np.zeros_like(x)
        moved = np.stack((one, none, x, -y, x, y, none)), np.stack((none, one, y, x, -y, x, none))
        # step' spread step: mean square way of it
        self._spread: Array = sum(((way * weight) @ way.T).astype(np.float64) for way in moved)
        self._inverse: Array | None = None  # (7, N): differences -> the first step
        self._approach: Approach | None = None
        self._shaken = False  # the last picture was not where it was expected, but the approach found it
        self._corners: tuple[Array, Array] | None = None  # the picture in 8 bits, and its corners

    def fit(self, structure: Structure, guess: Array, last: Array | None = None) -> Fit:
        """Lay a picture of the same size over this one; `guess` is where it may lie, as Fit.matrix, and `last` where
        the one before lay, about which it may shake."""
        best = NOWHERE
        for warp, least, rough in self._starts(structure, guess, guess if last is None else last):
            fit = self._refine(structure, warp, least, rough)
            if fit is not None and fit.alike > best.alike:
                best = fit
            if best.good:
                self._shaken = rough
                return best
        self._shaken = False
        return best

    def _starts(self, structure: Structure, guess: Array, last: Array) -> Iterator[tuple[Array, float, bool]]:
        """Warps to refine, the cheapest first; how alike the two must be as they lie then, and whether that is known to
        be off by some tenths of a px."""
        shaken = self._shaken
        if not shaken:
            yield self._back(guess), HINT, False
        if self._approach is None:
            self._approach = Approach(self.structure.detail)
        near = self._approach.find(structure.detail, self._back(last))
        if near is not None:
            yield near, HINT, True
        if shaken:
            yield self._back(guess), HINT, False
        if (tracked := self._track(structure, self._back(guess))) is not None:
            yield tracked, 0.0, False

    def _back(self, matrix: Array) -> Array:
        """Of a Fit's matrix, the warp: px of the reduced key -> px of the reduced picture."""
        return in_cells(inverse(matrix), *self.structure.scale)

    def rest(self, structure: Structure) -> float:
        """Mean square of what differs where a picture lies over the key as it is."""
        return float(np.square(structure.detail.take(self._points.cells) - self._points.values).mean())

    def nudge(self, structure: Structure) -> float:
        """How far the first step of a fit would take the structure, px of the reduced picture; next to free."""
        slopes = self._points.slopes
        if self._inverse is None:
            normal = ridged(slopes @ slopes.T, TIGHT * CORRELATED * QUIET**2)
            self._inverse = np.linalg.solve(normal, slopes)
        return self._length(self._inverse @ (structure.detail.take(self._points.cells) - self._points.values))

    def way(self, transform: Array) -> float:
        """How far a transform between planes takes the structure of the key, px of the reduced picture, root mean
        square."""
        return self._length(self._step(in_cells(transform, *self.structure.scale)))

    def _track(self, structure: Structure, start: Array) -> Array | None:
        """Corners followed from the key into the picture, as a warp; None where too few agree."""
        if self._corners is None:
            grey = self.structure.eight_bits()
            self._corners = grey, spread_corners(grey)
        grey, corners = self._corners
        if len(corners) < FEWEST:
            return None
        guess = corners @ start[:2, :2].T + start[:2, 2]
        there, found = track(grey, structure.eight_bits(), corners, guess)
        if np.count_nonzero(found) < FEWEST:
            return None
        fitted, inside = cv2.estimateAffinePartial2D(
            corners[found, 0], there[found, 0], ransacReprojThreshold=AGREE, maxIters=300
        )
        if fitted is None or np.count_nonzero(inside) < FEWEST:
            return None
        return np.vstack((fitted, (0, 0, 1)))

    def _refine(self, structure: Structure, warp: Array, least: float, rough: bool) -> Fit | None:
        """Gauss and Newton from a warp, px of the reduced key -> px of the reduced picture; None where the two are less
        alike than `least` as they lie, or it does not come to rest. From a `rough` one the first step takes few points.
        """
        if rough and self._few is None:
            self._few = self._points.thinned()
        for count in range(STEPS):
            points = self._few if rough and not count and self._few is not None else self._points
            x, y = warp[:2].astype(np.float32) @ points.places
            seen = cv2.remap(structure.detail, x, y, cv2.INTER_LINEAR, borderValue=NOTHING).ravel()
            inside = (seen < 1).astype(np.float32)
            share, own, energy = (points.sums @ inside).tolist()
            if share < COVERED:
                return None
            rest = seen - points.values
            rest *= inside
            across, along = float(rest @ rest), float(rest @ points.values)
            alike = (own + along) / math.sqrt(max(0.0, own * (own + 2 * along + across)) + 1e-24)
            if not count and alike < least:
                return None
            square = rest * rest
            usual = 1.4826 * math.sqrt(upper(square[::SOME], share / 2)) + 1e-7
            doubt = square / (points.slack + 4 * usual * usual)
            doubt += 1
            doubt *= doubt
            weight = inside / doubt
            whole = float(points.energy @ weight) + 1e-20
            noise = CORRELATED * (float((points.energy * square) @ weight) / whole + 1e-10)
            weighed = points.slopes * weight
            held = TIGHT * noise
            spread = inverse(ridged(weighed @ points.slopes.T, held))
            step = spread @ (weighed @ rest + held * self._turned(warp))
            warp = warp @ inverse(self._moved(step))
            length = self._length(step)
            if length < CLOSE and points is self._points:
                break
        if length > SETTLED:
            return None
        sigma = math.sqrt(float(np.vdot(spread, self._spread)) * noise) / max(alike, 0.1)
        turned = self._step(warp)
        straight = self._spread[:2] @ turned  # the shift that is nearest
        turned[:2] = 0
        if self._length(turned) < STRAIGHT * sigma:
            warp = shifted(*straight.tolist())
        return Fit(
            matrix=in_cells(inverse(warp), *(1 / scale for scale in self.structure.scale)),
            alike=alike,
            share=whole / (energy + 1e-20),
            rest=across / (share * len(rest)),
            sigma=sigma,
        )

    def _moved(self, step: Array) -> Array:
        """The small warp that a step stands for."""
        (right, down, *others, _), (x, y) = step.tolist(), self._middle
        zoom, turn, stretch, shear = (one / x for one in others)
        a, b, c, d = zoom + stretch, shear - turn, shear + turn, zoom - stretch
        return np.array([[1 + a, b, right - a * x - b * y], [c, 1 + d, down - c * x - d * y], [0, 0, 1]])

    def _turned(self, warp: Array) -> Array:
        """What of a warp is no shift, as the step that would undo it has it."""
        (a, b, _), (c, d, _), _ = warp.tolist()
        half = self._middle[0] / 2
        return np.array([0, 0, half * (a + d - 2), half * (c - b), half * (a - d), half * (b + c), 0])

    def _step(self, warp: Array) -> Array:
        """The step that a warp is."""
        step, (x, y) = self._turned(warp), self._middle
        (a, b, right), (c, d, down), _ = warp.tolist()
        step[:2] = a * x + b * y + right - x, c * x + d * y + down - y
        return step

    def _length(self, step: Array) -> float:
        """How far a step takes the structure, px of the reduced picture, root mean square."""
        return math.sqrt(max(0.0, float(step @ self._spread @ step)))


def upper(values: Array, share: float) -> float:
    """What so large a share of (N,) is as large as."""
    values, at = values.copy(), min(len(values) - 1, round((1 - share) * len(values)))
    values.partition(at)
    return float(values[at])


def ridged(normal: Array, held: Array) -> Array:
    """A normal matrix that can be solved, whatever is in it; `held` as TIGHT."""
    made = normal.astype(np.float64)
    diagonal = made.reshape(-1)[:: len(made) + 1]
    diagonal *= 1 + 1e-6
    diagonal += held + 1e-12
    return made
