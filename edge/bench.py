"""How fast is each backend with each shipped model on this device? Decoded frame in, Summary out, as in production."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

import edge.backend
import edge.hardware
import edge.segmenter
from edge import contract, selftest
from edge.errors import FgstpError, ModelError
from edge.records import Array, Frame
from edge.segmenter import Segmenter
from edge.summary import Summariser

BURN_IN = 20  # frames
TURN = 10  # frames that one contestant computes before the next has its turn: a busy moment hits all alike


@dataclass(frozen=True, slots=True)
class Speed:
    """One model on one backend; milliseconds a frame, end to end."""

    model: str
    backend: str
    threads: int
    frames: int  # measured
    fps: float  # by the mean
    p50: float
    p95: float
    p99: float


class Contestant:
    """One model on one backend, fed with the clip over and over, time going on."""

    def __init__(self, model: str, segmenter: Segmenter, clip: selftest.Clip) -> None:
        self.model, self.segmenter, self.clip = model, segmenter, clip
        self.milliseconds: list[float] = []
        self._summariser = Summariser()
        self._count = 0

    def turn(self, frames: int) -> None:
        """Compute some frames and note how long each took."""
        order = np.r_[0 : len(self.clip.frames), len(self.clip.frames) - 2 : 0 : -1]  # there and back: no cut
        for _ in range(frames):
            image = self.clip.frames[order[self._count % len(order)]]
            captured = self._count / self.clip.fps
            start = time.perf_counter()
            self._summariser.step(self.segmenter.step(Frame(image, self._count, captured, captured)))
            self.milliseconds.append(1e3 * (time.perf_counter() - start))
            self._count += 1

    def speed(self, threads: int) -> Speed:
        """The figures so far."""
        measured = np.array(self.milliseconds)
        p50, p95, p99 = (float(value) for value in np.percentile(measured, (50, 95, 99)))
        fps = 1e3 / float(measured.mean())
        return Speed(self.model, self.segmenter.backend.name, threads, len(measured), fps, p50, p95, p99)


def measure(seconds: float, threads: int = 1) -> list[Speed]:
    """Every backend here with every shipped model, about `seconds` each. Raises ModelError where none can run."""
    clip = footage()
    contestants: list[Contestant] = []
    refused: FgstpError = ModelError(f"{contract.MODELS}: no models here; install the package again")
    for model in contract.shipped():
        for backend in edge.backend.available():
            try:
                segmenter = edge.segmenter.open_segmenter(model, backend, threads)
                contestants.append(Contestant(model, segmenter, clip))
            except FgstpError as error:
                refused = error
    if not contestants:
        raise refused
    for contestant in contestants:
        contestant.turn(BURN_IN)
        contestant.milliseconds.clear()
    until = time.perf_counter() + seconds * len(contestants)
    while True:
        for contestant in contestants:
            contestant.turn(TURN)
        if time.perf_counter() >= until:
            return [contestant.speed(threads) for contestant in contestants]


def footage() -> selftest.Clip:
    """The golden clip; where it is missing, noise, which costs as much but shows no plume."""
    try:
        return selftest.golden()
    except FgstpError:
        frames: Array = np.random.default_rng(0).integers(100, 110, (30, 240, 320), np.uint8)
        return selftest.Clip(frames, 15.0)


def main(seconds: float, threads: int) -> int:
    """`fgstp-edge bench`: print a table."""
    machine = edge.hardware.inspect()
    print(f"{machine.cpu}, {machine.cores} cores, {' '.join(machine.features)}; {threads} thread(s)")
    print(f"{'model':<20} {'backend':<12} {'fps':>6} {'p50 ms':>7} {'p95 ms':>7} {'p99 ms':>7}")
    for speed in measure(seconds, threads):
        times = f"{speed.p50:7.2f} {speed.p95:7.2f} {speed.p99:7.2f}"
        print(f"{speed.model:<20} {speed.backend:<12} {speed.fps:6.1f} {times}")
    return 0
