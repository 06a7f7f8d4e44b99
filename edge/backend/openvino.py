"""OpenVINO on the CPU, tuned for one frame at a time: one stream, the caller's threads, no copies in or out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino

from edge.backend import Shapes, check, damaged, wrong_type
from edge.contract import ModelSpec
from edge.records import Array

MOST_TENSORS = 256  # that are kept; a caller without buffers of its own brings a new one each time


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
        self._tensors: dict[int, openvino.Tensor] = {}  # of inputs, by where they lie; each keeps its array alive
        self._given: dict[str, Array] = {}  # the inputs of the last call…
        self._bound: dict[str, int] = {}  # …and where each lay
        self._outputs: dict[str, Array] = {name: np.zeros(shape, np.float32) for name, shape in outputs.items()}
        for name, array in self._outputs.items():
            self._request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        for name in self.inputs:
            array = inputs[name]
            if array is self._given.get(name):
                continue
            self._given[name] = array
            if self._bound.get(name) != (place := array.ctypes.data):
                self._request.set_tensor(name, self._tensor(array, place))
                self._bound[name] = place
        self._request.infer(share_outputs=True)  # what it gives is left lying: copies would be for nothing
        return self._outputs

    def _tensor(self, array: Array, place: int) -> openvino.Tensor:
        """A ring hands out the same few buffers again and again, and a tensor over one costs more than its look-up."""
        tensor = self._tensors.get(place)
        if tensor is None or tensor.shape != array.shape:
            if len(self._tensors) >= MOST_TENSORS:
                self._tensors.clear()
            tensor = self._tensors[place] = openvino.Tensor(array, shared_memory=True)
        return tensor


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
