"""Cells of a view that are excluded: borders and burnt-in text, which never change, and what fires without gas."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge.records import Array
from edge.study import LEVEL, Glimpse, Study

STILL = 1.5 * LEVEL  # range of a pixel that never changes, its codec's rounding included…
ALIVE = 0.5  # …in a view whose pixels have so much noise, grey levels; a codec that takes it away also stills the scene
UNIFORM = 4 * LEVEL  # range over a border's line and over all frames
OVERLAY_SHARE = 0.02  # of the view: something still and larger is scenery, such as a saturated sky

FIRES_S, FIRES_SHARE = 1.0, 0.005  # a cell is excluded that is called gas for so long, for such a share of the time…
OFTEN, ALWAYS = 2, 0.1  # …and in two stretches or more, or for this share: whatever passes once excludes nothing
RESTLESS = 0.4  # of the time: a fan, a flame, a clock; no gas could be told from it
MOST = 0.25  # of the view that flicker may exclude; beyond, the worst cells


def still(study: Study) -> Array:
    """(h, w) bool: cells of borders and burnt-in text, and those beside them. Where the codec keeps the whole view
    still there is no telling, and no text is excluded."""
    low, high = study.lowest, study.highest
    stays = high - low <= STILL
    found = bars(stays, low, high)
    if study.noise >= ALIVE:
        found |= islands(stays & ~found, OVERLAY_SHARE * stays.size)
    return grown(cells_of(found, study.cells))


def bars(stays: Array, low: Array, high: Array) -> Array:
    """Whole lines along the four sides, each all still and of one level, as a letterbox leaves them."""
    found = np.zeros(stays.shape, bool)
    for turn in range(4):  # each side in turn becomes the top
        view, rows = np.rot90(found, turn), zip(*(np.rot90(a, turn) for a in (stays, low, high)), strict=True)
        for line, (row, darkest, brightest) in enumerate(rows):
            if not row.all() or brightest.max() - darkest.min() > UNIFORM:
                break
            view[line] = True
    return np.zeros_like(found) if found.all() else found


def islands(stays: Array, largest: float) -> Array:
    """The connected parts of at most `largest` px."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(stays.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] <= largest
    small[0] = False
    return np.asarray(small[labels])


def flickering(study: Study, glimpses: Sequence[Glimpse]) -> Array:
    """(h, w) bool: cells that fire without gas, and those beside them."""
    fires, restless = study.shares(glimpses)
    seconds, stretches = study.lit_seconds(glimpses)
    often = (stretches >= OFTEN) | (fires >= ALWAYS)
    score = np.where(often & (seconds >= FIRES_S) & (fires >= FIRES_SHARE), fires, 0.0)
    score = np.maximum(score, np.where(restless >= RESTLESS, restless, 0.0))
    for part in MOST / 2 ** np.arange(8):
        worst = grown(score > np.quantile(score, 1 - part))
        if worst.mean() <= MOST:
            return worst
    return np.zeros(study.cells, bool)


def cells_of(pixels: Array, shape: tuple[int, int]) -> Array:
    """The cells of which half or more is set."""
    share = cv2.resize(pixels.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(share >= 0.5)


def grown(cells: Array) -> Array:
    """With the eight neighbours of each."""
    wide: Array = cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return wide
