"""Networks for speed alone say what they are, and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edge.contract import load
from edge.errors import ModelError
from edge.records import Frame
from edge.segmenter import open_segmenter
from quantize import peers, untrained
from quantize.authors import AuthorsConfig
from quantize.pvt import PVTConfig


def test_random_weights_are_said_to_be_random_and_make_masks(tmp_path: Path) -> None:
    fp32, int8 = untrained.make("nano", (64, 48), tmp_path, ("fp32", "int8"))
    assert (fp32.precision, int8.precision) == ("fp32", "int8")
    assert fp32.provenance["weights"] == int8.provenance["weights"] == "random"
    assert load(tmp_path / "nano.int8.onnx")[0].size == (32, 24)  # pictures are half as large as the camera's
    picture = np.random.default_rng(0).integers(90, 110, (48, 64), np.uint8)
    assert open_segmenter(str(tmp_path / "nano.int8.onnx"), "onnxruntime").step(
        Frame(picture, 0, 0.0, 0.0)
    ).mask.shape == (48, 64)


def test_a_network_of_others_is_quantised_where_its_input_is_fixed(tmp_path: Path) -> None:
    value, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    weight = onnx.numpy_helper.from_array(np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32), "w")

    def write(height: int | str) -> Path:
        graph = onnx.helper.make_graph(
            [node("Conv", ["x", "w"], ["y"], name="conv", pads=[1, 1, 1, 1])],
            "one",
            [value("x", onnx.TensorProto.FLOAT, (1, 3, height, 16))],
            [value("y", onnx.TensorProto.FLOAT, (1, 4, height, 16))],
            [weight],
        )
        onnx.save(
            onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9),
            tmp_path / "a.onnx",
        )
        return tmp_path / "a.onnx"

    peers.int8(write(16), tmp_path / "b.onnx")
    assert "QuantizeLinear" in {one.op_type for one in onnx.load(tmp_path / "b.onnx").graph.node}
    with pytest.raises(ModelError, match="fixed shape"):
        peers.int8(write("any"), tmp_path / "c.onnx")


def test_fgstp_as_written_is_timed_frame_by_frame() -> None:
    small = PVTConfig(
        widths=(8, 16, 16, 16),
        heads=(1, 1, 1, 1),
        expansions=(2, 2, 2, 2),
        reductions=(8, 4, 2, 1),
        depths=(1, 1, 1, 1),
    )
    taken = peers.written(2, AuthorsConfig(pvt=small), 256)
    assert len(taken) == 2
    assert all(time > 0 for time in taken)
