"""What is drawn is where it should be, for every kind of picture."""

from __future__ import annotations

import numpy as np
import pytest

from edge import overlay
from edge.condition import Phase
from edge.records import Quality
from tests.edge.summaries import summary

BOX = (100, 100, 40, 30)


def picture(dtype: type, channels: int = 1) -> np.ndarray:
    grey = np.tile(np.linspace(0, np.iinfo(dtype).max // 4, 320).astype(dtype), (240, 1))
    return grey if channels == 1 else np.repeat(grey[:, :, None], channels, axis=2)


def plume() -> np.ndarray:
    mask = np.zeros((240, 320), np.uint8)
    mask[100:130, 100:140] = 255
    return mask


@pytest.mark.parametrize("image", [picture(np.uint8), picture(np.uint16), picture(np.uint8, 3)], ids=["8", "16", "bgr"])
def test_the_outline_lies_around_the_plume(image):
    drawn = overlay.draw(image, plume(), summary(0, box=BOX), Phase.ACTIVE, "abcdefgh-1")
    width, height = overlay.size(320, 240)
    assert drawn.shape == (height, width, 3)
    assert drawn.dtype == np.uint8
    bare = overlay.draw(image, np.zeros_like(plume()), summary(0, box=None), Phase.NORMAL)
    changed = np.any(drawn != bare, axis=2)[60 : height - 30]  # between the lines of text
    rows, columns = np.nonzero(changed)
    assert abs(rows.min() + 60 - 200) <= 4
    assert abs(columns.min() - 200) <= 4
    assert not changed[200 - 60 + 8, 200 + 8], "the plume itself stays visible"


@pytest.mark.parametrize(
    ("source", "drawn"), [((320, 240), (640, 480)), ((640, 512), (640, 512)), ((80, 60), (640, 480))]
)
def test_small_pictures_are_enlarged(source, drawn):
    assert overlay.size(*source) == drawn


def test_a_frame_without_plume_or_belief_can_be_drawn():
    record = summary(0, box=None, quality=Quality.DARK | Quality.FROZEN)
    overlay.draw(np.zeros((240, 320), np.uint16), np.zeros((240, 320), np.uint8), record, Phase.PENDING)


def test_a_contact_sheet_holds_every_picture():
    pictures = [np.full((10, 20, 3), 40 * n, np.uint8) for n in range(1, 6)]
    paper = overlay.sheet(pictures, columns=3)
    assert paper.shape == (2 * 14 + 4, 3 * 24 + 4, 3)
    assert set(np.unique(paper)) == {24, 40, 80, 120, 160, 200}
