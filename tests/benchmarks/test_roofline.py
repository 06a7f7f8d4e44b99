"""A layer's least time is that of its arithmetic or of its bytes, whichever is longer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks import ceilings, profiles, roofline
from benchmarks.ceilings import Ceilings
from benchmarks.profiles import Layer
from edge import contract

CORE = Ceilings(fp32_gmacs=50.0, int8_gmacs=100.0, copy_gb_s=5.0, cache_gb_s=10.0)


def layer(name: str, *, precision: str = "fp32", macs: int = 0, moved: int = 0, ms: float = 1.0) -> Layer:
    return Layer(name, "Convolution" if macs else "Add", "conv" if macs else "other", precision, macs, moved, ms)


def test_arithmetic_or_bytes_bound_a_layer() -> None:
    assert roofline.share(layer("a", macs=25_000_000), CORE)["share"] == pytest.approx(0.5)
    assert roofline.share(layer("b", precision="int8", macs=25_000_000), CORE)["share"] == pytest.approx(0.25)
    assert roofline.share(layer("c", moved=8_000_000), CORE)["share"] == pytest.approx(0.8)


def test_the_worst_layers_are_those_that_lose_most_time() -> None:
    layers = [layer("fast", macs=50_000_000, ms=1.1), layer("slow", macs=50_000_000, ms=4.0), layer("none", ms=0.5)]
    found = roofline.judged(layers, CORE)
    assert found["worst"] == ["slow", "none", "fast"]
    assert found["convolutions"]["share_of_ceiling"] == pytest.approx(2.0 / 5.1)
    assert found["convolutions"]["int8_share_of_ceiling"] is None
    assert found["ms"] == pytest.approx(5.6)


def test_a_trace_gives_the_arithmetic_of_fused_convolutions() -> None:
    said = {
        "op_name": "QLinearConv",
        "input_type_shape": [
            {"uint8": [1, 8, 30, 40]}, {"float": []}, {"uint8": []},
            {"int8": [16, 8, 3, 3]}, {"float": [16]}, {"int8": [16]},
        ],
        "output_type_shape": [{"uint8": [1, 16, 30, 40]}],
    }  # fmt: skip
    events = [{"cat": "Node", "name": "c_kernel_time", "dur": dur, "args": said} for dur in (900, 10, 20, 30)]
    events.append({"cat": "Session", "name": "model_run", "dur": 1000})
    [found] = profiles.traced(events, 1)
    assert (found.kind, found.precision) == ("conv", "int8")
    assert found.macs == 16 * 30 * 40 * 8 * 9
    assert found.ms == pytest.approx(0.02)
    assert found.bytes == 8 * 1200 + 16 * 8 * 9 + 16 * 4 + 16 + 16 * 1200 + 4 + 1


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_both_profilers_count_the_same_arithmetic(runtime: str, tmp_path: Path) -> None:
    channels = 8
    path = ceilings.dense(channels, False, tmp_path)
    x = np.ones((1, channels, ceilings.HEIGHT, ceilings.WIDTH), np.float32)
    layers = profiles.PROFILES[runtime](path, {"x": x}, 3)
    wanted = ceilings.DEPTH * 9 * channels**2 * ceilings.HEIGHT * ceilings.WIDTH
    assert sum(one.macs for one in layers) == wanted
    assert all(one.ms >= 0 for one in layers)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_the_dense_int8_convolutions_run_in_int8(runtime: str, tmp_path: Path) -> None:
    x = np.ones((1, 8, ceilings.HEIGHT, ceilings.WIDTH), np.float32)
    layers = profiles.PROFILES[runtime](ceilings.dense(8, True, tmp_path), {"x": x}, 2)
    assert [one.precision for one in layers if one.kind == "conv"] == ["int8"] * ceilings.DEPTH


@pytest.mark.parametrize("model", ["student.int8", "student.fp32"])
def test_the_convolutions_of_the_shipped_graph_are_counted_wherever_their_weights_come_from(model: str) -> None:
    _, path = contract.load(model)
    graph = onnx.load(path)
    found = profiles.convolutions(graph)
    names = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    # the trace tells the rest, behind what shape inference cannot see through
    assert 100e6 < sum(found[name] for name in names) < 160e6
