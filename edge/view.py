"""Is the camera still looking where it looked for the last minutes? Or has somebody knocked it?

A look a second at the fine structure of a reduced picture: what differs from its surroundings, whatever the gain. Cells
whose structure has stayed the same, edges of pipes and roofs, vouch for the view; clouds, plumes and people do not. A
view without such cells, a bare sky, cannot be told from another, and is never said to be one.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from edge.records import Array

LOOK_S = 1.0  # between two looks
SETTLED = 20  # looks that make a view
MEMORY = 120  # looks that it is remembered by: day and night may come, a knock may not
CALM = 5  # looks over which the present is averaged, so that noise and what passes weigh little
AWAY_S = 10.0  # another view for longer has changed; a person before the lens has not
SPREAD = 3.0  # cells: structure finer than about this counts
FIRM = 2.0  # a cell vouches when its structure is this many times what it varies by…
FLOOR = 0.5 / 255  # …and this high, in grey levels of 255
FEWEST = 0.03  # share of the cells that must vouch
LIKE = 0.5  # correlation with the remembered structure, below which the view is another one


class View:
    """What one camera has looked at, and whether it still does."""

    def __init__(self) -> None:
        self.changed = False
        self._looks = 0
        self._looked = -np.inf  # capture time
        self._away: float | None = None  # since when the view has been another one
        self._mean: Array = np.zeros(0)
        self._variance: Array = np.zeros(0)
        self._recent: deque[Array] = deque(maxlen=CALM)  # what is not remembered yet: it may be of another view

    def step(self, small: Array, captured: float) -> bool:
        """Take a picture (h, w) float32 0..1 that shows a scene and is not moving; whether the view has changed."""
        if 0 <= captured - self._looked < LOOK_S:
            return self.changed
        self._looked = captured
        detail = small - cv2.GaussianBlur(small, (0, 0), SPREAD)
        oldest = self._recent[0] if len(self._recent) == CALM else None
        self._recent.append(detail)
        alike = self.likeness() if self._looks >= SETTLED else None
        if alike is not None and alike < LIKE:
            self._away = captured if self._away is None else self._away
            self.changed = captured - self._away >= AWAY_S
        elif self._away is not None:
            self._away, self.changed = None, False
            self._recent.clear()  # half of it is of the other view
        elif oldest is not None:
            self._remember(oldest)
        return self.changed

    def likeness(self) -> float | None:
        """Correlation, -1..1, of the present structure with the remembered one; None where nothing vouches."""
        firm = np.abs(self._mean) > np.maximum(FIRM * np.sqrt(self._variance), FLOOR)
        if firm.mean() < FEWEST:
            return None
        then, now = squashed(self._mean[firm]), squashed(np.sum(self._recent, axis=0)[firm])
        size = float(np.sqrt((then * then).sum() * (now * now).sum()))
        return float((then * now).sum()) / size if size > 0 else 0.0

    def _remember(self, detail: Array) -> None:
        self._looks = min(self._looks + 1, MEMORY)
        share = 1.0 / self._looks
        if self._looks == 1:
            self._mean, self._variance = detail, np.zeros_like(detail)
        away = detail - self._mean
        self._mean = self._mean + share * away
        self._variance = (1 - share) * (self._variance + share * away * away)


def squashed(detail: Array) -> Array:
    """Strong structure brought down towards the usual, or a burnt-in clock, which moves with nothing, would decide."""
    usual = float(np.median(np.abs(detail)))
    return detail / (np.abs(detail) + usual + 1e-9)
