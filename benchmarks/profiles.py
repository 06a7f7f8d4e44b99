"""Time, multiply-accumulates and bytes of each layer of a model, as the runtime that fused them reports it."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edge.records import Array

BURN_IN = 10  # frames
SIZES = {"float": 4, "float32": 4, "f32": 4, "int32": 4, "i32": 4, "int64": 8, "i64": 8, "f16": 2, "bf16": 2}  # bytes


@dataclass(frozen=True, slots=True)
class Layer:
    """One kernel of the compiled graph."""

    name: str
    type: str  # in the runtime's words
    kind: str  # "conv", "matmul", "other"
    precision: str  # "int8", "fp32"
    macs: int
    bytes: int  # read and written, weights included
    ms: float  # median over the frames


def openvino(path: Path, inputs: dict[str, Array], rounds: int) -> list[Layer]:
    """By OpenVINO's performance counters."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERF_COUNT": True}
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    wanted = {name: inputs[name] for port in compiled.inputs for name in port.get_names() if name in inputs}
    times: dict[str, list[float]] = defaultdict(list)
    kernels: dict[str, str] = {}
    for number in range(BURN_IN + rounds):
        request.infer(wanted)
        for one in request.profiling_info if number >= BURN_IN else ():
            times[one.node_name].append(1000 * one.real_time.total_seconds())
            kernels[one.node_name] = one.exec_type
    known = {op.get_friendly_name(): op for op in model.get_ops()}
    layers = []
    for op in compiled.get_runtime_model().get_ops():
        name, kind = op.get_friendly_name(), _told(op, "layerType")
        if name not in times or kind in ("Const", "Input", "Parameter", "Output"):
            continue
        sources = [known[one] for one in _told(op, "originalLayersNames").split(",") if one in known]
        counted = [_counted(source) for source in sources]
        macs, weights = sum(one[0] for one in counted), sum(one[1] for one in counted)
        int8 = "i8" in kernels[name].lower() or "u8" in kernels[name].lower()
        moved = sum(_size(port.get_source_output()) for port in op.inputs()) + sum(map(_size, op.outputs()))
        moved += weights * (1 if int8 else 4)
        ms = float(np.median(times[name]))
        layers.append(Layer(name, kind, _kind(kind), "int8" if int8 else "fp32", macs, moved, ms))
    return layers


def _told(op: Any, key: str) -> str:
    found = op.get_rt_info()
    return str(found[key].astype(str)) if key in found else ""


def _size(port: Any) -> int:
    """Bytes of a tensor of the compiled graph; weights are counted from the model."""
    if _told(port.get_node(), "layerType") == "Const":
        return 0
    precisions = _told(port.get_node(), "outputPrecisions").split(",")
    precision = precisions[min(port.get_index(), len(precisions) - 1)].lower()
    return int(prod(port.get_shape())) * SIZES.get(precision, 1)


def _counted(op: Any) -> tuple[int, int]:
    """Multiply-accumulates and weights of one operation of the model."""
    kind = op.get_type_name()
    out = prod(op.output(0).get_shape())
    if kind in ("Convolution", "GroupConvolution"):
        weight = list(op.input_value(1).get_shape())
        each = prod(weight[1:]) if kind == "Convolution" else prod(weight[2:])
        return int(out * each), int(prod(weight))
    if kind == "MatMul":
        return int(out * list(op.input_value(0).get_shape())[-1]), 0
    return 0, 0


def onnxruntime(path: Path, inputs: dict[str, Array], rounds: int) -> list[Layer]:
    """By ONNX Runtime's profiler."""
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="fgstp-profile-") as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_profiling = True
        options.log_severity_level = 4
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        wanted = {one.name: inputs[one.name] for one in session.get_inputs()}
        for _ in range(BURN_IN + rounds):
            session.run(None, wanted)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return traced(events, BURN_IN, convolutions(onnx.load(path)))


def convolutions(model: onnx.ModelProto) -> dict[str, int]:
    """Multiply-accumulates of each convolution, by the names that the runtime may give it: of its node, or of what it
    or the ReLU behind it writes. The trace itself shows channels filled up to the width of a vector."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    readers = {name: node for node in graph.node for name in node.input}
    found: dict[str, int] = {}
    for node in graph.node:
        if node.op_type == "Conv":
            written = node.output[0]
            macs = prod(shapes[written]) * prod(shapes[node.input[1]][1:])
            found |= {node.name: macs, f"{written}_nchwc": macs}
            if written in readers and readers[written].op_type == "Relu":
                found[f"{readers[written].output[0]}_nchwc"] = macs
    return found


def traced(events: Iterable[dict[str, Any]], burn_in: int, known: Mapping[str, int] | None = None) -> list[Layer]:
    """Layers from the events of a trace, without the first `burn_in` runs of each; `known` multiply-accumulates come
    before those that the shapes in the trace give."""
    kernels: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kernels[event["name"].removesuffix("_kernel_time")].append(event)
    layers = []
    for name, runs in kernels.items():
        said = runs[0]["args"]
        ins, outs = _tensors(said.get("input_type_shape", [])), _tensors(said.get("output_type_shape", []))
        op, out = said["op_name"], prod(outs[0][1]) if outs else 0
        pictures = [shape for _, shape in ins if len(shape) == 4]
        macs = (known or {}).get(name, 0)
        if macs == 0 and _kind(op) == "conv" and len(pictures) > 1:
            macs = out * prod(pictures[1][1:])
        elif _kind(op) == "matmul" and ins:
            macs = out * ins[0][1][-1]
        moved = sum(SIZES.get(kind, 1) * prod(shape) for kind, shape in (*ins, *outs))
        ms = float(np.median([run["dur"] for run in runs[burn_in:]])) / 1000
        layers.append(Layer(name, op, _kind(op), "int8" if op.startswith("QLinear") else "fp32", macs, moved, ms))
    return layers


def _tensors(said: Sequence[dict[str, list[int]]]) -> list[tuple[str, list[int]]]:
    """Type and shape of each."""
    return [(kind, shape) for one in said for kind, shape in one.items()]


def _kind(op: str) -> str:
    """What it is in our words."""
    if "conv" in op.lower() and "convert" not in op.lower():
        return "conv"
    return "matmul" if "matmul" in op.lower() or "gemm" in op.lower() else "other"


PROFILES: dict[str, Callable[[Path, dict[str, Array], int], list[Layer]]] = {
    "openvino": openvino,
    "onnxruntime": onnxruntime,
}
