"""Mask -> Summary: one frame's plume in numbers. Nearly free while there is no plume."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np

from edge.mask import Part
from edge.plume import Drift, Flicker, Origin, lit_share, reduce
from edge.records import STILL, UNBELIEVABLE, Array, Point, Quality, Segmentation, Summary
from edge.warp import in_cells

CONTOUR_POINTS = 32
NOISE_FLOOR = 0.5  # grey levels: less than the rounding to 8 bits makes, so that clean footage has no endless contrast
FORGET_S = 5.0  # after this long without gas the next plume is another one
LOOK_S = Drift.STEP_S  # between two looks at what a plume shows only over time; until the next the last one stands
Traits = tuple[Point | None, Point | None, float]  # drift (px/s), origin (px), flicker
NEW_VIEW = Quality.CUT | Quality.GAP | Quality.UNREGISTERED
CHANGED = Quality.GAIN | UNBELIEVABLE  # what flickers then is the camera


class Summariser:
    """`step` every segmentation of one camera, in order; remembers the plume's drift, origin and flicker."""

    def __init__(self) -> None:
        self._flicker = Flicker()
        self.reset()

    def reset(self) -> None:
        """Forget the plume."""
        self._drift, self._origin = Drift(), Origin()
        self._seen: float | None = None  # when there was gas last
        self._looked: tuple[float, Array, Traits] | None = None  # at the plume: when, in which view, what it showed

    def step(self, segmentation: Segmentation) -> Summary:
        """Measure one mask."""
        frame, mask, quality = segmentation.frame, segmentation.mask, segmentation.quality
        height, width = mask.shape
        if quality & NEW_VIEW or (self._seen is not None and not 0 <= frame.captured - self._seen <= FORGET_S):
            self.reset()
        if quality & CHANGED:
            self._flicker, self._looked = Flicker(), None
        self._flicker.see(frame.captured, segmentation.image, segmentation.view)
        said = partial(
            Summary,
            index=frame.index,
            captured=frame.captured,
            utc=frame.utc,
            width=width,
            height=height,
            noise=segmentation.noise,
            quality=quality,
            view=placed_in(segmentation.view, segmentation.image.shape, mask.shape),
        )
        box = x, y, w, h = cv2.boundingRect(mask)
        if not w:
            self._flicker.lost()
            self._looked = None
            return said()
        self._seen = frame.captured
        part = mask[y : y + h, x : x + w]
        area = cv2.countNonZero(part)
        drift, origin, flicker = self._traits(segmentation, box)
        where, inside = sampled(mask, box, segmentation.image.shape)
        cnr = contrast_to_noise(segmentation, where, inside)
        if segmentation.logits.shape != segmentation.image.shape:
            where, inside = sampled(mask, box, segmentation.logits.shape)
        return said(
            area_px=area,
            area_share=area / (width * height),
            box=box,
            contour=contour(part, (x, y)),
            centroid=centroid(part, (x, y)),
            drift=drift,
            origin=origin,
            cnr=cnr,
            confidence=confidence(segmentation.logits, where, inside),
            flicker=flicker,
        )

    def _traits(self, segmentation: Segmentation, box: Sequence[int]) -> Traits:
        """Of the last look, where that is not out of date, nor out of place since the camera has moved."""
        captured, view = segmentation.frame.captured, segmentation.view
        if self._looked is None or captured - self._looked[0] >= LOOK_S or view is not self._looked[1]:
            self._looked = captured, view, self._look(segmentation, box)
        return self._looked[2]

    def _look(self, segmentation: Segmentation, box: Sequence[int]) -> Traits:
        """What the plume so far shows, from reduced pictures."""
        captured, view = segmentation.frame.captured, segmentation.view
        gas, contrast = lit_share(segmentation.mask, box), reduce(segmentation.image - segmentation.background)
        height, width = segmentation.mask.shape
        across, down = width / gas.shape[1], height / gas.shape[0]  # px in a cell
        if contrast.shape != gas.shape:
            contrast = cv2.resize(contrast, gas.shape[::-1], interpolation=cv2.INTER_AREA)
        if view is not STILL:
            fine = segmentation.image.shape
            view = in_cells(view, fine[1] / gas.shape[1], fine[0] / gas.shape[0])
        velocity = self._drift.step(captured, contrast, gas, view)
        origin = self._origin.step(captured, gas, velocity, view)
        drift = None if velocity is None else (float(velocity[0]) * across, float(velocity[1]) * down)
        source = None if origin is None else (origin[0] * across, origin[1] * down)
        return drift, source, self._flicker.step(gas)


def placed_in(view: Array, shape: tuple[int, ...], source: tuple[int, ...]) -> tuple[float, ...] | None:
    """A view of a picture (h, w) as one of its source (H, W), row by row; None where the camera has not moved."""
    if view is STILL or np.array_equal(view, STILL):
        return None
    return tuple(in_cells(view, shape[1] / source[1], shape[0] / source[0]).ravel().tolist())


def contour(part: Array, at: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Outline of the largest component of a mask that lies at (x, y), coarsened to at most CONTOUR_POINTS points."""
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=at)
    outline = outlines[0] if len(outlines) == 1 else max(outlines, key=cv2.contourArea)
    tolerance = 1.0  # px
    while len(outline) > CONTOUR_POINTS:
        outline = cv2.approxPolyDP(outline, tolerance, closed=True)
        tolerance *= 1.5
    return tuple(map(tuple, outline[:, 0].tolist()))


def centroid(part: Array, at: tuple[int, int]) -> Point:
    """Mean position of the lit pixels in a part at (x, y) of a mask."""
    sums = cv2.moments(part)
    return at[0] + sums["m10"] / sums["m00"], at[1] + sums["m01"] / sums["m00"]


def contrast_to_noise(segmentation: Segmentation, where: Part, inside: Array) -> float:
    """|mean of image - background| inside the mask, over the temporal noise of one pixel, at least NOISE_FLOOR; the
    mask as `sampled` gives it."""
    if not inside.size:  # a mask of few pixels, between those of the image
        return 0.0
    lit = inside.view(np.uint8)
    contrast = 255.0 * abs(
        cv2.mean(segmentation.image[where], lit)[0] - cv2.mean(segmentation.background[where], lit)[0]
    )
    return contrast / max(segmentation.noise, NOISE_FLOOR)


def confidence(logits: Array, where: Part, inside: Array) -> float:
    """Mean probability of gas inside the mask, which comes as `sampled` gives it."""
    lit = logits[where][inside]
    if not len(lit):  # a mask of few pixels, between those of the logits
        lit = logits.max(keepdims=True)
    return float((1.0 / (1.0 + np.exp(-lit))).sum() / len(lit))


def sampled(mask: Array, box: Sequence[int], shape: tuple[int, ...]) -> tuple[Part, Array]:
    """The mask at the resolution of another picture (h, w) of the same view, by the nearest pixel: where all that is
    lit lies there, and what is lit of that, bool."""
    x, y, width, height = box
    down, across = mask.shape[0] // shape[0], mask.shape[1] // shape[1]
    if mask.shape != (down * shape[0], across * shape[1]):
        mask = cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST)
        (x, y, width, height), down, across = cv2.boundingRect(mask), 1, 1
    rows = slice(-(-y // down), -(-(y + height) // down))
    columns = slice(-(-x // across), -(-(x + width) // across))
    return (rows, columns), mask[::down, ::across][rows, columns] > 0
