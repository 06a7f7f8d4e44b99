"""An INT8 file ships only where rounding costs little and both runtimes compute what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import edge.backend
from calibration.render import RenderedClip, Renderer
from edge.contract import load
from edge.errors import ModelError
from quantize import gate
from quantize.export import Tensors, export, steps
from quantize.int8 import LEVELS, quantise, settle
from quantize.senses import Senses
from tests.quantize.networks import random_student

SIZE = (96, 128)


@pytest.fixture(scope="module")
def clips() -> list[RenderedClip]:
    renderer = Renderer(3, None, SIZE, frames=10)
    return [renderer.clip() for _ in range(2)]


@pytest.fixture(scope="module")
def files(clips: list[RenderedClip], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A random student, FP32 and INT8."""
    folder, student = tmp_path_factory.mktemp("model"), random_student(SIZE)
    full, rounded = folder / "tiny.onnx", folder / "tiny.int8.onnx"
    export(student, full, width=SIZE[1], height=SIZE[0], threshold=0.5, provenance={})
    quantise(full, rounded, [clip.frames for clip in clips])
    return full, rounded


@pytest.fixture(scope="module")
def looks(files: tuple[Path, Path], clips: list[RenderedClip]) -> list[Tensors]:
    spec, path = load(files[0])
    backend = edge.backend.open(path, "onnxruntime")
    frames = clips[0].frames
    return [{k: np.array(v) for k, v in given.items()} for given, _ in steps(backend, spec, frames, 15.0)]


def test_both_runtimes_compute_what_the_file_says(files: tuple[Path, Path], looks: list[Tensors]) -> None:
    """One step, the same inputs: OpenVINO once was wrong by half where parts are joined before a convolution."""
    said = []
    for name in gate.RUNTIMES:
        backend = edge.backend.open(load(files[1])[1], name)
        said.append(np.stack([backend.run(given)["logits"].copy() for given in looks]))
    assert np.linalg.norm(said[0] - said[1]) < 0.01 * np.linalg.norm(said[1])


def test_a_sum_reads_no_rounded_values(files: tuple[Path, Path]) -> None:
    nodes = onnx.load(files[1]).graph.node
    rounded = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    assert {node.op_type for node in nodes if rounded & set(node.input)} == {"Conv"}


def test_each_layer_has_its_figure(files: tuple[Path, Path], looks: list[Tensors]) -> None:
    found = gate.sqnr(*files, looks)
    convolutions = [node for node in onnx.load(files[0]).graph.node if node.op_type == "Conv"]
    assert len(found) == len(convolutions) + 1
    assert found["/student/Conv_1_output_0"] > 100, "what the memory tells stays in float"
    assert 10 < found["/student/decode4/decode4.0/Conv_output_0"] < 60
    assert gate.table(found).splitlines()[0].endswith(min(found, key=lambda name: found[name]))


def test_rounding_keeps_the_sum_of_each_kernel() -> None:
    before = np.random.default_rng(0).normal(size=(6, 4, 3, 3)).astype(np.float32)
    step = np.abs(before).max((1, 2, 3), keepdims=True) / LEVELS
    kernels = [onnx.numpy_helper.from_array(before, name) for name in ("rounded", "other")]
    model = onnx.helper.make_model(onnx.helper.make_graph([], "kernels", [], [], kernels))
    settle(model, {"rounded"})
    after, other = (onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer)
    assert np.array_equal(other, before)
    assert np.allclose(after / step, np.rint(after / step), atol=1e-3)
    assert np.allclose(np.abs(after).max((1, 2, 3)), np.abs(before).max((1, 2, 3))), "the scale stays"
    assert np.abs(after - before).max() <= step.max()
    lost, plain = (
        np.abs((kernel - before).sum((2, 3)) / step[..., 0, 0]).max()
        for kernel in (after, step * np.rint(before / step))
    )
    assert lost < 0.501 < plain


def test_the_first_scale_spans_all_that_a_plane_can_hold(files: tuple[Path, Path]) -> None:
    graph = onnx.load(files[1]).graph
    first = next(node for node in graph.node if "Quantize" in node.op_type and "/senses/" in node.name)
    scale = next(tensor for tensor in graph.initializer if tensor.name == first.input[1])
    assert onnx.numpy_helper.to_array(scale).item() == pytest.approx(Senses.reach / 127, rel=0.01)


def test_a_file_loses_nothing_against_itself(
    files: tuple[Path, Path], looks: list[Tensors], clips: list[RenderedClip]
) -> None:
    found = gate.loss(files[0], files[0], clips, looks)
    found.check()
    assert min(found.sqnr.values()) > 100
    assert found.iou[0] == found.iou[1]


def test_a_spoilt_layer_shows(files: tuple[Path, Path], looks: list[Tensors], tmp_path: Path) -> None:
    model = onnx.load(files[1])
    node = next(n for n in model.graph.node if n.op_type == "Conv" and "down16" in n.name)
    kernel = next(n for n in model.graph.node if node.input[1] in n.output)
    scale = next(t for t in model.graph.initializer if t.name == kernel.input[1])
    scale.CopyFrom(onnx.numpy_helper.from_array(4 * onnx.numpy_helper.to_array(scale), scale.name))
    onnx.save(model, tmp_path / "spoilt.onnx")
    before, after = gate.sqnr(*files, looks), gate.sqnr(files[0], tmp_path / "spoilt.onnx", looks)
    assert after[node.output[0]] < 0 < before[node.output[0]]
    assert after["logits"] < before["logits"]


@pytest.mark.parametrize(
    ("logits", "iou", "agreement", "said"),
    [
        (24.0, (0.8, 0.8), 1.0, "logits at 24.0 dB.* worst is layer"),
        (40.0, (0.8, 0.78), 1.0, "IoU 0.780, 0.800 before"),
        (40.0, (0.8, 0.8), 0.9, "openvino and onnxruntime agree at IoU 0.900"),
    ],
)
def test_what_loses_too_much_is_refused(logits: float, iou: tuple[float, float], agreement: float, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        gate.Loss({"layer": 12.0, "logits": logits}, iou, agreement).check()
