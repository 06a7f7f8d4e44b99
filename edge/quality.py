"""What one picture and those just before it say about the camera: is there a scene, the same scene, at the same gain?

All of it looks at reduced pictures (80 x 60) and costs a fraction of a millisecond; four times a second, or once where
the view fits its place, corners are tracked, for one more. Levels are on the 0..1 scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from edge.motion import shift
from edge.plume import shrink
from edge.records import Array, Quality
from edge.steady import Sight, State, Steady
from edge.stuck import Stuck
from edge.view import View
from edge.warp import STILL, between, carried, draw, in_cells

NO_SCENE = Quality.SHUTTER | Quality.DARK | Quality.SATURATED

WIDTH, HEIGHT = 80, 60
LEVEL = 1 / 255  # one grey level

FLAT = 0.7 * LEVEL  # standard deviation below which a picture shows no scene
BLACK, WHITE = 8 * LEVEL, 247 * LEVEL  # means of a flat picture beyond which it is dark or saturated
FROZEN_S = 1.0  # identical pictures for longer: the camera hangs; shorter runs come from codecs and frame-rate changes
HELD_S = 0.25  # identical pictures for this long, then a jump: a shutter event behind a held picture

STEP = 2 * LEVEL  # mean change from one frame to the next below which nothing happened to the whole view
LIKENESS = 0.9  # correlation of two pictures of one scene, whatever the gain
AFFINE = 0.35  # a gain step leaves at most this share of the change unexplained
CUT_SHARE, CUT_LEVEL = 0.5, 8 * LEVEL  # in a cut at least this share of the view changes by this much

CHECK_S = 0.25  # between two looks at motion
MOVING_PX_S = 7.5 / 320  # widths a second: half a pixel a frame at 320 px and 15 fps, a pixel within the shortest lag
CORNERS_S = 1.0  # between two looks at corners while the view fits: burnt-in text may fit over ground that moves
TRACKED = (160, 120)  # width and height of the pictures that corners are tracked in
MOVED, SPREAD = 0.25, 0.3  # share of the corners, and of the view that they reach over, that must move alike


@dataclass(frozen=True, slots=True)
class Verdict:
    """Flags of one frame; `gain` is set with Quality.GAIN: this picture is gain[0] x the one before + gain[1]."""

    quality: Quality
    gain: tuple[float, float] = (1.0, 0.0)
    view: Array = field(default_factory=lambda: STILL)  # (3, 3): px of the plane -> px of the ground; see `edge.warp`
    renewed: bool = False  # the ground is another one than that of the pictures before


class Watch:
    """Looks at every frame of one camera in turn.

    `partly`: some of the plane is kept constant, and what the image shows there does not count as life.
    """

    def __init__(self, *, partly: bool = False) -> None:
        self._partly = partly
        self._contrast = 0.0  # standard deviation of the last scene; outlives a reset, a shutter may last
        self._view = View()  # outlives it, too: a camera may be knocked while it is away
        self.reset()

    def accept_view(self) -> None:
        """The present view is the right one."""
        self._view = View()

    def reset(self) -> None:
        """Forget the past: the next picture is compared with nothing."""
        self._image: Array | None = None  # the previous frame as it came
        self._small: Array | None = None  # and reduced; of the last frame that showed a scene
        self._levels = 0.0, 0.0  # mean and standard deviation of the same
        self._sight: Sight | None = None  # of the same
        self._same_since = 0.0
        self._stuck: Stuck | None = None  # for a view that does not move
        self._steady = Steady()
        self._anchor: tuple[float, Array, Array] | None = None  # what motion is measured against: time, picture, view
        self._moved: tuple[bool, ...] = ()  # the last three looks
        self._cornered = -np.inf  # capture time when corners were tracked

    def step(self, image: Array, plane: Array, captured: float, prior: Array | None = None) -> Verdict:
        """`image` as the camera gave it, `plane` (h, w) float32 0..1 the same for the model; `prior` as Steady's."""
        small = shrink(plane, (WIDTH, HEIGHT))
        held = self._held(small if self._partly else image, captured)
        mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(small))
        if deviation < FLAT and (not BLACK <= mean <= WHITE or not image.any()):
            return Verdict(nothing(image, mean))
        if deviation < FLAT and self._contrast > 4 * FLAT:
            return Verdict(Quality.SHUTTER)  # the view before the shutter is kept, to be compared with what follows it
        self._contrast = deviation
        motion, sight = self._motion(plane, captured, prior)
        if sight.state is State.MOVING:
            verdict = self._brightened(small, (mean, deviation), plane.shape, sight)
            stuck, self._stuck = False, None
        else:
            change = 0.0 if self._small is None else mean_change(self._small, small)
            before = self._before(small, plane.shape, sight)
            known = change if before is self._small else None
            verdict = compare(before, small, known) if before is not None else Verdict(Quality.GOOD)
            # 16 bits come without a codec, and their noise may be far below one level of the plane
            self._stuck = self._stuck or Stuck()
            stuck = image.dtype == np.uint8 and self._stuck.step(small, captured, change)
        if verdict.quality:
            self._anchor, self._moved = None, ()
            motion &= Quality.UNREGISTERED
            if verdict.quality & Quality.CUT:
                self._steady.reset()
                motion, sight = Quality.GOOD, self._steady.step(plane, captured)
            if held >= HELD_S:
                verdict = Verdict(verdict.quality | Quality.SHUTTER, verdict.gain)
        self._small, self._levels, self._sight = small, (mean, deviation), sight
        quality = verdict.quality | motion
        if stuck or captured - self._same_since > FROZEN_S:
            quality |= Quality.FROZEN
        if self._view.changed if quality else self._view.step(small, captured):
            quality |= Quality.VIEW_CHANGED
        return Verdict(quality, verdict.gain, sight.view, sight.renewed)

    def rescale(self, gain: float, offset: float) -> None:
        """The pictures to come are gain x + offset of those before: a new mapping of 16-bit values."""
        if self._small is not None:
            self._small = gain * self._small + offset
            self._levels = gain * self._levels[0] + offset, gain * self._levels[1]
        self._anchor = None

    def _brightened(self, small: Array, levels: tuple[float, float], shape: tuple[int, ...], sight: Sight) -> Verdict:
        """Whether a view that moves has changed its gain; it shows the same ground, however fast, and nothing is cut.
        A gain step changes the mean and the deviation by as much as the picture at least: few are worth drawing it."""
        if abs(levels[0] - self._levels[0]) + abs(levels[1] - self._levels[1]) < STEP:
            return Verdict(Quality.GOOD)
        before = self._before(small, shape, sight)
        verdict = Verdict(Quality.GOOD) if before is None else compare(before, small)
        return Verdict(Quality.GOOD) if verdict.quality & Quality.CUT else verdict

    def _before(self, small: Array, shape: tuple[int, ...], sight: Sight) -> Array | None:
        """The reduced picture before, as far as that is known where a view of a plane of this shape shows it: a pan
        changes nothing then, and hides no gain step."""
        before, last = self._small, self._sight
        if before is None or last is None or State.LOST in (sight.state, last.state):
            return before
        transform = between(sight.view, last.view)
        if transform is None:
            return before
        laid: Array = small.copy()
        draw(before, in_cells(transform, shape[1] / small.shape[1], shape[0] / small.shape[0]), laid)
        return laid

    def _held(self, image: Array, captured: float) -> float:
        """For how long, up to the previous frame, the camera had repeated one picture; notes where a new one begins."""
        before, self._image = self._image, image
        if before is not None and same(before, image):
            return 0.0
        held = captured - self._same_since if before is not None else 0.0
        self._same_since = captured
        return held

    def _motion(self, plane: Array, captured: float, prior: Array | None) -> tuple[Quality, Sight]:
        """MOVING when two of the last three looks saw the view shift, UNREGISTERED when it cannot be said where to."""
        due = self._anchor is None or captured - self._anchor[0] >= CHECK_S
        sight = self._steady.step(plane, captured, look=due, prior=prior)
        if due:
            grey = cv2.convertScaleAbs(cv2.resize(plane, TRACKED, interpolation=cv2.INTER_AREA), alpha=255)
            if self._anchor is not None:
                self._moved = (*self._moved[-2:], self._shifted(plane, grey, captured, sight))
            self._anchor = captured, grey, sight.view
        moving = sum(self._moved) >= 2
        state = self._steady.told(moving, captured)
        quality = Quality.MOVING if moving else Quality.GOOD
        return quality | (Quality.UNREGISTERED if state is State.LOST else Quality.GOOD), sight

    def _shifted(self, plane: Array, grey: Array, captured: float, sight: Sight) -> bool:
        """Whether the view has shifted since the last look: by its registration, or where there is none by corners."""
        assert self._anchor is not None
        then, before, view = self._anchor
        least = MOVING_PX_S * (captured - then)
        height, width = plane.shape
        if sight.state is State.MOVING:
            transform = between(sight.view, view)
            return transform is not None and middle_shift(transform, width, height) / width > least
        fits = sight.fit is not None and sight.fit.good
        if fits and not any(self._moved) and captured - self._cornered < CORNERS_S:
            return False
        self._cornered = captured
        found = shift(before, grey)
        return bool(np.hypot(found.dx, found.dy) / TRACKED[0] > least and found.share > MOVED and found.spread > SPREAD)


