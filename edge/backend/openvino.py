"""OpenVINO on the CPU, tuned for one frame at a time: one stream, the caller's threads, no copies in or out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino

from edge.backend import Shapes, check, damaged, wrong_type
from edge.contract import ModelSpec
from edge.records import Array


class OpenVino:
    """A compiled model with one inference request; outputs are written straight into numpy arrays."""

    name = "openvino"

    def __init__(self, path: Path, threads: int, spec: ModelSpec | None) -> None:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # not bfloat16, which AMX machines would choose: masks would differ
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # two processes on one box would both sit on the first core
        }
        try:
            core = openvino.Core()
            model = core.read_model(path)
            inputs, outputs = shapes(path, model.inputs), shapes(path, model.outputs)
        except RuntimeError as error:
            raise damaged(path, "OpenVINO", error) from error
        check(path, inputs, outputs, spec)
        try:
            self._request = core.compile_model(model, "CPU", settings).create_infer_request()
        except RuntimeError as error:
            raise damaged(path, "OpenVINO", error) from error
        self.inputs = inputs
        self._outputs: dict[str, Array] = {name: np.zeros(shape, np.float32) for name, shape in outputs.items()}
        for name, array in self._outputs.items():
            self._request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        for name in self.inputs:
            self._request.set_tensor(name, openvino.Tensor(inputs[name], shared_memory=True))
        self._request.infer()
        return self._outputs


def shapes(path: Path, ports: list[openvino.Output]) -> Shapes:
    """Shapes by the names that the ONNX file gives; a dynamic dimension becomes 0."""
    found: Shapes = {}
    for port in ports:
        # A port can carry names of inner tensors too; the ONNX value's own name is the port's friendly name.
        names = port.get_names()
        own = port.get_node().get_friendly_name().removesuffix("/sink_port_0")
        name = own if own in names else min(names)
        if port.get_element_type() != openvino.Type.f32:
            raise wrong_type(path, name, port.get_element_type())
        found[name] = tuple(0 if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    return found
