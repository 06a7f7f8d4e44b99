"""What a camera shows while it sees no gas: everything that a calibration needs of some minutes of footage, kept small.

Logits are kept as bytes around the model's threshold, compressed: a quiet frame takes a few kilobytes.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge import mask
from edge.errors import ConfigError
from edge.preprocess import fit
from edge.records import Array, Frame, Quality
from edge.segmenter import Segmenter, cells

LEVEL = 1 / 255  # one grey level
STEPS, MIDDLE = 16.0, 128  # codes for one unit of logit; the code of the model's threshold
TRIMMED = 0.9  # share of the frame differences that count as noise; the rest may be motion
GAUSSIAN = 0.65735 * 2**0.5  # mean of that share of |a - b| for two frames of unit noise
LAG_S = 0.5  # over which a restless place changes
UNITS = 2.0  # and by how much, in the model's own unit of change, 3 sigma + 2 grey levels
STRETCH_S = 1.0  # without firing that parts one stretch from the next


@dataclass(frozen=True, slots=True)
class Glimpse:
    """One frame of the footage."""

    film: int
    index: int
    captured: float
    quality: Quality
    span: float  # seconds since the frame before; 0 where that is not known or this one is not believable
    logits: bytes | None  # None where the model saw nothing near its threshold
    restless: bytes


class Study:
    """`begin` each piece of footage of one camera, then `step` its frames in order."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._bar = mask.logit(segmenter.spec.threshold)
        self._noise: list[float] = []
        self._recent: deque[tuple[float, Array]] = deque()  # the last LAG_S, at the resolution of the cells
        self._before: tuple[float, Array] | None = None  # the frame before, where it is to be compared with
        self.names: list[str] = []
        self.glimpses: list[Glimpse] = []
        self.size = (0, 0)  # width, height of the pictures
        self.cells = (0, 0)  # shape of the maps
        self.lowest: Array = np.empty(0)  # (h, w) at the model's resolution, 0..1, over all believable frames
        self.highest: Array = np.empty(0)

    def begin(self, name: str) -> None:
        """The frames that follow are of another piece of footage."""
        self.names.append(name)
        self._segmenter.reset()
        self._forget()

    def step(self, frame: Frame) -> None:
        """Take one frame. Raises ConfigError where its size is not that of the first."""
        self._check(frame)
        seen = self._segmenter.step(frame)
        span, restless = 0.0, b""
        believed = seen.quality.believable and not seen.quality & Quality.MOVING  # a place in the view is no place then
        if seen.quality & Quality.GAIN or not believed:
            self._forget()
        if believed:
            self.lowest = np.minimum(self.lowest, seen.image) if self.lowest.size else seen.image
            self.highest = np.maximum(self.highest, seen.image) if self.highest.size else seen.image
            span, restless = self._compare(frame.captured, seen.image)
        near = believed and seen.logits.max() > self._bar
        logits = zlib.compress(self._coded(seen.logits).tobytes(), 1) if near else None
        film = len(self.names) - 1
        self.glimpses.append(Glimpse(film, frame.index, frame.captured, seen.quality, span, logits, restless))

    @property
    def seconds(self) -> float:
        """Of believable footage."""
        return sum(glimpse.span for glimpse in self.glimpses)

    @property
    def noise(self) -> float:
        """Temporal sigma of one pixel, grey levels: the median over the frames of a robust estimate from each pair."""
        return 255 * float(np.median(self._noise)) if self._noise else 0.0

    def logits(self, glimpse: Glimpse) -> Array | None:
        """(h, w) float32 to within 1/16, none further than 8 from the threshold; None where nothing lies above it."""
        if glimpse.logits is None:
            return None
        codes = np.frombuffer(zlib.decompress(glimpse.logits), np.uint8).reshape(self.cells)
        logits: Array = (codes.astype(np.float32) - MIDDLE) / np.float32(STEPS) + np.float32(self._bar)
        return logits

    def halves(self) -> tuple[list[Glimpse], list[Glimpse]]:
        """Two parts that know nothing of one another: every other piece of footage, or the halves of a single one."""
        if len(self.names) == 1:
            middle = len(self.glimpses) // 2
            return self.glimpses[:middle], self.glimpses[middle:]
        odd = [glimpse for glimpse in self.glimpses if glimpse.film % 2]
        return [glimpse for glimpse in self.glimpses if not glimpse.film % 2], odd

    def shares(self, glimpses: Sequence[Glimpse]) -> tuple[Array, Array]:
        """(h, w) each: of the time, for how much a cell is above the threshold, and for how much it is restless."""
        whole = sum(glimpse.span for glimpse in glimpses)
        lit, _ = self.lit_seconds(glimpses)
        restless = np.zeros(self.cells)
        for glimpse in glimpses:
            if glimpse.restless:
                restless += glimpse.span * self._unpacked(glimpse.restless)
        return lit / max(whole, 1e-9), restless / max(whole, 1e-9)

    def lit_seconds(self, glimpses: Sequence[Glimpse]) -> tuple[Array, Array]:
        """(h, w) each: for how long a cell is above the threshold, and in how many stretches apart from one another."""
        seconds, stretches = np.zeros(self.cells), np.zeros(self.cells, int)
        last, clock = np.full(self.cells, -np.inf), 0.0
        film = -1
        for glimpse in glimpses:
            clock += glimpse.span + (STRETCH_S if glimpse.film != film else 0.0)
            film = glimpse.film
            logits = self.logits(glimpse)
            if logits is not None:
                lit = logits > self._bar
                seconds[lit] += glimpse.span
                stretches += lit & (clock - last > STRETCH_S)
                last[lit] = clock
        return seconds, stretches

    def _check(self, frame: Frame) -> None:
        size = frame.image.shape[1], frame.image.shape[0]
        if not self.glimpses:
            self.size = size
            rows, columns = cells(fit(size, self._segmenter.spec), self._segmenter.spec)
            self.cells = rows, columns
        elif size != self.size:
            raise ConfigError(
                f"{self.names[-1]}: pictures of {size[0]}x{size[1]}, those before of {self.size[0]}x{self.size[1]}; "
                "calibrate with footage of one camera at one size"
            )

    def _forget(self) -> None:
        self._recent.clear()
        self._before = None

    def _compare(self, captured: float, image: Array) -> tuple[float, bytes]:
        """Seconds since the frame before, and the cells that have changed over the lag; notes the noise."""
        span = 0.0
        if self._before is not None:
            span = captured - self._before[0]
            self._measure(image[::2, ::2], self._before[1][::2, ::2])
        self._before = captured, image
        small = cv2.resize(image, self.cells[::-1], interpolation=cv2.INTER_AREA)
        self._recent.append((captured, small))
        while len(self._recent) > 1 and captured - self._recent[1][0] >= LAG_S:
            self._recent.popleft()
        then, earlier = self._recent[0]
        if captured - then < LAG_S:
            return span, b""
        sigma = self._noise[-1] if self._noise else 0.0
        changed = np.abs(small - earlier) > UNITS * (3 * sigma + 2 * LEVEL)
        return span, zlib.compress(np.packbits(changed).tobytes(), 1)

    def _measure(self, image: Array, before: Array) -> None:
        """Note the noise between two pictures, without what has never changed yet: borders have none."""
        alive = self.highest[::2, ::2] > self.lowest[::2, ::2]
        if (image != before).any():  # a repeated frame is no news
            self._noise.append(sigma_between(image[alive], before[alive]))

    def _coded(self, logits: Array) -> Array:
        """Rounded up, so that what lies above the threshold lies above it again."""
        codes = np.ceil((logits - np.float32(self._bar)) * np.float32(STEPS)) + MIDDLE
        return np.asarray(codes.clip(0, 255).astype(np.uint8))

    def _unpacked(self, restless: bytes) -> Array:
        bits = np.frombuffer(zlib.decompress(restless), np.uint8)
        return np.unpackbits(bits, count=self.cells[0] * self.cells[1]).reshape(self.cells)


def sigma_between(image: Array, before: Array) -> float:
    """Temporal noise of a pixel, from two pictures of one view in any shape; robust against what moves in a tenth of
    it."""
    difference = np.abs(image - before).ravel()
    most = int(TRIMMED * difference.size)
    return float(np.partition(difference, most)[:most].mean()) / GAUSSIAN if most else 0.0