def middle_shift(transform: Array, width: int, height: int) -> float:
    """How far a transform takes the middle of a picture, px."""
    middle = np.array([(width / 2, height / 2)])
    return float(np.hypot(*(carried(middle, transform) - middle)[0]))


def same(before: Array, after: Array) -> bool:
    """Whether two pictures are equal; the row in the middle nearly always tells that they are not."""
    middle, now = (picture[len(picture) // 2].tobytes() for picture in (before, after))
    return middle == now and np.array_equal(before, after)


def nothing(image: Array, mean: float) -> Quality:
    """Of a picture that shows nothing: is it black or white? `mean` is that of the plane."""
    if image.dtype == np.uint8:  # the plane may have been turned over
        mean = float(image.mean()) / 255
    return Quality.DARK if mean < 0.5 or not image.any() else Quality.SATURATED


def mean_change(before: Array, after: Array) -> float:
    """By how much two pictures differ, on the mean."""
    return float(cv2.mean(cv2.absdiff(before, after))[0])


def compare(before: Array, after: Array, change: float | None = None) -> Verdict:
    """Did the whole view change at once, and was it the camera's gain or another view? `change` is their mean change,
    where it is known."""
    if change is None:
        change = mean_change(before, after)
    if change < STEP:
        return Verdict(Quality.GOOD)
    if likeness(before, after) < LIKENESS:
        far = cv2.absdiff(before, after) > CUT_LEVEL
        return Verdict(Quality.CUT if float(far.mean()) > CUT_SHARE else Quality.GOOD)
    gain, offset = affine(before, after)
    if float(np.abs(after - (gain * before + offset)).mean()) < AFFINE * change:
        return Verdict(Quality.GAIN, (gain, offset))
    return Verdict(Quality.GOOD)


def likeness(before: Array, after: Array) -> float:
    """Pearson correlation of two pictures, -1..1; 0 where one of them is flat."""
    x, y = before - before.mean(), after - after.mean()
    spread = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / spread if spread > 0 else 0.0


def affine(before: Array, after: Array) -> tuple[float, float]:
    """Gain and offset that turn one picture into the other, by least squares, refitted without the worst tenth."""
    x, y = before.ravel(), after.ravel()
    for _ in range(2):
        mean_x, mean_y = float(x.mean()), float(y.mean())
        spread = float(((x - mean_x) ** 2).mean())
        gain = float(((x - mean_x) * (y - mean_y)).mean()) / spread if spread > 0 else 1.0
        offset = mean_y - gain * mean_x
        error = np.abs(y - gain * x - offset)
        keep = error <= np.quantile(error, 0.9)
        x, y = x[keep], y[keep]
    return gain, offset
