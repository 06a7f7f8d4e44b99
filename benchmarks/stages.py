"""How long each stage of the production pipeline takes for one model on one backend. A process of its own: see `speed`.

    python -m benchmarks.stages --model student.int8 --backend openvino --source clip.mp4

Prints one JSON object: milliseconds per frame for each stage, and what the process had to run on. The pipeline is not
taken apart: a clock stands at the four doors between its parts. `outbox` is one message of a frame encoded and written
to the disk for good, which a device does for events and beside the frame loop; it is no part of `end_to_end`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2

from benchmarks import isa, power
from edge import backend, bench, capture, condition, contract, payload
from edge.bench import TimedBackend
from edge.condition import Condition
from edge.health import rss_mb
from edge.outbox import Outbox
from edge.pipeline import process
from edge.records import Array, Frame, Segmentation, Summary
from edge.rules import AlarmSettings
from edge.segmenter import Segmenter
from edge.store import Message, Priority
from edge.summary import Summariser
from edge.uplink import OutboxSettings

STAGES = ("decode", *bench.STAGES, "alarm", "outbox", "end_to_end")
clock = time.perf_counter


class TimedSummariser(Summariser):
    """A summariser that notes when it was called and when it was done."""

    began = ended = 0.0

    def step(self, segmentation: Segmentation) -> Summary:
        """The summariser's answer."""
        self.began = clock()
        summary = super().step(segmentation)
        self.ended = clock()
        return summary


class Handed:
    """Frames for the pipeline, with the time at which the latest was handed over."""

    def __init__(self, images: list[Array], fps: float) -> None:
        self.images, self.fps, self.at = images, fps, 0.0

    def __iter__(self) -> Iterator[Frame]:
        there_and_back = self.images + self.images[-2:0:-1]  # no cut and no frozen picture
        for index, image in enumerate(itertools.cycle(there_and_back)):
            frame = Frame(image, index, index / self.fps, index / self.fps)
            self.at = clock()
            yield frame


class Bench:
    """One model on one backend under the production pipeline, with an alarm and an outbox behind it."""

    def __init__(self, model: str, on: str, images: list[Array], fps: float, threads: int = 1) -> None:
        """Raises ModelError, ConfigError."""
        self.spec, path = contract.load(model)
        self.timed = TimedBackend(backend.open(path, on, threads, self.spec))
        self.handed, self.summariser = Handed(images, fps), TimedSummariser()
        self.steps = process(self.handed, Segmenter(self.spec, self.timed), self.summariser)
        self.state, self.settings = Condition(), AlarmSettings()

    def run(self, frames: int, outbox: Outbox | None = None) -> dict[str, list[float]]:
        """Milliseconds per frame for all stages after `decode`; without an outbox its stage stays empty."""
        taken: dict[str, list[float]] = {stage: [] for stage in STAGES[1:]}
        for step in itertools.islice(self.steps, frames):
            done = clock()
            self.state, _ = condition.step(self.state, step.summary, self.settings, camera="bench")
            alarmed = clock()
            if self.timed.began < self.handed.at:  # a frame without a scene is not computed
                continue
            marks = (self.handed.at, self.timed.began, self.timed.ended, self.summariser.began, self.summariser.ended)
            spans = [later - earlier for earlier, later in itertools.pairwise(marks)]
            for stage, span in zip(
                (*bench.STAGES, "alarm", "end_to_end"), (*spans, alarmed - done, done - marks[0]), strict=True
            ):
                taken[stage].append(span * 1000)
            if outbox is not None:
                began = clock()
                said = payload.encode(payload.summary(step.summary, "bench")).encode()
                outbox.write([Message("fgstp/bench/bench/event", said, Priority.ALARM)])
                taken["outbox"].append((clock() - began) * 1000)
                outbox.write([], None, [outbox.last_id])
        return taken

    def growth(self, frames: int) -> dict[str, float]:
        """Bytes that a frame leaves behind: as Python's allocator counts them, and as the kernel does."""
        before = rss_mb()
        self.run(frames)
        resident = rss_mb() - before
        tracemalloc.start()
        self.run(frames)  # rings and caches that fill up are full by now
        first = tracemalloc.get_traced_memory()[0]
        self.run(frames)
        second = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return {"python_bytes_per_frame": (second - first) / frames, "rss_bytes_per_frame": 1e6 * resident / frames}


def measure(one: Bench, frames: int, burn_in: int) -> tuple[dict[str, list[float]], float | None]:
    """Milliseconds per frame for all stages after `decode`; watts meanwhile, where they can be read."""
    meter = power.find()
    with tempfile.TemporaryDirectory(prefix="fgstp-stages-") as folder:
        outbox = Outbox(Path(folder) / "outbox.db", OutboxSettings())
        one.run(burn_in, outbox)
        if meter is not None:
            meter.start()
        taken = one.run(frames, outbox)
        watts = None if meter is None else meter.watts()
        outbox.close()
    return taken, watts


def decode(source: Iterable[Frame], most: int) -> tuple[list[Array], list[float]]:
    """Up to `most` pictures of a source, and the milliseconds that each took."""
    images: list[Array] = []
    taken: list[float] = []
    frames = iter(source)
    while len(images) < most:
        began = clock()
        frame = next(frames, None)
        if frame is None:
            break
        taken.append((clock() - began) * 1000)
        images.append(frame.image.copy())
    return images, taken


def main() -> int:
    """One measurement, as JSON on standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="student.int8")
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--source", required=True, help="footage to run over")
    parser.add_argument("--threads", type=int, default=1, help="of inference and OpenCV, and cores to run on")
    parser.add_argument("--frames", type=int, default=300, help="that are timed")
    parser.add_argument("--burn-in", type=int, default=60, help="frames before, not timed")
    parser.add_argument("--growth", type=int, default=0, help="frames over which growing memory is looked for")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-options.threads :])
    cv2.setNumThreads(options.threads)
    with capture.open(options.source) as source:
        images, taken = decode(source, 300)
        one = Bench(options.model, options.backend, images, source.fps, options.threads)
    stages, watts = measure(one, options.frames, options.burn_in)
    said: dict[str, Any] = {
        "stages": {"decode": taken, **stages},
        "source": images[0].shape[1::-1],
        "size": one.spec.size,
        "weights": one.spec.provenance.get("weights", "trained"),
        "watts": watts,
        "growth": one.growth(options.growth) if options.growth else None,
        "isa": isa.in_force(),
    }
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
