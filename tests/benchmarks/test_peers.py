"""Methods take turns, and are compared turn by turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks import peers
from benchmarks.contestants import WARM, Classical, Instance, Network
from edge.records import Frame

FRAMES = [
    Frame(np.random.default_rng(i).integers(90, 110, (240, 320), np.uint8), i, i / 15, i / 15) for i in range(WARM + 4)
]


@pytest.mark.parametrize(
    ("make", "size"),
    [(lambda: Network("student.int8", "onnxruntime"), (160, 120)), (lambda: Classical("mog2"), (320, 240))],
)
def test_a_turn_is_timed_after_its_first_frames(make, size) -> None:
    one = make()
    one.turn(FRAMES)
    found = one.figures()
    assert found["frames"] == 4
    assert found["input"] == size
    assert found["mask_ms"]["p50"] > 0
    assert found["end_to_end_ms"]["p50"] == pytest.approx(found["rounds_ms"][0])


def test_of_a_slow_method_a_few_frames_are_enough() -> None:
    one = Network("student.int8", "onnxruntime", slow=True)
    one.turn(FRAMES)
    assert one.figures()["frames"] == 3


def test_a_general_purpose_network_sees_the_picture_undistorted(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1], keepdims=1)],
        "mean",
        [value("images", onnx.TensorProto.FLOAT, (1, 3, 64, 64))],
        [value("mean", onnx.TensorProto.FLOAT, (1, 1, 64, 64))],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path / "peer.int8.onnx"
    onnx.save(model, path)
    one = Instance(path)
    one.turn([Frame(np.full((30, 60), 51, np.uint8), i, i / 15, i / 15) for i in range(WARM + 1)])
    assert one.said["method"] == "peer"
    assert one.tensor[0, :, :32].mean() == pytest.approx(0.2)
    assert one.tensor[0, :, 32:].min() == pytest.approx(114 / 255)


def test_ratios_pair_the_rounds_where_they_were_shared() -> None:
    ours = {"rounds_ms": [5.0, 10.0, 5.0], "fps": 200.0, "mask_ms": {"p50": 4.0}}
    shared = {"rounds_ms": [10.0, 20.0, 10.0], "fps": 1.0, "mask_ms": {"p50": 2.0}}
    alone = {"rounds_ms": [5000.0], "fps": 0.2, "mask_ms": {"p50": 5000.0}}
    assert peers.ratio(shared, ours) == {"end_to_end": pytest.approx(2.0), "mask": pytest.approx(0.5)}
    assert peers.ratio(alone, ours) == {"end_to_end": pytest.approx(1000.0), "mask": pytest.approx(1250.0)}
