"""What a person wants to see: the picture with the plume's outline, its origin and the state of the alarm."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge.condition import Phase
from edge.records import Array, Summary

HEIGHT = 480  # small pictures are enlarged, in whole steps, to at least this, so that text and lines stay readable
COLOURS = {  # BGR, by what the operator must do
    Phase.NORMAL: (190, 190, 190),
    Phase.PENDING: (0, 200, 255),
    Phase.ACTIVE: (60, 60, 255),
    Phase.RETURNING: (60, 160, 255),
}


def size(width: int, height: int) -> tuple[int, int]:
    """The size of a drawn picture, (width, height), for a source of this size."""
    scale = _scale(height)
    return width * scale, height * scale


def draw(image: Array, mask: Array, summary: Summary, phase: Phase, event_id: str = "") -> Array:
    """One picture, BGR uint8, of `size(...)`; `image` is the source frame (grey or BGR, 8 or 16 bit)."""
    scale = _scale(image.shape[0])
    canvas: Array = cv2.resize(to_bgr(image), None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    colour = COLOURS[phase]
    large = cv2.resize(mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(canvas, outlines, -1, (0, 220, 0), 1, cv2.LINE_AA)
    if summary.box is not None:
        x, y, width, height = (value * scale for value in summary.box)
        cv2.rectangle(canvas, (x, y), (x + width, y + height), colour, 1)
    if summary.origin is not None:
        at = (round(summary.origin[0] * scale), round(summary.origin[1] * scale))
        cv2.drawMarker(canvas, at, (0, 0, 255), cv2.MARKER_CROSS, 16, 2)
    if summary.centroid is not None and summary.drift is not None:
        cx, cy = summary.centroid
        dx, dy = summary.drift
        tail, head = (cx * scale, cy * scale), ((cx + dx) * scale, (cy + dy) * scale)  # where it will be in a second
        cv2.arrowedLine(canvas, _pixel(tail), _pixel(head), (255, 200, 0), 1, cv2.LINE_AA, tipLength=0.2)
    quality = " ".join(summary.quality.names)
    _write(canvas, f"{phase.value.upper()} {event_id[:8]}".strip(), 18, colour)
    _write(canvas, f"{summary.area_share:.2%} of view  cnr {summary.cnr:.1f}  {quality}".strip(), 36, (230, 230, 230))
    _write(canvas, f"frame {summary.index}  {summary.captured:.2f} s", canvas.shape[0] - 8, (230, 230, 230))
    return canvas


def sheet(pictures: Sequence[Array], columns: int = 3) -> Array:
    """Pictures of one size as a contact sheet, row by row; missing ones stay dark."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    paper = np.full((rows * (height + 4) + 4, columns * (width + 4) + 4, 3), 24, np.uint8)
    for number, picture in enumerate(pictures):
        y, x = 4 + number // columns * (height + 4), 4 + number % columns * (width + 4)
        paper[y : y + height, x : x + width] = picture
    return paper


def to_bgr(image: Array) -> Array:
    """A source frame, grey or BGR, 8 or 16 bit, as something to look at: BGR uint8."""
    if image.dtype == np.uint16:  # stretch between the darkest and the brightest percent
        low, high = np.percentile(image, (1, 99))
        image = np.clip((image - low) * (255 / max(high - low, 1)), 0, 255).astype(np.uint8)
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image


def _scale(height: int) -> int:
    return max(1, -(-HEIGHT // height))


def _pixel(point: tuple[float, float]) -> tuple[int, int]:
    return round(point[0]), round(point[1])


def _write(canvas: Array, text: str, y: int, colour: tuple[int, int, int]) -> None:
    for shade, offset in (((0, 0, 0), 1), (colour, 0)):  # a shadow, so that it can be read on any ground
        at = (8 + offset, y + offset)
        cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, shade, 1, cv2.LINE_AA)
