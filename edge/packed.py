"""The last steps of one tensor in half the memory: whole numbers of 16 bits, and one power of two for each step.

A step comes back to within a 16,384th of its largest value: for a picture a 64th of a grey level. It costs a few
microseconds each way, a tenth of what numpy takes for float16.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.records import Array

BITS = 14  # beside the sign; of 15 the largest values might be rounded over the edge
FINEST = -51  # power of two below which a step is all but zeros, and kept as such


class Packed:
    """Steps of one shape, float32, in `slots` places."""

    def __init__(self, slots: int, shape: tuple[int, ...]) -> None:
        self.numbers: Array = np.zeros((slots, *shape), np.int16)
        self._flat: Array = self.numbers.reshape(slots, -1)  # the same
        self.units: Array = np.ones(slots, np.float32)  # what 1 stands for in each place

    def __len__(self) -> int:
        return len(self.units)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a step."""
        return self.numbers.shape[1:]

    def put(self, slot: int, values: Array) -> None:
        """Keep a step."""
        values = values.ravel()
        largest = cv2.norm(values, cv2.NORM_INF)
        _, exponent = math.frexp(largest)
        self.units[slot] = unit = 2.0 ** (max(exponent, FINEST) - BITS)
        # OpenCV's only way to multiply and round in one pass; it finds the largest value once more, and divides by it
        cv2.normalize(values, self._flat[slot], largest / unit, 0, cv2.NORM_INF, cv2.CV_16S)

    def get(self, slot: int, out: Array | None = None) -> Array:
        """A step, in `out` or in an array of its own."""
        if out is None:
            out = np.empty(self.shape, np.float32)
        np.copyto(out, self.numbers[slot])  # converts; multiplying at once would do so through a buffer
        out *= self.units[slot]
        return out

    def rescale(self, gain: float, offset: float) -> None:
        """x -> gain x + offset."""
        for slot in range(len(self)):
            self.put(slot, self.get(slot) * np.float32(gain) + np.float32(offset))
