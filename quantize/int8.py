"""Static INT8: one QDQ file that ONNX Runtime, OpenVINO and TensorRT all take.

    python -m quantize.int8 edge/models/student.fp32.onnx --out edge/models/student.int8.onnx --data ../shared/data

Refuses to write a file that loses too much against FP32, or on which the runtimes do not agree (quantize.gate).

Symmetric signed weights and activations, zero point 0, weights per channel and in 7 bits: without VNNI an 8-bit weight
saturates the 16-bit sums of AVX2. Convolutions are quantised; the arithmetic on pixels, the keys with the products of
them and everything that is remembered stay in float.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

import edge.backend
from calibration.footage import Footage
from calibration.render import RenderedClip, Renderer
from edge.contract import ModelSpec
from edge.contract import load as load_spec
from edge.errors import FgstpError, ModelError
from edge.records import Array
from quantize import gate
from quantize.export import CAMERA, steps, write_spec
from quantize.rounding import FLOAT_PARTS
from quantize.senses import Senses
from quantize.tensorrt import complaints

FRAMES, FPS = 32, 15.0  # of a calibration clip
HELD_OUT = 10  # clips that the result is judged by
LEVELS = 64  # of the largest weight of an output channel, either way: the quantiser's reduced range


class RolledStates(CalibrationDataReader):
    """Calibration inputs as the device sees them: the FP32 model rolled over clips by the runtime's own ring."""

    def __init__(self, spec: ModelSpec, path: Path, clips: list[Array], fps: float) -> None:
        self.steps = self.roll(spec, path, clips, fps)

    @staticmethod
    def roll(spec: ModelSpec, path: Path, clips: list[Array], fps: float) -> Iterator[dict[str, Array]]:
        backend = edge.backend.open(path, "onnxruntime")
        for clip in clips:
            for i, (inputs, _) in enumerate(steps(backend, spec, clip, fps)):
                if i % 4 == 3:
                    yield {name: np.array(value) for name, value in inputs.items()}

    def get_next(self) -> dict[str, Array] | None:
        return next(self.steps, None)


def rendered(data: Path | None, count: int, split: str = "train") -> list[RenderedClip]:
    """Clips over scenes of one split."""
    footage = Footage(data, split, per_scene=1) if data else None
    renderer = Renderer(11, footage, CAMERA, FRAMES)
    return [renderer.clip() for _ in range(count)]


def quantise(source: Path, out: Path, clips: list[Array], fps: float = FPS) -> ModelSpec:
    """Write the INT8 form of `source` (an FP32 file with its ModelSpec) to `out`, with a ModelSpec of its own."""
    spec, onnx_path = load_spec(source)
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        logging.getLogger().setLevel(logging.ERROR)  # the quantiser logs a warning a tensor
        quant_pre_process(str(onnx_path), str(prepared), skip_optimization=True, skip_symbolic_shape=True)
        model = onnx.load(prepared)
        float_parts = [part.replace(".", "/") for part in FLOAT_PARTS]  # as the exporter spells them
        chosen = [
            node
            for node in model.graph.node
            if node.op_type == "Conv" and learnt(node.name) and not any(part in node.name for part in float_parts)
        ]
        settle(model, {node.input[1] for node in chosen})
        onnx.save(model, prepared)
        # not as calibration has it: the largest values are clear gas, of which it may have seen little
        reach = [{"rmin": np.float32(-Senses.reach), "rmax": np.float32(Senses.reach)}]
        quantize_static(
            str(prepared),
            str(out),
            RolledStates(spec, onnx_path, clips, fps),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=[node.name for node in chosen],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "CalibMovingAverage": True,
                # quantise what a convolution reads, not what it writes: its ReLU comes first
                "OpTypesToExcludeOutputQuantization": ["Conv"],
                "QuantizeBias": False,  # TensorRT takes no integers of 32 bits
                "TensorQuantOverrides": {node.input[0]: reach for node in chosen if "/senses/" in node.input[0]},
            },
        )
    onnx.save(keep_joins(keep_sums(onnx.load(out))), str(out))
    provenance = {**spec.provenance, "quantised_from": spec.sha256, "calibration_clips": len(clips)}
    bars = {"threshold": spec.threshold, "certain": spec.certain}
    return write_spec(out, precision="int8", **bars, provenance=provenance)


