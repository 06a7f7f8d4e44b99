"""How long each stage of the production pipeline takes for one model on one backend. A process of its own: see `speed`.

    python -m benchmarks.stages --model student.int8 --backend openvino --source clip.mp4

Prints one JSON object: milliseconds per frame for each stage, and what the process had to run on. The pipeline is not
taken apart: a clock stands at the four doors between its parts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator

import cv2

from benchmarks import isa
from edge import backend, capture, condition, contract
from edge.condition import AlarmSettings, Condition
from edge.pipeline import process
from edge.records import Array, Frame, Segmentation, Summary
from edge.segmenter import Segmenter
from edge.summary import Summariser

STAGES = ("decode", "preprocess", "inference", "mask", "summary", "alarm", "end_to_end")
clock = time.perf_counter


class TimedBackend:
    """A backend that notes when it was called and when it was done."""

    def __init__(self, inner: backend.Backend) -> None:
        self.inner, self.name, self.inputs = inner, inner.name, inner.inputs
        self.began = self.ended = 0.0

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """The inner backend's answer."""
        self.began = clock()
        outputs = self.inner.run(inputs)
        self.ended = clock()
        return outputs


class TimedSummariser(Summariser):
    """A summariser that notes when it was called and when it was done."""

    began = ended = 0.0

    def step(self, segmentation: Segmentation, image: Array | None = None) -> Summary:
        """The summariser's answer."""
        self.began = clock()
        summary = super().step(segmentation, image)
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


def measure(model: str, on: str, images: list[Array], fps: float, frames: int, burn_in: int) -> dict[str, list[float]]:
    """Milliseconds per frame for all stages after `decode`. Raises ModelError, ConfigError."""
    spec, path = contract.load(model)
    timed = TimedBackend(backend.open(path, on, 1, spec))
    summariser, handed = TimedSummariser(), Handed(images, fps)
    state, settings = Condition(), AlarmSettings()
    taken: dict[str, list[float]] = {stage: [] for stage in STAGES[1:]}
    steps = process(handed, Segmenter(spec, timed), summariser)
    for number, step in enumerate(itertools.islice(steps, burn_in + frames)):
        done = clock()
        state, _ = condition.step(state, step.summary, settings, camera="bench")
        alarmed = clock()
        if number < burn_in or timed.began < handed.at:  # a frame without a scene is not computed
            continue
        doors = (handed.at, timed.began, timed.ended, summariser.began, summariser.ended)
        spans = [later - earlier for earlier, later in itertools.pairwise(doors)]
        for stage, span in zip(taken, (*spans, alarmed - done, done - handed.at), strict=True):
            taken[stage].append(span * 1000)
    return taken


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
    parser.add_argument("--frames", type=int, default=300, help="that are timed")
    parser.add_argument("--burn-in", type=int, default=60, help="frames before, not timed")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    with capture.open(options.source) as source:
        images, taken = decode(source, 300)
        stages = measure(options.model, options.backend, images, source.fps, options.frames, options.burn_in)
    size = images[0].shape[1::-1]
    print(json.dumps({"stages": {"decode": taken, **stages}, "size": size, "isa": isa.in_force()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
