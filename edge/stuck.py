"""Does the camera repeat one picture behind a video codec?

Then pictures are not equal: every key frame draws the picture anew, and the frames after it mend it. But nothing of it
ever goes far, and most frames change next to nothing. A living camera has sensor noise, which shows in every frame even
where rounding hides most of it; where a codec takes that away, what moves in the scene goes far. A codec so short of
bits that it never comes to rest, such as H.264 at 200 kbit/s, cannot be told from life.
"""

from __future__ import annotations

import numpy as np

from edge.records import Array

LEVEL = 1 / 255  # one grey level
WINDOW_S = 5.0  # looked at in one piece
FAR, FEW = 1.0 * LEVEL, 0.005  # a living view has more than this share of cells that go further…
MEAN = 0.01 * LEVEL  # …or changes by more than this from frame to frame, on the mean
FRAMES = 10  # that it takes to say anything
ROUSED = 4.0  # times that mean: one key frame in a window that has just begun does not end it


class Stuck:
    """Looks at reduced pictures (h, w) float32 0..1 in turn."""

    def __init__(self) -> None:
        self._stuck = False
        self._began = 0.0  # the window, in capture time
        self._low: Array = np.zeros(0)  # of each cell in the window
        self._high: Array = np.zeros(0)
        self._change, self._frames = 0.0, 0  # in the window: sum of the mean changes, and of how many

    def step(self, small: Array, captured: float, change: float) -> bool:
        """Whether the camera has repeated one picture for at least WINDOW_S; `change` is the mean change since the one
        before."""
        if not self._low.size:
            self._begin(captured, small)
            return False
        np.minimum(self._low, small, out=self._low)
        np.maximum(self._high, small, out=self._high)
        self._change += change
        self._frames += 1
        over = captured - self._began >= WINDOW_S
        if (over or self._stuck) and self._frames >= FRAMES:
            self._stuck = self._calm(MEAN if over else ROUSED * MEAN)
            if over or not self._stuck:
                self._begin(captured, small)
        return self._stuck

    def _begin(self, captured: float, small: Array) -> None:
        self._began = captured
        self._low, self._high = small.copy(), small.copy()
        self._change, self._frames = 0.0, 0

    def _calm(self, mean: float) -> bool:
        """What has been seen of the window so far, where it may change by that much."""
        far = int(np.count_nonzero(self._high - self._low > FAR))
        return far <= FEW * self._low.size and self._change < mean * self._frames
