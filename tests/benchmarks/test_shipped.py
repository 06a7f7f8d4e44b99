"""The shipped models on real footage: floors under the README's figures, on the clips that are quickest to run."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from benchmarks.evaluate import Method, Result, agreement, evaluate
from calibration import clips

pytestmark = pytest.mark.slow


@lru_cache
def on_simgas(data: Path, name: str, model: str, backend: str = "openvino") -> Result:
    clip = next(clip for clip in clips.simgas(data) if clip.name == name)
    return evaluate(clip, Method(model, backend))


@pytest.mark.parametrize("name", ["simgasvid10", "simgasvid16"])
def test_the_int8_student_finds_the_plume(footage: Path, name: str) -> None:
    result = on_simgas(footage, name, "student.int8")
    assert result.mask.iou > 0.6
    assert result.alarms, "a leak that stands for ten seconds raises an alarm"


def test_quantisation_costs_next_to_nothing(footage: Path) -> None:
    full, quantised = (on_simgas(footage, "simgasvid16", model) for model in ("student.fp32", "student.int8"))
    assert quantised.mask.iou == pytest.approx(full.mask.iou, abs=0.01)


def test_both_runtimes_give_the_same_masks(footage: Path) -> None:
    clip = next(clip for clip in clips.simgas(footage) if clip.name == "simgasvid16")
    same = agreement(clip, Method("student.int8", "openvino"), Method("student.int8", "onnxruntime"), 120)
    assert same.mask.iou > 0.99
