"""Run an ONNX file on this device: one interface over OpenVINO and ONNX Runtime, loaded only when asked for.

Every backend computes in FP32 where the file says FP32, also where the processor would rather use bfloat16 or TF32: the
same frames give the same masks everywhere.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Protocol

import edge.hardware
from edge.contract import ModelSpec
from edge.errors import ConfigError, ModelError
from edge.records import Array

# OpenVINO reports each import to its maker through this package, and crashes where there is no home directory. Nothing
# may leave the box: None makes the import fail, and OpenVINO then uses its own empty stand-in.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

NAMES = ("openvino", "onnxruntime", "cuda", "tensorrt")
Shapes = dict[str, tuple[int, ...]]


class Backend(Protocol):
    """A loaded model. The graph is stateless and so is this."""

    name: str
    inputs: Shapes

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Compute all outputs by name from all inputs (float32, C-contiguous, shapes as in the file; more names are
        ignored). The outputs lie in the backend's own buffers and hold until the next call."""


def available() -> tuple[str, ...]:
    """The backends that this machine can run, in order of NAMES."""
    return tuple(name for name in NAMES if present(name))


def present(backend: str) -> bool:
    """Whether this machine can run a backend; only asking for CUDA or TensorRT loads ONNX Runtime."""
    if backend in ("openvino", "onnxruntime"):
        return backend in edge.hardware.runtimes()
    provider = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}[backend]
    return provider in edge.hardware.providers()


def open(onnx_path: str | Path, backend: str = "auto", threads: int = 1, spec: ModelSpec | None = None) -> Backend:
    """Load a model; with `spec`, its tensors must be those of the ModelSpec.

    `auto` takes the fastest backend on this machine, by a short trial whose result is remembered. Raises ModelError for
    a damaged or unfitting file, ConfigError for a backend that is unknown or absent.
    """
    path = Path(onnx_path)
    if not path.is_file():
        raise ModelError(f"{path}: no such model file; give the path of an ONNX file")
    if backend == "auto":
        from edge.backend.trial import fastest

        return fastest(path, threads, spec)
    if backend not in NAMES:
        raise ConfigError(f"backend '{backend}': unknown; use one of auto, {', '.join(NAMES)}")
    if not present(backend):
        raise ConfigError(f"backend '{backend}': not installed here; available: {', '.join(available()) or 'none'}")
    if backend == "openvino":
        from edge.backend.openvino import OpenVino

        return OpenVino(path, threads, spec)
    from edge.backend.onnxruntime import OnnxRuntime

    return OnnxRuntime(path, threads, spec, device=backend if backend != "onnxruntime" else "cpu")


def check(path: Path, inputs: Shapes, outputs: Shapes, spec: ModelSpec | None) -> None:
    """Compare the tensors of a file with its ModelSpec. Raises ModelError naming the first that does not fit."""
    for name, shape in (*inputs.items(), *outputs.items()):
        if not all(size > 0 for size in shape):
            raise ModelError(f"{path}: tensor '{name}' has no fixed shape; export the model with static shapes")
    if spec is None:
        return
    for kind, found, wanted in (("input", inputs, spec.inputs), ("output", outputs, spec.outputs)):
        for name, tensor in wanted.items():
            if name not in found:
                raise ModelError(f"{path}: {kind} '{name}' of the ModelSpec is missing from the file; export it again")
            if found[name] != tensor.shape:
                raise ModelError(f"{path}: {kind} '{name}' is {found[name]}, the ModelSpec says {tensor.shape}")
        extra = set(found) - set(wanted)
        if kind == "input" and extra:
            raise ModelError(f"{path}: input '{min(extra)}' is missing from the ModelSpec; export the model again")


def damaged(path: Path, runtime: str, error: Exception) -> ModelError:
    """What a runtime says of a file that it cannot load, as one line."""
    reason = " ".join(str(error).split())[:160]
    return ModelError(f"{path}: {runtime} cannot load it, damaged or not an ONNX model ({reason})")


def wrong_type(path: Path, name: str, found: Any) -> ModelError:
    return ModelError(f"{path}: tensor '{name}' is {found}; models take and give float32, export it again")
