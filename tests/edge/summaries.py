"""Summaries made by hand, for tests that need no camera."""

from __future__ import annotations

from edge.records import Quality, Summary

UTC = 1_790_000_000.0


def summary(
    index: int,
    *,
    fps: float = 30.0,
    box: tuple[int, int, int, int] | None = (100, 100, 40, 30),
    quality: Quality = Quality.GOOD,
    captured: float | None = None,
    cnr: float = 4.0,
    confidence: float = 0.95,
    flicker: float = 3.0,
    view: tuple[float, ...] | None = None,
) -> Summary:
    """One frame of a 320x240 camera with a plume that fills `box`, or none."""
    area = 0 if box is None else box[2] * box[3]
    at = index / fps if captured is None else captured
    centre = None if box is None else (box[0] + box[2] / 2, box[1] + box[3] / 2)
    x, y, w, h = box or (0, 0, 0, 0)
    return Summary(
        index=index,
        captured=at,
        utc=UTC + at,
        width=320,
        height=240,
        area_px=area,
        area_share=area / (320 * 240),
        box=box,
        contour=((x, y), (x + w, y), (x + w, y + h)) if box else (),
        centroid=centre,
        drift=(3.0, -1.5) if box else None,
        origin=centre,
        cnr=cnr,
        confidence=confidence if box else 0.0,
        flicker=flicker if box else 0.0,
        noise=1.2,
        quality=quality,
        view=view,
    )
