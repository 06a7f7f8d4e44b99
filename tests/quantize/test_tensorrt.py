"""The shipped INT8 file, its biases in float, has nothing that TensorRT refuses; and the checker notices what has."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge import contract
from quantize.tensorrt import complaints, for_tensorrt


@pytest.fixture(scope="module")
def shipped() -> onnx.ModelProto:
    return onnx.load(contract.load("student.int8")[1])


def test_the_shipped_file_has_nothing_to_complain_about_but_its_biases(shipped):
    found = list(complaints(shipped))
    assert found
    assert all("int32: only int8 is taken" in line for line in found), found
    assert list(complaints(for_tensorrt(shipped))) == []


def test_the_copy_computes_the_same(shipped):
    generator = np.random.default_rng(3)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # as the file says
    outputs = []
    inputs = None
    for model in shipped, for_tensorrt(shipped):
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        if inputs is None:
            inputs = {one.name: generator.random(one.shape, np.float32) for one in session.get_inputs()}
        outputs.append(session.run(None, inputs))
    for ours, theirs in zip(*outputs, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


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
