"""Frame -> the model's frame input (1, 1, H, W), and the way back: grey, scale, size, polarity; nothing else.

An 8-bit picture is divided by 255. A 16-bit one is mapped to 0..1 between two values: given ones, or percentiles of the
scene with some room around them. They are taken once and kept until the scene leaves the range, since a range that
follows every frame would look like a camera that keeps changing its gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from edge.contract import ModelSpec
from edge.records import Array

Size = tuple[int, int]  # width, height

STEPS = 64  # of a 16-bit range at least: sensor noise alone is no picture
FLAT = 0.05  # share of the 16-bit range below which a picture shows no scene, so a closed shutter changes no range
NARROW, NARROW_FRAMES = 0.25, 300  # a scene that fills less than this share for so many frames gets a range of its own


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the source picture lies in the model's input; all in model px."""

    source: Size
    model: Size
    x: int
    y: int
    width: int
    height: int

    def crop(self, plane: Array) -> Array:
        """The part of a plane (h, w) that shows the source, at any whole fraction of the model's resolution; a view."""
        shrink = self.model[0] // plane.shape[1]
        left, top = self.x // shrink, self.y // shrink
        return plane[top : top + self.height // shrink, left : left + self.width // shrink]


def fit(source: Size, spec: ModelSpec) -> Geometry:
    """How a source of this size is placed: over the whole input (stretch), or undistorted in its middle (letterbox)."""
    width, height = spec.size
    if spec.resize == "stretch":
        return Geometry(source, spec.size, 0, 0, width, height)
    step = 2 * (width // spec.outputs["logits"].shape[3])  # edges fall on whole pixels of the logits
    scale = min(width / source[0], height / source[1])
    inner = [
        min(full, max(step, round(size * scale / step) * step)) for size, full in zip(source, spec.size, strict=True)
    ]
    left, top = ((full - size) // step * step // 2 for full, size in zip(spec.size, inner, strict=True))
    return Geometry(source, spec.size, left, top, inner[0], inner[1])


@dataclass(frozen=True, slots=True)
class Range:
    """The 16-bit values that become 0 and 1."""

    low: float
    high: float


class Preprocessor:
    """One camera's way into the model. Buffers are reused: what `step` gives holds until the next call."""

    def __init__(
        self,
        spec: ModelSpec,
        *,
        polarity: Literal["white_hot", "black_hot"] = "white_hot",
        fixed_range: Range | None = None,
    ) -> None:
        self._spec = spec
        self._inverted = polarity == "black_hot"
        self._fixed = fixed_range
        self._range: Range | None = fixed_range
        self._narrow = 0  # frames in a row whose scene fills little of the range
        self._input: Array = np.zeros(spec.inputs["frame"].shape, np.float32)
        self._plane: Array = self._input[0, 0]
        self._scaled: Array = np.zeros((1, 1), np.float32)  # the source in 0..1, before it is resized
        self.geometry = fit(spec.size, spec)
        self.remapped: tuple[float, float] | None = None  # earlier pictures in the last step's mapping: gain, offset

    def step(self, image: Array) -> Array:
        """(H, W) or (H, W, 3 BGR), uint8 or uint16 -> (1, 1, H, W) float32 0..1."""
        height, width = image.shape[:2]
        if self.geometry.source != (width, height):
            self.geometry = fit((width, height), self._spec)
            self._scaled = np.zeros((height, width), np.float32)
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        same = self._plane.shape == grey.shape
        self._scale(grey, self._plane if same else self._scaled)
        if not same:
            self._place(self._scaled)
        return self._input

    def _scale(self, grey: Array, out: Array) -> None:
        """Grey levels of any depth -> 0..1 in `out`."""
        self.remapped = None
        if grey.dtype == np.uint8:
            np.divide(grey, np.float32(255), out=out, casting="unsafe")
        else:
            self._range = self._suitable(grey)
            low, span = np.float32(self._range.low), np.float32(self._range.high - self._range.low)
            np.subtract(grey, low, out=out, casting="unsafe")
            np.divide(out, span, out=out)
            np.clip(out, 0, 1, out=out)
        if self._inverted:
            np.subtract(np.float32(1), out, out=out)

    def _suitable(self, grey: Array) -> Range:
        """The range in use, or a new one where the scene has left it or has filled little of it for long."""
        if self._fixed is not None:
            return self._fixed
        low, high = (float(value) for value in np.percentile(grey[::4, ::4], (1, 99)))
        old, spread = self._range, high - low
        if old is not None:
            span = old.high - old.low
            self._narrow = self._narrow + 1 if spread < NARROW * span and span > 2 * STEPS else 0
            inside = old.low <= low and high <= old.high and self._narrow < NARROW_FRAMES
            if inside or spread < FLAT * span:
                return old
            self._narrow = 0
        # half of the range again for what the plume adds
        room = max(0.25 * spread, 0.5 * (STEPS - spread))
        new = Range(low - room, high + room)
        if old is not None:
            span = new.high - new.low
            gain, offset = (old.high - old.low) / span, (old.low - new.low) / span
            self.remapped = (gain, 1 - gain - offset) if self._inverted else (gain, offset)
        return new

    def _place(self, scaled: Array) -> None:
        """Resize into the input; letterbox borders mirror the picture, so that its noise statistics hold there."""
        at = self.geometry
        inner = self._plane[at.y : at.y + at.height, at.x : at.x + at.width]
        shrinking = at.width < scaled.shape[1] or at.height < scaled.shape[0]
        cv2.resize(
            scaled, (at.width, at.height), inner, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        )
        if (at.width, at.height) != at.model:
            right, bottom = at.model[0] - at.x - at.width, at.model[1] - at.y - at.height
            cv2.copyMakeBorder(inner.copy(), at.y, bottom, at.x, right, cv2.BORDER_REFLECT, self._plane)
