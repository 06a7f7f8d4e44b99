"""The exported files compute what torch computes, frame after frame, and depend on what they are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import edge.backend
from calibration.render import Renderer
from edge.contract import load
from edge.records import Array
from quantize.export import TorchBackend, agreement, export, roll_out, self_check
from quantize.int8 import quantise
from quantize.student import Student

SIZE = (96, 128)
FPS = 15.0


@pytest.fixture(scope="module")
def frames() -> Array:
    return Renderer(3, None, SIZE, frames=50).clip().frames / np.float32(255)


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(5)
    student = Student()
    with torch.no_grad():  # untrained logits hover around one side of 0; spread them, so that masks have edges
        student.boundary.weight.mul_(20.0)
    return student.eval()


@pytest.fixture(scope="module")
def exported(student: Student, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    export(student, path, width=SIZE[1], height=SIZE[0], threshold=0.5, provenance={"weights": "random"})
    return path


def test_torch_and_onnx_agree_over_fifty_frames(student: Student, exported: Path, frames: Array) -> None:
    assert self_check(student, exported, frames, FPS) >= 0.999


def test_the_check_notices_other_weights(exported: Path, frames: Array) -> None:
    torch.manual_seed(6)
    with pytest.raises(SystemExit, match="agree only"):
        self_check(Student(), exported, frames, FPS)


def test_int8_keeps_the_contract_and_most_of_the_mask(
    student: Student, exported: Path, frames: Array, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.int8.onnx"
    spec = quantise(exported, out, [(frames[:24] * 255).astype(np.uint8)])
    full, _ = load(exported)
    assert spec.precision == "int8"
    assert spec.inputs == full.inputs
    backend = edge.backend.open(out, "onnxruntime", spec=spec)
    masks = roll_out(backend, spec, frames[:20], FPS)
    assert agreement(masks, roll_out(TorchBackend(student, full), full, frames[:20], FPS)) > 0.8


def test_quantised_tensors_are_symmetric_signed_and_weights_fit_seven_bits(exported: Path, tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    out = tmp_path / "tiny.int8.onnx"
    clip = Renderer(4, None, SIZE, frames=8).clip().frames
    quantise(exported, out, [clip])
    graph = onnx.load(out).graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    scaled = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(scaled) > 20
    for node in scaled:
        assert not values[node.input[2]].any(), f"{node.name}: zero point"
    kernels = [values[n.input[0]] for n in scaled if n.input[0] in values and values[n.input[0]].ndim == 4]
    assert kernels
    for kernel in kernels:
        assert kernel.dtype == np.int8
        assert np.abs(kernel).max() <= 64
