"""One clip through one method: production pipeline, shipped alarm settings, scored by whatever is known of the clip.

Everything here can be sent to another process; `run_all` does that.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

import cv2
import numpy as np

from benchmarks.baselines import BASELINES, Baseline
from benchmarks.events import EventScore, Started
from calibration import saliency
from calibration.boundary import BoundaryScore
from calibration.clips import Box, Clip, GasFree
from calibration.metrics import VISIBLE_PX, BoxScore, MaskScore, StretchedScore, share
from calibration.saliency import SaliencyScore
from edge import cluster, condition, contract
from edge.condition import Condition
from edge.errors import SourceError
from edge.pipeline import process
from edge.records import Array, Segmentation
from edge.rules import AlarmSettings
from edge.segmenter import Segmenter, open_segmenter
from edge.summary import Summariser

LIT_PX = 30  # a gas-free frame whose mask has this many pixels is lit


@dataclass(frozen=True, slots=True)
class Method:
    """What makes masks: a baseline, or a model on one backend."""

    name: str  # of a baseline, of a shipped model, or the path of an ONNX file
    backend: str = ""  # "" for a baseline

    def open(self) -> Segmenter | Baseline:
        """A segmenter that remembers nothing yet. Raises ModelError, ConfigError."""
        return open_segmenter(self.name, self.backend, 1) if self.backend else BASELINES[self.name]()

    def describe(self) -> dict[str, Any]:
        """What a result file says of it."""
        if not self.backend:
            return {"method": self.name}
        spec, _ = contract.load(self.name)
        return {
            "method": spec.name,
            "backend": self.backend,
            "precision": spec.precision,
            "sha256": spec.sha256,
            "threshold": spec.threshold,
            "certain": spec.certain,
            "weights": spec.provenance,
        }


@dataclass(slots=True)
class Result:
    """What one method did on one clip; the scores that its truth allows are filled."""

    method: Method
    clip: str
    frames: int = 0
    lit: int = 0  # frames whose mask has LIT_PX or more
    lit_free: int = 0  # of these, frames whose truth is empty
    mask: MaskScore = field(default_factory=MaskScore)
    boundary: BoundaryScore = field(default_factory=BoundaryScore)
    saliency: SaliencyScore = field(default_factory=SaliencyScore)
    authors: StretchedScore = field(default_factory=StretchedScore)
    authors_saliency: SaliencyScore = field(default_factory=lambda: SaliencyScore(least=1, everywhere=False))
    boxes: BoxScore = field(default_factory=BoxScore)
    events: EventScore = field(default_factory=EventScore)

    @property
    def alarms(self) -> list[Started]:
        """The alarms, in the order they were raised."""
        return self.events.alarms

    @property
    def lit_share(self) -> float:
        """Share of all frames whose mask has LIT_PX or more."""
        return share(self.lit, self.frames)

    def add(self, segmentation: Segmentation, truth: Array | Box | None, gas_free: bool) -> bool:
        """Score one frame's mask, in a clip that may be `gas_free` throughout; gives whether gas is there."""
        mask = segmentation.mask
        lit = int(np.count_nonzero(mask)) >= LIT_PX
        self.frames += 1
        self.lit += lit
        if truth is None:
            return False
        if isinstance(truth, Box):
            self.boxes.add(mask, truth)
            return True
        actual = int(np.count_nonzero(truth))
        self.lit_free += lit and not actual
        self.mask.add(mask, truth)
        self.boundary.add(mask, truth)
        if not gas_free:
            self._add_probability(segmentation, truth, actual > 0)
        return actual >= VISIBLE_PX

    def _add_probability(self, segmentation: Segmentation, truth: Array, gassy: bool) -> None:
        height, width = truth.shape
        probability = saliency.probabilities(segmentation.logits, (width, height))
        self.saliency.add(probability, truth)
        if gassy:
            spread = saliency.stretched(probability)
            self.authors.add(spread, truth)
            self.authors_saliency.add(spread, truth)


def evaluate(clip: Clip, method: Method, limit: int | None = None) -> Result:
    """Run a clip, or its first `limit` frames. Raises SourceError, ModelError."""
    cv2.setNumThreads(1)  # one clip, one core
    segmenter = _opened(method)
    segmenter.reset()
    result = Result(method, clip.name)
    state, settings = Condition(), AlarmSettings()
    gas_free = isinstance(clip.truth, GasFree)
    for step in process(islice(clip.frames(), limit), segmenter, Summariser()):
        index = step.summary.index
        state, events = condition.step(state, step.summary, settings, camera=clip.name)
        gas = result.add(step.segmentation, _truth(clip, index, step.segmentation.mask), gas_free)
        result.events.add(step.summary, state, events, gas=gas if clip.onset is None else index >= clip.onset)
    return result


def _truth(clip: Clip, index: int, mask: Array) -> Array | Box | None:
    """What is known of a frame; SourceError where it is not of the frame's size."""
    truth = clip.truth.at(index)
    if isinstance(truth, np.ndarray) and truth.shape != mask.shape:
        told, shown = (f"{array.shape[1]}x{array.shape[0]}" for array in (truth, mask))
        raise SourceError(f"{clip.source}: frame {index} is {shown}, its mask {told}; give both in one size")
    return truth


def agreement(clip: Clip, one: Method, two: Method, limit: int | None = None) -> Result:
    """The masks of one method scored against those of the other, frame by frame, each with its own state."""
    cv2.setNumThreads(1)
    result = Result(one, clip.name)
    left, right = one.open(), two.open()
    for frame in islice(clip.frames(), limit):
        result.frames += 1
        result.mask.add(left.step(frame).mask, right.step(frame).mask)
    return result


def run_all(work: Sequence[tuple[Any, ...]], jobs: int, scheduler: str | None = None) -> Iterator[Result]:
    """Results of (function, *arguments) calls, in their order, on `jobs` processes; 1 stays in this one. On a Dask
    cluster where its scheduler's address is given."""
    if scheduler is not None:
        yield from cluster.run(scheduler, work)
        return
    if jobs == 1:
        yield from map(_call, work)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(_call, work)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _call(work: tuple[Any, ...]) -> Result:
    function, *arguments = work
    result: Result = function(*arguments)
    return result


@lru_cache(maxsize=2)
def _opened(method: Method) -> Segmenter | Baseline:
    """Compiling a model takes longer than some clips do: keep it for the next one."""
    return method.open()


def total(results: Iterable[Result]) -> MaskScore:
    """The pixel sums of several clips as one score."""
    whole = MaskScore()
    for result in results:
        for name in MaskScore.__slots__:
            setattr(whole, name, getattr(whole, name) + getattr(result.mask, name))
    return whole
