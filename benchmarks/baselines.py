"""What one gets without a network: background subtraction, a lagged difference, optical flow.

Each has the segmenter's interface, `step(frame) -> Segmentation`, and goes through the same pipeline; `look` is the
method alone. They know a pixel as gas or not, so their logits are one of two values. Their settings are the same for
every clip, and were chosen in their favour: on the very clips that `benchmarks.accuracy` scores them by.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import cv2
import numpy as np

from edge.records import Array, Frame, Quality, Segmentation

SURE = 6.0  # logit of a pixel called gas; -SURE of the others
OPEN = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
CLOSE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))


def grey(image: Array) -> Array:
    """(H, W) uint8 of any frame the camera gives."""
    if image.dtype == np.uint16:
        image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def clean(mask: Array) -> Array:
    """Specks out, holes closed."""
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, OPEN)
    return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, CLOSE).astype(bool)


def segmentation(frame: Frame, image: Array, mask: Array, background: Array, warming_up: bool) -> Segmentation:
    """The record of a method that has a mask and a picture it compared with."""
    difference = np.abs(image.astype(np.float32) - background)
    return Segmentation(
        frame=frame,
        logits=np.where(mask, np.float32(SURE), np.float32(-SURE)),
        mask=mask.astype(np.uint8) * 255,
        noise=float(1.4826 * np.median(difference)),
        image=image.astype(np.float32) / 255,
        background=background.astype(np.float32) / 255,
        quality=Quality.WARMING_UP if warming_up else Quality.GOOD,
    )


class Mog2:
    """Zivkovic's mixture-of-Gaussians background subtraction with morphology: the field's usual reference."""

    name = "mog2"

    def __init__(self, memory_s: float = 120.0, variance: float = 8.0) -> None:
        self.memory_s, self.variance = memory_s, variance
        self.reset()

    def reset(self) -> None:
        """Forget the background."""
        self.model = cv2.createBackgroundSubtractorMOG2(varThreshold=self.variance, detectShadows=False)
        self.captured: float | None = None

    def step(self, frame: Frame) -> Segmentation:
        """The mask, and what it was made of."""
        image, mask, first = self.look(frame)
        return segmentation(frame, image, mask, self.model.getBackgroundImage(), first)

    def look(self, frame: Frame) -> tuple[Array, Array, bool]:
        """Foreground of a mixture that forgets in `memory_s`, whatever the frame rate; True while it has none."""
        image = cv2.GaussianBlur(grey(frame.image), (5, 5), 0)
        first = self.captured is None
        rate = 1.0 if self.captured is None else min((frame.captured - self.captured) / self.memory_s, 1.0)
        self.captured = frame.captured
        return image, clean(self.model.apply(image, learningRate=rate)) & (not first), first


class LaggedDifference:
    """|frame now - frame `lag_s` ago|, blurred, above `sigmas` of the noise and above `floor` grey levels."""

    name = "lagged_difference"

    def __init__(self, lag_s: float = 4.0, sigmas: float = 3.0, floor: float = 3.0) -> None:
        self.lag_s, self.sigmas, self.floor = lag_s, sigmas, floor
        self.reset()

    def reset(self) -> None:
        """Forget the earlier frames."""
        self.past: deque[tuple[float, Array]] = deque()

    def step(self, frame: Frame) -> Segmentation:
        """The mask, and what it was made of."""
        image, mask, early = self.look(frame)
        return segmentation(frame, image, mask, self.past[0][1], early)

    def look(self, frame: Frame) -> tuple[Array, Array, bool]:
        """Compare with the newest frame that is at least `lag_s` old, or with the oldest there is: True meanwhile."""
        image = cv2.GaussianBlur(grey(frame.image), (7, 7), 0).astype(np.float32)
        self.past.append((frame.captured, image))
        while len(self.past) > 1 and self.past[1][0] <= frame.captured - self.lag_s:
            self.past.popleft()
        captured, earlier = self.past[0]
        difference = np.abs(image - earlier)
        sigma = 1.4826 * float(np.median(difference))
        mask = clean(difference > max(self.sigmas * sigma, self.floor))
        return image, mask, frame.captured - captured < self.lag_s


class FarnebackFlow:
    """Pixels that dense optical flow between two frames sees moving faster than `speed` px a frame."""

    name = "farneback_flow"

    def __init__(self, speed: float = 0.15) -> None:
        self.speed = speed
        self.reset()

    def reset(self) -> None:
        """Forget the previous frame."""
        self.previous: Array | None = None

    def step(self, frame: Frame) -> Segmentation:
        """The mask, and what it was made of."""
        previous = self.previous
        image, mask, first = self.look(frame)
        return segmentation(frame, image, mask, image if previous is None else previous, first)

    def look(self, frame: Frame) -> tuple[Array, Array, bool]:
        """Flow since the previous frame; True where there is none."""
        image = grey(frame.image)
        first = self.previous is None
        previous = image if self.previous is None else self.previous
        flow = cv2.calcOpticalFlowFarneback(previous, image, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        self.previous = image
        return image, clean(np.hypot(flow[..., 0], flow[..., 1]) > self.speed), first


Baseline = Mog2 | LaggedDifference | FarnebackFlow
BASELINES: dict[str, Callable[[], Baseline]] = {kind.name: kind for kind in (Mog2, LaggedDifference, FarnebackFlow)}
