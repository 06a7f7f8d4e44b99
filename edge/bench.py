"""How fast is each backend with each shipped model on this device? Decoded frame in, Summary out, as in production.

The pipeline is not taken apart to be measured: a clock stands at the doors between its parts.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import edge.backend
import edge.hardware
import edge.segmenter
from edge import contract, selftest
from edge.backend import Backend
from edge.errors import FgstpError, ModelError
from edge.records import Array, Frame
from edge.segmenter import Segmenter
from edge.summary import Summariser

BURN_IN = 20  # frames
TURN = 10  # frames that one contestant computes before the next has its turn: a busy moment hits all alike
STAGES = ("preprocess", "inference", "mask", "summary")  # between the doors, in order


class TimedBackend:
    """A backend that notes when it was called and when it was done, s on time.perf_counter()."""

    def __init__(self, inner: Backend) -> None:
        self.inner, self.name, self.inputs = inner, inner.name, inner.inputs
        self.began = self.ended = 0.0

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """The inner backend's answer."""
        self.began = time.perf_counter()
        outputs = self.inner.run(inputs)
        self.ended = time.perf_counter()
        return outputs


@dataclass(frozen=True, slots=True)
class Speed:
    """One model on one backend; milliseconds a frame, end to end."""

    model: str
    precision: str
    backend: str
    threads: int
    frames: int  # measured
    fps: float  # by the mean
    p50: float
    p95: float
    p99: float
    stages: dict[str, float]  # of STAGES: median milliseconds

    def report(self) -> dict[str, Any]:
        """As `fgstp-edge bench --json` gives it."""
        return {
            "model": self.model,
            "precision": self.precision,
            "backend": self.backend,
            "threads": self.threads,
            "stage_ms": {stage: round(value, 4) for stage, value in self.stages.items()},
            "end_to_end_ms": {key: round(getattr(self, key), 4) for key in ("p50", "p95", "p99")},
            "fps": round(self.fps, 2),
        }


class Contestant:
    """One model on one backend, fed with the clip over and over, time going on."""

    def __init__(self, model: str, segmenter: Segmenter, clip: selftest.Clip) -> None:
        self.model, self.segmenter, self.clip = model, segmenter, clip
        self.milliseconds: list[float] = []
        self.spans: list[list[float]] = []  # s, of each frame: of STAGES
        self._timed = TimedBackend(segmenter.backend)
        segmenter.backend = self._timed
        self._summariser = Summariser()
        self._count = 0

    def turn(self, frames: int) -> None:
        """Compute some frames and note how long each took."""
        order = np.r_[0 : len(self.clip.frames), len(self.clip.frames) - 2 : 0 : -1]  # there and back: no cut
        for _ in range(frames):
            image = self.clip.frames[order[self._count % len(order)]]
            captured = self._count / self.clip.fps
            start = time.perf_counter()
            segmentation = self.segmenter.step(Frame(image, self._count, captured, captured))
            masked = time.perf_counter()
            self._summariser.step(segmentation)
            done = time.perf_counter()
            self.milliseconds.append(1e3 * (done - start))
            if self._timed.began >= start:  # a frame without a scene is not computed
                doors = (start, self._timed.began, self._timed.ended, masked, done)
                self.spans.append([later - earlier for earlier, later in itertools.pairwise(doors)])
            self._count += 1

    def forget(self) -> None:
        """What was measured until now was burn-in."""
        self.milliseconds.clear()
        self.spans.clear()

    def speed(self, threads: int) -> Speed:
        """The figures so far."""
        measured = np.array(self.milliseconds)
        p50, p95, p99 = (float(value) for value in np.percentile(measured, (50, 95, 99)))
        medians = 1e3 * np.median(self.spans, axis=0) if self.spans else np.full(len(STAGES), np.nan)
        return Speed(
            model=self.model,
            precision=self.segmenter.spec.precision,
            backend=self._timed.name,
            threads=threads,
            frames=len(measured),
            fps=1e3 / float(measured.mean()),
            p50=p50,
            p95=p95,
            p99=p99,
            stages=dict(zip(STAGES, map(float, medians), strict=True)),
        )


def measure(seconds: float, threads: int = 1, models: Sequence[str] = (), backends: Sequence[str] = ()) -> list[Speed]:
    """Every backend here with every shipped model (or those named), about `seconds` each. Raises FgstpError where none
    can run."""
    clip = footage()
    contestants: list[Contestant] = []
    refused: FgstpError = ModelError(f"{contract.MODELS}: no models here; install the package again")
    for model in models or contract.shipped():
        for backend in backends or edge.backend.available():
            try:
                segmenter = edge.segmenter.open_segmenter(model, backend, threads)
                contestants.append(Contestant(model, segmenter, clip))
            except FgstpError as error:
                refused = error
    if not contestants:
        raise refused
    for contestant in contestants:
        contestant.turn(BURN_IN)
        contestant.forget()
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


def main(seconds: float, threads: int, as_json: bool = False) -> int:
    """`fgstp-edge bench`: print a table, or a list of objects."""
    if as_json:
        print(json.dumps([speed.report() for speed in measure(seconds, threads)], indent=1))
        return 0
    machine = edge.hardware.inspect()
    print(f"{machine.cpu}, {machine.cores} cores, {' '.join(machine.features)}; {threads} thread(s)")
    print(f"{'model':<20} {'backend':<12} {'fps':>6} {'p50 ms':>7} {'p95 ms':>7} {'p99 ms':>7}  of these, by stage")
    for speed in measure(seconds, threads):
        times = f"{speed.p50:7.2f} {speed.p95:7.2f} {speed.p99:7.2f}"
        stages = ", ".join(f"{stage} {value:.2f}" for stage, value in speed.stages.items())
        print(f"{speed.model:<20} {speed.backend:<12} {speed.fps:6.1f} {times}  {stages}")
    return 0
