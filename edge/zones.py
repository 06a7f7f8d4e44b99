"""Polygons over a camera's view: which pixels are watched for which alarm, and which for none.

A pixel belongs to a zone when its centre lies inside, so zones that share an edge share no pixel. Without zones nothing
is computed: the whole view is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge.records import Array, Segmentation, Summary
from edge.rules import ZoneSettings
from edge.summary import Summariser


@dataclass(frozen=True, slots=True)
class Layout:
    """The zones of one view as planes (H, W), uint8, 0 or 255."""

    kept: Array | None  # all that is not excluded; None: nothing is
    watched: tuple[Array, ...]  # without what is excluded; empty: the whole view is one


def layout(zones: Sequence[ZoneSettings], size: tuple[int, int]) -> Layout:
    """The planes of a view of `size` (width, height)."""
    watched = [inside(zone.polygon, size) for zone in zones if zone.kind == "watch"]
    excluded = [inside(zone.polygon, size) for zone in zones if zone.kind == "exclude"]
    if not excluded:
        return Layout(None, tuple(watched))
    kept: Array = cv2.bitwise_not(np.maximum.reduce(excluded))
    return Layout(kept, tuple(cv2.bitwise_and(plane, kept) for plane in watched))


def inside(polygon: Sequence[tuple[float, float]], size: tuple[int, int]) -> Array:
    """A polygon in shares of the view as (H, W) uint8, 255 where a pixel's centre lies inside (even-odd rule)."""
    width, height = size
    x = (np.arange(width) + 0.5) / width
    y = ((np.arange(height) + 0.5) / height)[:, None]
    odd = np.zeros((height, width), bool)
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if y0 != y1:
            if y0 > y1:  # always from the top: neighbours compute their common edge alike
                x0, y0, x1, y1 = x1, y1, x0, y0
            odd ^= (y0 <= y) & (y < y1) & (x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
    plane: Array = odd.astype(np.uint8) * np.uint8(255)
    return plane


def cut(mask: Array, planes: Layout) -> tuple[Array, ...]:
    """The part of a mask (H, W) in each zone that is watched."""
    return tuple(cv2.bitwise_and(mask, plane) for plane in planes.watched)


class ZonedSummariser:
    """One camera's summaries, of the whole view and of each zone that is watched; `masked` first, then `step`."""

    def __init__(self, zones: Sequence[ZoneSettings] = ()) -> None:
        self._zones = tuple(zones)
        self._whole = Summariser()
        self._each = tuple(Summariser() for zone in zones if zone.kind == "watch")
        self._layout: Layout | None = None
        self._size = (0, 0)

    def masked(self, segmentation: Segmentation) -> Segmentation:
        """Without the gas in excluded zones."""
        kept = self._planes(segmentation).kept if self._zones else None
        return segmentation if kept is None else replace(segmentation, mask=cv2.bitwise_and(segmentation.mask, kept))

    def step(self, segmentation: Segmentation) -> tuple[Summary, tuple[Summary, ...]]:
        """Of the whole view, for people; and of each zone, for its alarm: without zones the whole view again."""
        whole = self._whole.step(segmentation)
        if not self._each:
            return whole, (whole,)
        parts = cut(segmentation.mask, self._planes(segmentation))
        each = zip(self._each, parts, strict=True)
        return whole, tuple(zone.step(replace(segmentation, mask=part)) for zone, part in each)

    def _planes(self, segmentation: Segmentation) -> Layout:
        """Drawn at the first frame, and again when the camera changes its resolution."""
        height, width = segmentation.mask.shape
        if self._layout is None or self._size != (width, height):
            self._layout, self._size = layout(self._zones, (width, height)), (width, height)
        return self._layout
