"""Will TensorRT 10.3 (JetPack 6) take this file? Operators and quantisation, node by node.

    python -m quantize.tensorrt edge/models/student.int8.onnx

The rules: each operator is in `tensorrt_operators.json`; quantisation is signed, 8 bits, symmetric, zero point 0; where
a convolution is added to something quantised, Q/DQ stands on the other branch only, so that Conv and Add still fuse.
Biases stay in float: TensorRT refuses a DequantizeLinear of 32 bits ("only activation types allowed as input to this
layer", github.com/microsoft/onnxruntime/issues/14229). Nothing here has seen a board.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edge.errors import ModelError

TABLE = json.loads(Path(__file__).with_name("tensorrt_operators.json").read_text(encoding="utf-8"))
QUANTISERS = ("QuantizeLinear", "DequantizeLinear")


def complaints(model: onnx.ModelProto) -> Iterator[str]:
    """What TensorRT would refuse or not fuse, one line for each node."""
    opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    least, most = TABLE["opsets"]
    if not least <= opset <= most:
        yield f"opset {opset}: {least} to {most} are taken"
    graph = model.graph
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        where = f"{node.op_type} {node.name}"
        if node.domain not in ("", "ai.onnx") or node.op_type not in TABLE["operators"]:
            yield f"{where}: not in TensorRT's table"
        elif node.op_type in QUANTISERS:
            yield from (f"{where}: {what}" for what in _quantisation(node, constants))
        elif node.op_type == "Resize":
            yield from (f"{where}: {what}" for what in _resize(node))
        elif node.op_type == "Add":
            yield from (f"{where}: {what}" for what in _residual(node, makers))
        for index in TABLE["constant_inputs"].get(node.op_type, ()):
            if index < len(node.input) and node.input[index] and not _constant(node.input[index], constants, makers):
                yield f"{where}: input {index} must be constant"


def _constant(name: str, constants: dict[str, np.ndarray], makers: dict[str, onnx.NodeProto]) -> bool:
    return name in constants or (name in makers and makers[name].op_type == "Constant")


def _quantisation(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> Iterator[str]:
    zero = constants.get(node.input[2]) if len(node.input) > 2 else None
    if zero is None:
        yield "no constant zero point: it would be unsigned"
    elif zero.dtype != np.int8:
        yield f"{zero.dtype}: only int8 is taken"
    elif zero.any():
        yield "zero point is not 0"
    if node.input[1] not in constants:
        yield "scale must be constant"


def _resize(node: onnx.NodeProto) -> Iterator[str]:
    for attribute in node.attribute:
        taken = TABLE["resize"].get(attribute.name)
        value = onnx.helper.get_attribute_value(attribute)
        if taken is not None and value.decode() not in taken:
            yield f"{attribute.name} {value.decode()}: taken are {', '.join(taken)}"


def _residual(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> Iterator[str]:
    """Q/DQ between a convolution and the addition behind it keeps them apart."""
    for name in node.input:
        dequantise = makers.get(name)
        if dequantise is None or dequantise.op_type != "DequantizeLinear":
            continue
        quantise = makers.get(dequantise.input[0])
        source = makers.get(quantise.input[0]) if quantise is not None else None
        others = [makers[other].op_type for other in node.input if other != name and other in makers]
        if source is not None and source.op_type == "Conv" and "Conv" not in others:
            yield f"Q/DQ stands between it and {source.name}, which then does not fuse"


def main(argv: list[str] | None = None) -> int:
    """The command line; 0 when nothing is to complain about."""
    parser = argparse.ArgumentParser(prog="python -m quantize.tensorrt", description="Check an ONNX file for TensorRT.")
    parser.add_argument("file", type=Path)
    options = parser.parse_args(argv)
    try:
        model = onnx.load(options.file)
    except (OSError, ValueError) as error:
        raise ModelError(f"{options.file}: cannot be read: {error}") from error
    found = list(complaints(model))
    for line in found:
        print(line)
    print(f"{options.file}: {len(model.graph.node)} nodes, {len(found)} complaints")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
