"""Checkpoint -> stateless ONNX + ModelSpec, checked against torch over a roll-out.

python -m quantize.export runs/student.pt --out edge/models/student.fp32.onnx
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

import edge.backend
from calibration.render import GAS, Renderer
from edge.backend import Backend
from edge.contract import ModelSpec, StateSpec, TensorSpec
from edge.contract import load as load_spec
from edge.preprocess import Preprocessor
from edge.records import Array
from edge.ring import Ring
from quantize.models import macs, revive
from quantize.student import LAG_LONG_S, LAG_SHORT_S

OPSET = 17
CAMERA = (240, 320)  # height, width of what is rendered to calibrate and to check with
Tensors = dict[str, Array]
OUTPUTS = ("logits", "noise", "key", "background_next", "memory_next")
STATES = {
    "frame_short": StateSpec(source="frame", lag_s=LAG_SHORT_S, missing="frame"),
    "frame_long": StateSpec(source="frame", lag_s=LAG_LONG_S, missing="frame"),
    "key_short": StateSpec(source="key", lag_s=LAG_SHORT_S, missing="zeros"),
    "key_long": StateSpec(source="key", lag_s=LAG_LONG_S, missing="zeros"),
    "background": StateSpec(source="background_next", lag_s=0.0, missing="frame"),
    # by lag and not of the previous step, so that a belief grows as fast at 60 frames a second as at 9
    "memory": StateSpec(source="memory_next", lag_s=LAG_SHORT_S, missing="zeros"),
}


class Shipped(nn.Module):
    """A student or teacher as the device sees it: tensors in a fixed order, no side outputs."""

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.student = student

    def forward(self, frame: Tensor, clock: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        outputs = self.student(frame, clock, **dict(zip(STATES, states, strict=True)))
        return tuple(outputs[name] for name in OUTPUTS)


def export(
    student: nn.Module,
    path: Path,
    *,
    width: int,
    height: int,
    threshold: float,
    certain: float = 0.0,
    provenance: dict[str, object],
) -> ModelSpec:
    """Write `path` (.onnx) and its ModelSpec (.json) for a camera of `width` x `height` px, both multiples of 16; the
    graph's pictures are smaller by the network's reduction."""
    shipped = Shipped(student).eval()  # as a whole, or the exporter would put the student back into training mode
    reduction = student.config.reduction
    frame = torch.rand(1, 1, height // reduction, width // reduction)
    states = student.states(frame)
    arguments = (frame, torch.zeros(1, 2), *(states[name].clone() for name in STATES))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the exporter warns of its own deprecation and of constant shapes, which we want
        torch.onnx.export(
            shipped,
            arguments,
            str(path),
            opset_version=OPSET,
            input_names=["frame", "clock", *STATES],
            output_names=list(OUTPUTS),
            dynamo=False,
        )
    with torch.no_grad():
        fix_shapes(path, [tuple(output.shape) for output in shipped(*arguments)])
    return write_spec(path, precision="fp32", threshold=threshold, certain=certain, provenance=provenance)


def fix_shapes(path: Path, shapes: list[tuple[int, ...]]) -> None:
    """Write the outputs' sizes into the file: the exporter loses some of them on the way through a reshape."""
    model = onnx.load(path)
    for value, shape in zip(model.graph.output, shapes, strict=True):
        for dim, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
            dim.dim_value = size
    onnx.save(model, path)


def write_spec(
    path: Path, *, precision: str, threshold: float, certain: float, provenance: dict[str, object]
) -> ModelSpec:
    """Describe the ONNX file at `path` in the JSON beside it; shapes are read from the file."""
    graph = onnx.load(path).graph
    inputs = {value.name: TensorSpec(shape=shape_of(value)) for value in graph.input}
    spec = ModelSpec(
        name=path.name.removesuffix(".onnx"),
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        precision=precision,  # type: ignore[arg-type]  # pydantic checks it
        opset=OPSET,
        inputs=inputs,
        outputs={value.name: TensorSpec(shape=shape_of(value)) for value in graph.output},
        states={name: state for name, state in STATES.items() if name in inputs},  # the graph keeps what it uses
        resize="stretch",
        threshold=threshold,
        certain=certain,
        min_component_px=16,
        provenance=provenance,
    )
    spec.check(path)
    path.with_suffix(".json").write_text(json.dumps(spec.model_dump(), indent=1) + "\n")
    return spec


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


