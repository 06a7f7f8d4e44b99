"""ONNX Runtime on the CPU, on CUDA or TensorRT where its build has them; inputs and outputs are bound, not copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edge.backend import Shapes, check, damaged, wrong_type
from edge.contract import ModelSpec
from edge.errors import ConfigError
from edge.hardware import cache_folder
from edge.records import Array

CPU = "CPUExecutionProvider"
CUDA = ("CUDAExecutionProvider", {"use_tf32": "0"})


def providers(device: str) -> list[Any]:
    """Execution providers in order of preference: what one cannot run falls to the next."""
    if device == "tensorrt":
        engines = {
            "trt_int8_enable": "1",  # takes the scales of the Q/DQ nodes; nothing to do with an FP32 file
            "trt_engine_cache_enable": "1",  # building an engine takes minutes
            "trt_engine_cache_path": str(cache_folder()),
        }
        return [("TensorrtExecutionProvider", engines), CUDA, CPU]
    return [CUDA, CPU] if device == "cuda" else [CPU]


class OnnxRuntime:
    """A session with outputs bound to numpy arrays; `device` is "cpu", "cuda" or "tensorrt"."""

    def __init__(self, path: Path, threads: int, spec: ModelSpec | None, device: str = "cpu") -> None:
        self.name = "onnxruntime" if device == "cpu" else device
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, in one line
        # worker threads may spin while a frame is computed, but not between frames: the box has no fan
        options.add_session_config_entry("session.force_spinning_stop", "1")
        wanted = providers(device)
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
        except Exception as error:  # its exceptions share no base class
            raise damaged(path, "ONNX Runtime", error) from error
        if device != "cpu" and wanted[0][0] not in self._session.get_providers():
            raise ConfigError(
                f"backend '{device}': ONNX Runtime has it but its libraries do not load; see fgstp-edge doctor"
            )
        inputs, outputs = shapes(path, self._session.get_inputs()), shapes(path, self._session.get_outputs())
        check(path, inputs, outputs, spec)
        self.inputs = inputs
        self._outputs: dict[str, Array] = {name: np.zeros(shape, np.float32) for name, shape in outputs.items()}
        self._binding = self._session.io_binding()
        for name, array in self._outputs.items():
            self._binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        for name in self.inputs:
            self._binding.bind_cpu_input(name, inputs[name])
        self._session.run_with_iobinding(self._binding)
        return self._outputs


def shapes(path: Path, values: list[Any]) -> Shapes:
    """Shapes by name; a dynamic dimension becomes 0."""
    found: Shapes = {}
    for value in values:
        if value.type != "tensor(float)":
            raise wrong_type(path, value.name, value.type)
        found[value.name] = tuple(size if isinstance(size, int) else 0 for size in value.shape)
    return found
