"""Mask -> Summary: one frame's plume in numbers. Nearly free while there is no plume."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

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
        drift, origin, flicker = self._traits(segmentation)
        coarse = resampled(mask, segmentation.image.shape)
        return said(
            area_px=area,
            area_share=area / (width * height),
            box=box,
            contour=contour(part, (x, y)),
            centroid=centroid(part, (x, y), area),
            drift=drift,
            origin=origin,
            cnr=contrast_to_noise(segmentation, coarse),
            confidence=confidence(segmentation.logits, coarse),
            flicker=flicker,
        )

    def _traits(self, segmentation: Segmentation) -> Traits:
        """Of the last look, where that is not out of date, nor out of place since the camera has moved."""
        captured, view = segmentation.frame.captured, segmentation.view
        if self._looked is None or captured - self._looked[0] >= LOOK_S or view is not self._looked[1]:
            self._looked = captured, view, self._look(segmentation)
        return self._looked[2]

    def _look(self, segmentation: Segmentation) -> Traits:
        """What the plume so far shows, from reduced pictures."""
        captured, view = segmentation.frame.captured, segmentation.view
        gas, contrast = lit_share(segmentation.mask), reduce(segmentation.image - segmentation.background)
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
    outline = max(outlines, key=cv2.contourArea)
    tolerance = 1.0  # px
    while len(outline) > CONTOUR_POINTS:
        outline = cv2.approxPolyDP(outline, tolerance, closed=True)
        tolerance *= 1.5
    return tuple(map(tuple, outline[:, 0].tolist()))


def centroid(part: Array, at: tuple[int, int], area: int) -> Point:
    """Mean position of the `area` pixels that are 255 in a part at (x, y) of a mask."""
    columns, rows = (cv2.reduce(part, along, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() for along in (0, 1))
    across, down = (int(each @ np.arange(len(each))) for each in (columns, rows))
    return at[0] + across / (255 * area), at[1] + down / (255 * area)


def contrast_to_noise(segmentation: Segmentation, inside: Array) -> float:
    """|mean of image - background| inside the mask, which comes at their resolution, over the temporal noise of one
    pixel, at least NOISE_FLOOR."""
    x, y, width, height = cv2.boundingRect(inside)
    if not width:  # a mask of few pixels, between those of the image
        return 0.0
    part = np.s_[y : y + height, x : x + width]
    image, background, inside = segmentation.image[part], segmentation.background[part], inside[part]
    contrast = 255.0 * abs(cv2.mean(image, inside)[0] - cv2.mean(background, inside)[0])
    return contrast / max(segmentation.noise, NOISE_FLOOR)


def confidence(logits: Array, mask: Array) -> float:
    """Mean probability of gas inside the mask."""
    inside = logits[resampled(mask, logits.shape) > 0]
    if not len(inside):  # a mask of few pixels, between those of the logits
        inside = logits.max(keepdims=True)
    return float((1.0 / (1.0 + np.exp(-inside))).sum() / len(inside))


def resampled(mask: Array, shape: tuple[int, ...]) -> Array:
    """The mask at the resolution of another picture of the same view."""
    if mask.shape == shape:
        return mask
    coarse: Array = cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    return coarse
