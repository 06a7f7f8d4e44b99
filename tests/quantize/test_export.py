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
from quantize.export import STATES, TorchBackend, agreement, export, load_student, roll_out, self_check, steps
from quantize.int8 import quantise
from quantize.models import build, describe
from quantize.student import Student
from tests.quantize.networks import random_student, tiny_authors, tiny_teacher

SIZE = (96, 128)
FPS = 15.0


@pytest.fixture(scope="module")
def frames() -> Array:
    return Renderer(3, None, SIZE, frames=50).clip().frames


@pytest.fixture(scope="module")
def student() -> Student:
    return random_student(SIZE)


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


def test_a_teacher_runs_as_a_file_too(frames: Array, tmp_path: Path) -> None:
    teacher, path = tiny_teacher().eval(), tmp_path / "teacher.onnx"
    with torch.no_grad():
        teacher.detail.boundary.weight.mul_(20.0)
    spec = export(teacher, path, width=SIZE[1], height=SIZE[0], threshold=0.5, provenance={"weights": "random"})
    assert spec.states.keys() == STATES.keys()
    backends = (TorchBackend(teacher, spec), edge.backend.open(path, "onnxruntime"))
    ours, files = (
        [outputs["logits"].copy() for _, outputs in steps(backend, spec, frames[:12], FPS)] for backend in backends
    )
    assert np.std(ours) > 0.01
    np.testing.assert_allclose(files, ours, atol=1e-3)


def test_the_authors_network_runs_as_a_file_without_the_states_it_does_not_use(tmp_path: Path) -> None:
    network, path = tiny_authors(), tmp_path / "authors.onnx"
    spec = export(network, path, width=256, height=240, threshold=0.5, provenance={"weights": "random"})
    assert STATES.keys() - spec.states.keys() == {"memory"}
    frames = Renderer(3, None, (240, 256), frames=10).clip().frames
    backends = (TorchBackend(network, spec), edge.backend.open(path, "onnxruntime"))
    ours, files = ([outputs["logits"].copy() for _, outputs in steps(b, spec, frames, FPS)] for b in backends)
    assert np.std(ours) > 1e-4
    np.testing.assert_allclose(files, ours, atol=1e-3)


def test_the_spec_names_the_size(tmp_path: Path) -> None:
    nano = build("nano")
    made = {"data": "none", "runs": []}
    torch.save({"ema": nano.state_dict(), "steps": 1, "provenance": made, "model": describe(nano)}, tmp_path / "a.pt")
    student, provenance = load_student(tmp_path / "a.pt")
    out = tmp_path / "nano.onnx"
    spec = export(student, out, width=64, height=64, threshold=0.5, provenance=provenance)
    assert spec.provenance["model"] == "nano"
    assert spec.outputs["key"].shape == (1, 8, 8, 8)


def test_export_leaves_the_weights_alone(tmp_path: Path) -> None:
    network = Student().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    export(network, tmp_path / "a.onnx", width=64, height=64, threshold=0.5, provenance={})
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_int8_keeps_the_contract_and_most_of_the_mask(
    student: Student, exported: Path, frames: Array, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.int8.onnx"
    spec = quantise(exported, out, [frames[:24]])
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
