"""Zones cut a mask exactly, and a view without them costs nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.annunciator import Annunciator, rules
from edge.config import CameraSettings
from edge.lifecycle import State
from edge.pipeline import process
from edge.records import Array, Frame, Quality, Segmentation
from edge.rules import AlarmSettings, ZoneSettings
from edge.summary import Summariser
from edge.zones import ZonedSummariser, cut, inside, layout
from tests.edge.fakes import FakeSegmenter, picture

SIZE = (320, 240)
LEFT, RIGHT = ((0, 0), (0.5, 0), (0.5, 1), (0, 1)), ((0.5, 0), (1, 0), (1, 1), (0.5, 1))
ALL = ((0, 0), (1, 0), (1, 1), (0, 1))


def zone(name: str, polygon: tuple[tuple[float, float], ...], kind: str = "watch", **alarm: object) -> ZoneSettings:
    return ZoneSettings(name=name, kind=kind, polygon=polygon, alarm=AlarmSettings(**alarm))


def segmented(mask: Array, index: int = 0) -> Segmentation:
    picture = np.zeros((120, 160), np.float32)
    frame = Frame(mask, index, index / 10, 1e9 + index / 10)
    return Segmentation(frame, picture + 3, mask, 1.0, picture, picture, Quality.GOOD)


def test_a_polygon_holds_the_pixels_whose_centre_lies_in_it():
    plane = inside(LEFT, SIZE)
    assert plane.shape == (240, 320)
    assert plane[:, :160].all()
    assert not plane[:, 160:].any()
    triangle = inside(((0, 0), (1, 0), (0, 1)), (4, 4))
    assert triangle.tolist() == [[255, 255, 255, 0], [255, 255, 0, 0], [255, 0, 0, 0], [0, 0, 0, 0]]


def test_the_same_polygon_is_the_same_place_at_every_resolution():
    corners = ((0.1, 0.2), (0.9, 0.3), (0.5, 0.95))
    large, small = inside(corners, (640, 480)), inside(corners, SIZE)
    assert (large > 0).mean() == pytest.approx((small > 0).mean(), rel=0.01)


POINTS = st.tuples(st.floats(0, 1), st.floats(0, 1))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(POINTS, POINTS, st.sampled_from([(320, 240), (33, 17)]))
def test_zones_that_share_their_edges_share_no_pixel_and_miss_none(one, two, size):
    """The view split into four triangles around a point, and by a line through two edges."""
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    parts = [inside((a, b, one), size) for a, b in zip(corners, (*corners[1:], corners[0]), strict=True)]
    assert (sum((part > 0).astype(int) for part in parts) == 1).all()
    top, bottom = two
    west = inside(((0, 0), (top, 0), (bottom, 1), (0, 1)), size)
    east = inside(((top, 0), (1, 0), (1, 1), (bottom, 1)), size)
    assert ((west > 0) ^ (east > 0)).all()


def test_a_mask_is_cut_into_the_zones_without_what_is_excluded():
    flare = ((0.4, 0), (0.6, 0), (0.6, 1), (0.4, 1))
    planes = layout([zone("left", LEFT), zone("right", RIGHT), zone("flare", flare, "exclude")], SIZE)
    mask = np.full((240, 320), 255, np.uint8)
    left, right = cut(mask, planes)
    assert (left > 0).sum() == (right > 0).sum() == 128 * 240
    assert not (left & right).any()
    assert (planes.kept > 0).sum() == 256 * 240
    assert mask.all(), "the mask itself stays"


def test_without_zones_the_whole_view_is_the_only_one_and_nothing_is_copied():
    zoned, plain = ZonedSummariser(), Summariser()
    for index in range(5):
        seen = segmented(np.full((240, 320), 255 * (index > 1), np.uint8), index)
        assert zoned.masked(seen) is seen
        whole, parts = zoned.step(seen)
        assert parts == (whole,)
        assert parts[0] is whole
        assert whole == plain.step(seen)


def test_each_zone_measures_its_own_part():
    mask = np.zeros((240, 320), np.uint8)
    mask[100:120, 140:200] = 255
    zoned = ZonedSummariser([zone("left", LEFT), zone("right", RIGHT)])
    whole, (left, right) = zoned.step(zoned.masked(segmented(mask)))
    assert (whole.area_px, left.area_px, right.area_px) == (1200, 400, 800)
    assert (left.box, right.box) == ((140, 100, 20, 20), (160, 100, 40, 20))
    assert left.area_share == 400 / (320 * 240), "of the view, as everywhere"


def test_gas_in_an_excluded_zone_is_none_for_the_summary_and_for_no_zone():
    mask = np.zeros((240, 320), np.uint8)
    mask[100:120, 0:100] = 255
    zoned = ZonedSummariser([zone("all", ALL), zone("flare", LEFT, "exclude")])
    seen = zoned.masked(segmented(mask))
    whole, parts = zoned.step(seen)
    assert (whole.area_px, parts[0].area_px) == (0, 0)
    assert not seen.mask.any()
    alone = ZonedSummariser([zone("flare", LEFT, "exclude")])
    whole, parts = alone.step(alone.masked(segmented(mask)))
    assert parts == (whole,)
    assert whole.area_px == 0


def test_a_camera_that_changes_its_resolution_keeps_its_zones():
    zoned = ZonedSummariser([zone("right", RIGHT)])
    for size in ((240, 320), (480, 640), (240, 320)):
        _, (right,) = zoned.step(zoned.masked(segmented(np.full(size, 255, np.uint8))))
        assert right.area_share == 0.5


def test_a_leak_is_raised_in_its_zone_only():
    """The plume of the fake lies at x 120 to 180 of 320, y 100 to 140 of 240."""
    zones = (
        zone("plume", ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7))),
        zone("sky", ((0, 0), (1, 0), (1, 0.3), (0, 0.3))),
        zone("patient", ALL, on_delay_s=60),
    )
    camera = CameraSettings(name="north", source="x", zones=zones)
    annunciator = Annunciator("north", rules(camera, AlarmSettings(on_delay_s=0.5)))
    frames = (Frame(picture(True, n), n, n / 30, 1e9 + n / 30) for n in range(40))
    events = []
    for step in process(frames, FakeSegmenter(), ZonedSummariser(zones)):
        assert step.summary.area_px > 0
        events += annunciator.observe(step.summary.utc, step.zones).events
    assert [(event.type, event.zone) for event in events] == [("start", "plume")]
    assert [place.alarm.state for place in annunciator.places] == [State.UNACKNOWLEDGED, State.NORMAL, State.NORMAL]


def test_a_plain_summariser_gives_no_zones():
    (step,) = process([Frame(picture(True), 0, 0.0, 0.0)], FakeSegmenter(), Summariser())
    assert step.zones == ()
    assert replace(step.summary, index=0) == step.summary
