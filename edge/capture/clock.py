"""When was a frame taken? A stream's own time stamps, put on this machine's monotonic clock.

Frames arrive late, in bursts, by a delay that is never negative: network, jitter buffer, decoder. The least of (arrival
- stamp) over the last minute is the offset between the two clocks plus the delay that nothing escapes, so stamp + least
keeps the camera's own spacing, and follows a camera whose crystal runs fast or slow. The estimate only ever falls
within a burst, so a capture time is never later than the arrival, and times rise from frame to frame.
"""

from __future__ import annotations

import math
from collections import deque

BUCKET_S, BUCKETS = 10.0, 6  # the least is taken over so many stretches of arrivals
LATE_S = 5.0  # a frame later than this is not late: the stream's clock has been set, or has stood still
STEADY, SLACK_S = 3, 0.005  # after so many frames in a row that lowered the estimate by no more than this it holds
TICK_S = 1e-6  # between two frames at least: a repeated frame has the stamp of the first
WRAP_S = 2**32 / 90_000  # RTP time stamps of video are 32 bits at 90 kHz: back to 0 every 13 hours


class StreamClock:
    """The clock of one connection. `step` every frame in the order of arrival."""

    def __init__(self) -> None:
        self._least: deque[tuple[float, float]] = deque(maxlen=BUCKETS)  # start of the bucket, least (arrival - stamp)
        self._stamp = -math.inf  # of the frame before
        self._captured = -math.inf
        self._runs = False  # whether stamps have risen
        self._wrapped = 0.0  # to be added to stamps
        self._steady = 0  # frames in a row that came when they were expected

    @property
    def settled(self) -> bool:
        """Whether capture times are to be believed. What has waited while a connection was made comes in one burst,
        each frame less late than the one before: of those there is no telling when they were taken."""
        return self._steady >= STEADY

    def step(self, stamp: float | None, arrived: float) -> float:
        """Capture time on the clock of `arrived`, both in seconds; None, or a stamp that never rises, tells nothing.

        A stamp that runs backwards, or far behind, starts the estimate anew.
        """
        captured = arrived
        if stamp is None:
            self._steady = STEADY
        else:
            captured = self._estimate(self._unwrapped(stamp), arrived)
        self._captured = max(captured, self._captured + TICK_S)
        return self._captured

    def _unwrapped(self, stamp: float) -> float:
        if abs(self._stamp - (stamp + self._wrapped) - WRAP_S) < LATE_S:
            self._wrapped += WRAP_S
        return stamp + self._wrapped

    def _estimate(self, stamp: float, arrived: float) -> float:
        delay = arrived - stamp
        if stamp < self._stamp or (self._least and delay - self._offset > LATE_S):
            self._least.clear()
            self._runs = False
        elif stamp > self._stamp:
            self._runs = bool(self._least)
        elif not self._runs:
            return arrived
        self._stamp = stamp
        self._steady = self._steady + 1 if self._least and delay > self._offset - SLACK_S else 0
        if not self._least or arrived - self._least[-1][0] >= BUCKET_S:
            self._least.append((arrived, delay))
        elif delay < self._least[-1][1]:
            self._least[-1] = self._least[-1][0], delay
        return stamp + self._offset

    @property
    def _offset(self) -> float:
        return min(least for _, least in self._least)
