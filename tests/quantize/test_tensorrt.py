"""The shipped files hold nothing that TensorRT refuses; and the checker notices what does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge import contract
from quantize.tensorrt import complaints


@pytest.mark.parametrize("name", ["student.int8", "student.fp32"])
def test_tensorrt_would_take_the_shipped_file(name):
    assert list(complaints(onnx.load(contract.load(name)[1]))) == []


def network(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    shape = [1, 2, 4, 4]
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


SCALE, WEIGHT = np.array(0.1, np.float32), np.ones((2, 2, 1, 1), np.float32)
QUANTISE = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="q")
DEQUANTISE = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], name="d")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (network(helper.make_node("NonMaxSuppression", ["x"], ["y"])), "not in TensorRT's table"),
        (network(QUANTISE, DEQUANTISE, s=SCALE, z=np.array(3, np.int8)), "zero point is not 0"),
        (network(QUANTISE, DEQUANTISE, s=SCALE, z=np.array(0, np.uint8)), "uint8: only int8"),
        (network(helper.make_node("Resize", ["x"], ["y"], mode="cubic")), "mode cubic"),
        (network(helper.make_node("TopK", ["x", "x"], ["y", "i"])), "input 1 must be constant"),
        (
            network(
                helper.make_node("Conv", ["x", "w"], ["c"], name="c"),
                helper.make_node("QuantizeLinear", ["c", "s", "z"], ["q"]),
                helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
                helper.make_node("Add", ["x", "d"], ["y"]),
                s=SCALE,
                z=np.array(0, np.int8),
                w=WEIGHT,
            ),
            "Q/DQ stands between it and c",
        ),
    ],
)
def test_what_tensorrt_refuses_is_named(model, words):
    assert any(words in line for line in complaints(model)), list(complaints(model))
