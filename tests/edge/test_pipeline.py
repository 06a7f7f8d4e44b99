"""Frames in, steps out, in order; what breaks the source breaks the pipeline after all that was good."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge import capture, contract
from edge.errors import BrokenSource
from edge.pipeline import Step, process
from edge.records import Array, Frame, Quality
from edge.segmenter import Segmenter, open_segmenter
from edge.summary import Summariser
from tests.edge import models, scenes

VIEW = scenes.scene(1)


def frames(count: int, *, breaks: bool = False) -> Iterator[Frame]:
    for i in range(count):
        gas = 60 * scenes.plume(i / 15) if i >= 15 else 0
        yield Frame(scenes.shot(np.clip(VIEW + gas, 0, 255), i), i, i / 15, i / 15)
    if breaks:
        raise BrokenSource("clip.mp4: breaks")


def run(source: Iterator[Frame]) -> Iterator[Step]:
    return process(source, Segmenter(models.spec(), models.HandBackend()), Summariser())


def test_one_step_a_frame_in_order() -> None:
    steps = list(run(frames(30)))
    assert [step.summary.index for step in steps] == list(range(30))
    assert all(step.summary.area_px == np.count_nonzero(step.segmentation.mask) for step in steps)
    assert not any(step.summary.area_px for step in steps[:15])
    assert all(step.summary.area_px for step in steps[16:])


def test_steps_come_as_the_frames_come() -> None:
    source = frames(5)
    steps = run(source)
    assert next(steps).summary.index == 0
    assert next(source).index == 1, "a frame was taken before it was asked for"


def test_what_came_before_a_break_is_kept() -> None:
    kept: list[Step] = []
    with pytest.raises(BrokenSource, match="breaks"):
        kept.extend(run(frames(6, breaks=True)))
    steps = run(frames(6, breaks=True))
    assert [next(steps).summary.index for _ in range(6)] == list(range(6))


class NoInference:
    """Answers at once, with a plume: what is left is the host's work."""

    name = "none"

    def __init__(self, segmenter: Segmenter) -> None:
        self.inputs = segmenter.backend.inputs
        spec = segmenter.spec
        self._outputs: dict[str, Array] = {
            name: np.zeros(tensor.shape, np.float32) for name, tensor in spec.outputs.items()
        }
        height, width = self._outputs["logits"].shape[2:]
        self._outputs["logits"][...] = -5
        self._outputs["logits"][..., height // 3 : height // 2, width // 3 : width // 2] = 2

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        return self._outputs


def test_the_host_needs_a_fraction_of_the_frame_time() -> None:
    """A budget, loose enough for a busy machine: the figure itself is benchmarks/speed.py's business."""
    segmenter = open_segmenter("student.int8", "onnxruntime")
    segmenter.backend = NoInference(segmenter)
    summariser, milliseconds = Summariser(), []
    for frame in frames(120):
        start = time.perf_counter()
        summariser.step(segmenter.step(frame))
        milliseconds.append(1e3 * (time.perf_counter() - start))
    assert np.median(milliseconds) < 4.0


@pytest.mark.parametrize(
    "clip", ["simgas/simgasvid1.mp4", "simgas/simgasvid16.mp4", "real/gasvid_mov1467.mp4", "real/god_079"]
)
def test_still_cameras_are_believed(clip: str, footage: Path) -> None:
    """The real clips come from cameras on tripods: people walk, gas blows, the view stays."""
    segmenter = Segmenter(spec := contract.load("student.int8")[0], models.HandBackend())
    segmenter.backend = NoInference(segmenter_of(spec))
    flags: list[Quality] = []
    with capture.open(str(footage / clip)) as source:
        for frame, _ in zip(source, range(240), strict=False):
            flags.append(segmenter.step(frame).quality)
    assert not [i for i, flag in enumerate(flags) if not flag.believable]


def segmenter_of(spec: contract.ModelSpec) -> Segmenter:
    return Segmenter(spec, models.HandBackend())


@pytest.mark.parametrize(
    ("clip", "moves"),
    [
        ("IR_BIRD_017.mp4", True),
        ("IR_HELICOPTER_026.mp4", True),
        ("IR_AIRPLANE_006.mp4", False),
        ("IR_DRONE_005.mp4", False),
    ],
)
def test_moving_cameras_are_told_from_still_ones(clip: str, moves: bool, footage: Path) -> None:
    segmenter = Segmenter(spec := contract.load("student.int8")[0], models.HandBackend())
    segmenter.backend = NoInference(segmenter_of(spec))
    with capture.open(str(footage / "thermal_background" / clip)) as source:
        moving = [Quality.MOVING in segmenter.step(frame).quality for frame in source]
    assert any(moving) is moves