def load_student(*paths: Path) -> tuple[nn.Module, dict[str, object]]:
    """The student or teacher with the EMA weights of a checkpoint of quantize.train, or with their mean over several
    checkpoints of one run of training, and the last one's record of its making."""
    checkpoints = [torch.load(path, map_location="cpu", weights_only=True) for path in paths]
    weights = {
        name: torch.stack([checkpoint["ema"][name] for checkpoint in checkpoints]).mean(0)
        if last.is_floating_point()
        else last
        for name, last in checkpoints[-1]["ema"].items()
    }
    student = revive(checkpoints[-1], paths[-1])
    student.load_state_dict(weights)
    provenance = {
        "model": student.config.name,
        **checkpoints[-1]["provenance"],
        "averaged_over_steps": [c["steps"] for c in checkpoints],
    }
    return student.eval(), provenance


class TorchBackend:
    """The student behind the runtime's backend interface, so that one ring drives both sides of the comparison."""

    name = "torch"

    def __init__(self, student: nn.Module, spec: ModelSpec) -> None:
        self.shipped = Shipped(student.eval())
        self.inputs = {name: tensor.shape for name, tensor in spec.inputs.items()}

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        with torch.no_grad():
            given = {name: torch.from_numpy(np.array(inputs[name])) for name in self.inputs}
            tensors = {**self.shipped.student.states(given["frame"]), **given}
            outputs = self.shipped(*(tensors[name] for name in ("frame", "clock", *STATES)))
            return {k: v.numpy() for k, v in zip(OUTPUTS, outputs, strict=True)}


def steps(backend: Backend, spec: ModelSpec, frames: Array, fps: float) -> Iterator[tuple[Tensors, Tensors]]:
    """Inputs and outputs of each step over `frames` (T, H, W) uint8 of a camera, through the runtime's own
    preprocessing and ring; both hold until the next step."""
    ring, preprocessor = Ring(spec), Preprocessor(spec)
    for i, image in enumerate(frames):
        now = i / fps
        frame = preprocessor.step(image)
        clock = np.array([[1.0 / fps if i else 0.0, now]], np.float32)
        inputs = {"frame": frame, "clock": clock, **ring.read(now, frame)}
        outputs = backend.run(inputs)
        yield inputs, outputs
        ring.write(now, frame, outputs)


def roll_out(backend: Backend, spec: ModelSpec, frames: Array, fps: float) -> Array:
    """Masks (T, h, w) bool over `frames`, as `steps` takes them."""
    bar = np.log(spec.threshold / (1.0 - spec.threshold))
    return np.stack([outputs["logits"][0, 0] > bar for _, outputs in steps(backend, spec, frames, fps)])


def agreement(a: Array, b: Array) -> float:
    """IoU of two stacks of masks; 1 where both are empty."""
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 1.0


def self_check(student: nn.Module, path: Path, frames: Array, fps: float) -> float:
    """IoU between torch's and the ONNX file's masks over a roll-out; raises where they differ, or where the masks do
    not depend on the input (a graph that answers the same to everything would agree with itself)."""
    spec, onnx_path = load_spec(path)
    backend = edge.backend.open(onnx_path, "onnxruntime")
    shipped = roll_out(backend, spec, frames, fps)
    iou = agreement(roll_out(TorchBackend(student, spec), spec, frames, fps), shipped)
    other = agreement(roll_out(backend, spec, np.ascontiguousarray(frames[:, :, ::-1]), fps), shipped)
    if iou < 0.999:
        raise SystemExit(f"{path}: torch and ONNX masks agree only at IoU {iou:.4f}")
    if other > 0.9:
        raise SystemExit(
            f"{path}: mirrored footage gives the same masks (IoU {other:.2f}); the graph ignores its input"
        )
    return iou


def leaking_clip(size: tuple[int, int], frames: int = 50) -> Array:
    """(T, H, W) uint8: the first rendered clip of a fixed seed with much gas in it."""
    clips = Renderer(3, None, size, frames)
    clip = next(clip for clip in clips if (clip.masks == GAS).mean() > 0.05)
    return clip.frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="of one training; the mean of their weights is taken")
    parser.add_argument("--out", type=Path, default=Path("edge/models/student.fp32.onnx"))
    parser.add_argument("--size", default="320x240", help="WIDTHxHEIGHT of the camera's view")
    parser.add_argument("--threshold", type=float, default=0.62, help="probability from which a pixel may be gas")
    parser.add_argument("--certain", type=float, default=0.9, help="and that each part of a mask must somewhere exceed")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    student, provenance = load_student(*options.checkpoints)
    provenance["mmac"] = round(macs(student, width, height))
    bars = {"threshold": options.threshold, "certain": options.certain}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    export(student, options.out, width=width, height=height, **bars, provenance=provenance)
    iou = self_check(student, options.out, leaking_clip(CAMERA), fps=15.0)
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB, masks agree with torch at IoU {iou:.4f}")


if __name__ == "__main__":
    main()