def learnt(convolution: str) -> bool:
    """Whether a Conv node is part of a layer: what `quantize.resample` writes as convolutions is arithmetic."""
    return convolution.count("/") > 2


def settle(model: onnx.ModelProto, weights: set[str]) -> None:
    """Round constant weights as the quantiser will, but so that the sum over each kernel stays: plumes are far larger
    than a kernel, and an error in the sum is what they would feel. Those nearest to the other side go there instead."""
    for tensor in model.graph.initializer:
        if tensor.name not in weights:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        rows = values.reshape(*values.shape[:2], -1)
        scale = np.abs(rows).max((1, 2), keepdims=True) / LEVELS
        exact = rows / scale
        rounded = np.rint(exact)
        error = exact - rounded
        missing = np.rint(error.sum(2, keepdims=True))
        gain = np.where(np.abs(rounded) < LEVELS, error * np.sign(missing), -np.inf)  # the largest sets the scale
        rank = np.argsort(np.argsort(-gain, axis=2), axis=2)
        rounded += np.sign(missing) * ((rank < np.abs(missing)) & np.isfinite(gain))
        settled = (rounded * scale).astype(np.float32).reshape(values.shape)
        tensor.CopyFrom(onnx.numpy_helper.from_array(settled, tensor.name))


def keep_sums(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, in which convolutions alone read what was rounded for them. A residual sum takes what was there
    before: it is the more exact, and OpenVINO need not turn integers into floats for it."""
    rounded = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    exact = {
        node.output[0]: rounded[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in rounded
    }
    for node in model.graph.node:
        if node.op_type != "Conv":
            node.input[:] = [exact.get(name, name) for name in node.input]
    return model


def keep_joins(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, with a floor under whatever is joined and then quantised: at the quantiser's own lower end, so that no
    value changes.

    OpenVINO (2024 to 2026.4) would quantise each part before it joins them, and then computes a convolution that is
    wrong by half of its output. It does not look past a Max.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    joined = {node.output[0] for node in model.graph.node if node.op_type == "Concat"}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] in joined:
            source, floor = node.input[0], f"{node.input[0]}_floor"
            scale = onnx.numpy_helper.to_array(constants[node.input[1]])
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(-128 * scale).reshape(1), floor))
            node.input[0] = f"{source}_floored"
            nodes.append(onnx.helper.make_node("Max", [source, floor], [node.input[0]], name=f"{source}_Max"))
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="FP32 ONNX file with its ModelSpec beside it")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--clips", type=int, default=48)
    options = parser.parse_args()
    spec, onnx_path = load_spec(options.source)
    clips = [clip.frames for clip in rendered(options.data, options.clips)]
    held_out = rendered(options.data, HELD_OUT, "val")
    with tempfile.TemporaryDirectory() as folder:
        tried = Path(folder) / options.out.name
        made = quantise(options.source, tried, clips)
        looks = RolledStates(spec, onnx_path, [clip.frames for clip in held_out[:4]], FPS).steps
        found = gate.loss(options.source, tried, held_out, looks)
        print(gate.table(found.sqnr))
        print(f"IoU {found.iou[1]:.4f} (FP32 {found.iou[0]:.4f}), runtimes agree at {found.agreement:.4f}")
        found.check()
        if refused := list(complaints(onnx.load(tried))):
            raise ModelError(f"TensorRT would not take it ({refused[0]}); not written")
        options.out.parent.mkdir(parents=True, exist_ok=True)
        for path in (tried, tried.with_suffix(".json")):
            shutil.copy(path, options.out.parent)
    print(f"{options.out}: {options.out.stat().st_size // 1000} kB, sha256 {made.sha256[:12]}")


if __name__ == "__main__":
    try:
        main()
    except FgstpError as error:
        print(f"quantize.int8: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
