"""Tiny ONNX models with the contract of the real one, whose every output can be worked out by hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.contract import ModelSpec
from edge.records import Array

WIDTH, HEIGHT = 64, 48
LAG_S = 2 / 15
GAIN = 40.0  # logits = GAIN x (frame - background) - 2: gas is what is brighter than the background by 0.05

SHAPES = {
    "frame": (1, 1, HEIGHT, WIDTH),
    "clock": (1, 2),
    "past": (1, 1, HEIGHT, WIDTH),
    "background": (1, 1, HEIGHT, WIDTH),
    "logits": (1, 1, HEIGHT // 2, WIDTH // 2),
    "noise": (1,),
    "background_next": (1, 1, HEIGHT, WIDTH),
}
INPUTS, OUTPUTS = ("frame", "clock", "past", "background"), ("logits", "noise", "background_next")


def write(
    path: Path, *, inputs: tuple[str, ...] = INPUTS, shapes: dict[str, tuple[int | str, ...]] | None = None
) -> Path:
    """A differencing model; `inputs` and `shapes` deviate from the contract where a test wants that."""
    sizes: dict[str, tuple[int | str, ...]] = {**SHAPES, **(shapes or {})}
    nodes = [
        helper.make_node("Sub", ["frame", "background"], ["difference"]),
        helper.make_node("AveragePool", ["difference"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Mul", ["pooled", "gain"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "two"], ["logits"]),
        helper.make_node("Sub", ["frame", "past"], ["movement"]),
        helper.make_node("Abs", ["movement"], ["amount"]),
        helper.make_node("ReduceMean", ["amount"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("ReduceSum", ["clock"], ["time"], keepdims=0),  # the clock is used, or runtimes would drop it
        helper.make_node("Mul", ["time", "nothing"], ["no_time"]),
        helper.make_node("Add", ["mean", "no_time"], ["noise"]),
        helper.make_node("Mul", ["difference", "tenth"], ["part"]),
        helper.make_node("Add", ["background", "part"], ["background_next"]),
    ]
    values = {"gain": GAIN, "two": 2.0, "nothing": 0.0, "tenth": 0.1}
    graph = helper.make_graph(
        nodes,
        "differencing",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes[name]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes[name]) for name in OUTPUTS],
        [numpy_helper.from_array(np.float32(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def spec(path: Path | None = None, *, resize: str = "stretch", size: tuple[int, int] = (WIDTH, HEIGHT)) -> ModelSpec:
    """The ModelSpec of such a model; written beside it where a path is given."""
    width, height = size
    scaled = {
        name: [1, 1, shape[2] * height // HEIGHT, shape[3] * width // WIDTH] if len(shape) == 4 else list(shape)
        for name, shape in SHAPES.items()
    }
    content = {
        "name": path.stem if path else "tiny",
        "file": path.name if path else "tiny.onnx",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest() if path else "",
        "precision": "fp32",
        "opset": 17,
        "inputs": {name: {"shape": scaled[name]} for name in INPUTS},
        "outputs": {name: {"shape": scaled[name]} for name in OUTPUTS},
        "states": {
            "past": {"source": "frame", "lag_s": LAG_S, "missing": "frame"},
            "background": {"source": "background_next", "lag_s": 0.0, "missing": "frame"},
        },
        "resize": resize,
        "threshold": 0.5,
        "min_component_px": 16,
        "provenance": {},
    }
    if path:
        path.with_suffix(".json").write_text(json.dumps(content))
    return ModelSpec.model_validate(content)


def shipped_like(folder: Path) -> Path:
    """A tiny model with its ModelSpec, as a shipped one lies in a folder."""
    path = write(folder / "tiny.onnx")
    spec(path)
    return path


class HandBackend:
    """The same model in numpy; remembers what it was fed."""

    name = "hand"

    def __init__(self) -> None:
        self.inputs = {name: SHAPES[name] for name in INPUTS}
        self.fed: list[dict[str, Array]] = []

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        self.fed.append({name: array.copy() for name, array in inputs.items()})
        difference = inputs["frame"] - inputs["background"]
        n, c, h, w = difference.shape
        pooled = difference.reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5))
        return {
            "logits": (GAIN * pooled - 2.0).astype(np.float32),
            "noise": np.abs(inputs["frame"] - inputs["past"]).mean(axis=(1, 2, 3)),
            "background_next": inputs["background"] + np.float32(0.1) * difference,
        }
