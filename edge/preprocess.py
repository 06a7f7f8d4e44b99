"""Frame -> the model's frame input (1, 1, H, W), and the way back: grey, scale, size, polarity, what to ignore.

A picture in a palette's colours is brought back to grey. An 8-bit picture is divided by 255. A 16-bit one is mapped to
0..1 between two values: given ones, or percentiles of the scene with some room around them. They are taken once and
kept until the scene leaves the range, since a range that follows every frame would look like a camera that keeps
changing its gain. What is to be ignored becomes one grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from edge.contract import ModelSpec
from edge.palette import Palette
from edge.records import Array
from edge.rendering import PLAIN, Polygon, Range, Rendering

Size = tuple[int, int]  # width, height

STEPS = 64  # of a 16-bit range at least: sensor noise alone is no picture
FLAT = 0.05  # share of the 16-bit range below which a picture shows no scene, so a closed shutter changes no range
IGNORED = 0.5  # what the model sees where the view is to be ignored
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
        if (self.width, self.height) == self.model:
            return plane
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


class Preprocessor:
    """One camera's way into the model. Buffers are reused: what `step` gives holds until the next call."""

    def __init__(
        self,
        spec: ModelSpec,
        *,
        polarity: Literal["white_hot", "black_hot"] = "white_hot",
        rendering: Rendering = PLAIN,
    ) -> None:
        """Raises ConfigError for an unknown palette."""
        self._spec = spec
        self._inverted = polarity == "black_hot"
        self._fixed = rendering.range
        self._range: Range | None = rendering.range
        self._palette = Palette(rendering.palette) if rendering.palette else None
        self._ignore = rendering.ignore
        self._narrow = 0  # frames in a row whose scene fills little of the range
        self._input: Array = np.zeros(spec.inputs["frame"].shape, np.float32)
        self._plane: Array = self._input[0, 0]
        self._place_source(spec.size)
        self.remapped: tuple[float, float] | None = None  # earlier pictures in the last step's mapping: gain, offset

    def step(self, image: Array) -> Array:
        """(H, W) or (H, W, 3 BGR), uint8 or uint16 -> (1, 1, H, W) float32 0..1."""
        height, width = image.shape[:2]
        if self.geometry.source != (width, height):
            self._place_source((width, height))
        grey = self._grey(image)
        if self._plane.shape == grey.shape:
            self._scale(grey, self._plane)
        else:
            self._resize(self._scale(grey, np.empty(grey.shape, np.float32)))
        if self.ignored is not None:
            self._inner[self.ignored] = IGNORED
        if self._inner.shape != self._plane.shape:
            self._surround()
        return self._input

    def _place_source(self, source: Size) -> None:
        """Get ready for pictures of this size."""
        self.geometry = at = fit(source, self._spec)
        self._inner: Array = self._plane[at.y : at.y + at.height, at.x : at.x + at.width]
        self.ignored = covered(self._ignore, at.width, at.height) if self._ignore else None
        self._seen = ~covered(self._ignore, *source)[::4, ::4] if self._ignore else None  # what makes the 16-bit range

    def _grey(self, image: Array) -> Array:
        if image.ndim == 2:
            return image
        if self._palette is not None and image.dtype == np.uint8:
            return self._palette.grey(image)
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))

    def _scale(self, grey: Array, out: Array) -> Array:
        """Grey levels of any depth -> 0..1, in `out`."""
        self.remapped = None
        if grey.dtype != np.uint16:
            np.divide(grey, np.float32(255), out=out, casting="unsafe")
        else:
            self._range = self._suitable(grey)
            low, span = np.float32(self._range.low), np.float32(self._range.high - self._range.low)
            np.subtract(grey, low, out=out, casting="unsafe")
            np.divide(out, span, out=out)
            np.clip(out, 0, 1, out=out)
        if self._inverted:
            np.subtract(np.float32(1), out, out=out)
        return out

    def _suitable(self, grey: Array) -> Range:
        """The range in use, or a new one where the scene has left it or has filled little of it for long."""
        if self._fixed is not None:
            return self._fixed
        scene = grey[::4, ::4] if self._seen is None else grey[::4, ::4][self._seen]
        low, high = (float(value) for value in np.percentile(scene, (1, 99)))
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

    def _resize(self, scaled: Array) -> None:
        """Into the input."""
        height, width = self._inner.shape
        shrinking = width < scaled.shape[1] or height < scaled.shape[0]
        cv2.resize(
            scaled, (width, height), self._inner, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        )

    def _surround(self) -> None:
        """Letterbox borders mirror the picture, so that its noise statistics hold there."""
        at = self.geometry
        right, bottom = at.model[0] - at.x - at.width, at.model[1] - at.y - at.height
        cv2.copyMakeBorder(self._inner.copy(), at.y, bottom, at.x, right, cv2.BORDER_REFLECT, self._plane)


def covered(ignore: tuple[Polygon, ...], width: int, height: int) -> Array:
    """(height, width) bool: every pixel that the polygons touch, and those beside it, which resizing mixes in."""
    touched = np.zeros((height, width), np.uint8)
    for polygon in ignore:
        corners = np.array(polygon, np.float64) * (width, height)
        cv2.fillPoly(touched, [np.rint(corners).astype(np.int32)], 1)
    return np.asarray(cv2.dilate(touched, np.ones((3, 3), np.uint8)) > 0)
