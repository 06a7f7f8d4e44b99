"""What a camera and its codec add to a scene: gain, lens, shake, noise, halo, black borders, compression."""

from __future__ import annotations

import cv2
import numpy as np

from calibration.noise import NoiseBank
from edge.records import Array


def window(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """(H, W) float32: 1 where the camera shows the scene. Some recordings have black borders, which are without noise:
    what is measured over the whole view must not be fooled by them."""
    seen = np.ones(size, np.float32)
    if rng.random() < 0.15:
        for axis in rng.permutation(2)[: rng.integers(1, 3)]:
            first, last = (rng.uniform(0, 0.22, 2) * size[axis]).astype(int)
            edges = seen if axis == 0 else seen.T
            edges[:first] = edges[size[axis] - last :] = 0.0
    return seen


class Camera:
    """What the camera and its codec add; one of these holds for a clip, so that the past and the clip share it."""

    def __init__(self, rng: np.random.Generator, bank: NoiseBank, size: tuple[int, int]) -> None:
        self.rng = rng
        self.gain = float(np.exp(rng.uniform(np.log(0.25), np.log(1.3))))
        self.offset = float(rng.uniform(0.0, 0.3) if self.gain < 0.8 else rng.uniform(-0.15, 0.1))
        self.inverted = rng.random() < 0.2
        # detector noise in grey levels; codecs and built-in filters leave many clips with next to none
        self.noise = float(rng.choice([0.0, 0.3, rng.uniform(0.3, 1.5), rng.uniform(1.0, 4.0)])) / 255.0
        self.rows = self.noise * float(rng.choice([0.0, 0.0, 0.5, rng.uniform(0.5, 1.5)]))
        self.stripes = np.zeros((size[0], 1), np.float32)  # the rows' offsets wander
        self.pattern = self.noise * rng.uniform(0, 1) * rng.standard_normal(size).astype(np.float32)
        self.shake = float(rng.choice([0.0, 0.0, 0.0, 0.1, 0.4]))
        self.quality = int(
            rng.choice([0, 0, int(rng.integers(25, 60)), int(rng.integers(60, 96))])
        )  # JPEG; 0: lossless
        self.dead_zone = (
            float(rng.choice([0.0, 0.0, 0.4, rng.uniform(0.4, 1.2)])) / 255.0
        )  # skipped blocks of a video codec
        self.lens = float(rng.choice([0.0, 0.0, 0.5, rng.uniform(0.5, 1.2)]))  # blur, px
        # detail enhancement against a local mean, as in many uncooled cameras: a halo around whatever stands out, over
        # a bare sky stronger than any plume
        self.halo = float(rng.choice([0.0, 0.0, np.exp(rng.uniform(np.log(0.2), np.log(3.0)))]))
        self.reach = int(np.exp(rng.uniform(np.log(9), np.log(60))))  # of the boxes that make up the mean, px
        self.window = window(rng, size)
        self.grain = rng.standard_normal((4, size[0] + 32, size[1] + 32)).astype(np.float32)

    @property
    def hides(self) -> float:
        """Contrast of a patch, 0..1, that the codec swallows: half a DC step of JPEG, the dead zone of video."""
        scale = (50.0 / self.quality if self.quality < 50 else 2.0 - self.quality / 50.0) if self.quality else 0.0
        return max(0.5 * 16.0 * scale / 8.0 / 255.0, 1.2 * self.dead_zone)

    def expose(self, scene: Array) -> Array:
        """Scene radiance to grey levels, before noise. (…, H, W) float32."""
        grey = scene * np.float32(self.gain) + np.float32(self.offset)
        return (1.0 - grey if self.inverted else grey).astype(np.float32)

    def enhance(self, grey: Array) -> Array:
        """(H, W) with local contrast raised, where this camera does that."""
        if not self.halo:
            return grey
        box = (self.reach, self.reach)
        return grey + np.float32(self.halo) * (grey - cv2.blur(cv2.blur(grey, box), box))

    def remember(self, past: Array) -> Array:
        """(H, W) float32 0..1: what a mean over many frames of the exposed `past` has left."""
        return ((self.enhance(past) + self.pattern).clip(0, 1) * self.window).astype(np.float32)

    def disturb(self, grey: Array) -> Array:
        """One frame with lens, shake and noise, float32."""
        rng = self.rng
        if self.shake:
            dx, dy = rng.normal(0, self.shake, 2)
            move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
            grey = cv2.warpAffine(grey, move, grey.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        if self.lens:
            grey = cv2.GaussianBlur(grey, (0, 0), self.lens)
        grey = self.enhance(grey) + self.pattern
        if self.noise:
            y, x = rng.integers(0, 32, 2)
            h, w = grey.shape
            grey = grey + np.float32(self.noise) * self.grain[rng.integers(4), y : y + h, x : x + w]
        if self.rows:
            self.stripes = 0.8 * self.stripes + 0.6 * rng.standard_normal(self.stripes.shape).astype(np.float32)
            grey = grey + np.float32(self.rows) * self.stripes
        return grey

    def record(self, frames: list[Array]) -> Array:
        """(T, H, W) uint8 as they come out of the codec; AGC steps and shutter freezes happen here."""
        rng = self.rng
        if rng.random() < 0.06:
            step, at = rng.uniform(-0.06, 0.06), int(rng.integers(1, len(frames)))
            frames = [f + np.float32(step) if t >= at else f for t, f in enumerate(frames)]
        if rng.random() < 0.05:
            at = int(rng.integers(1, len(frames)))
            frames = [frames[at - 1] if at <= t < at + 2 else f for t, f in enumerate(frames)]
        shown: list[Array] = []
        kept: Array | None = None
        for frame in frames:
            if self.dead_zone and kept is not None:
                h, w = frame.shape
                change = cv2.resize(np.abs(frame - kept), (w // 8, h // 8), interpolation=cv2.INTER_AREA)
                same = cv2.resize(change, (w, h), interpolation=cv2.INTER_NEAREST) < self.dead_zone
                frame = np.where(same, kept, frame)
            kept = frame
            image = np.rint(frame * self.window * 255.0).clip(0, 255).astype(np.uint8)
            if self.quality:
                packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
                image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE))
            shown.append(image)
        return np.stack(shown)
