"""May this INT8 file ship? What rounding costs, layer by layer, and in masks; and whether the runtimes agree on it.

SQNR is the power of the FP32 tensor over the power of its error, in dB, with the same inputs into both files: what one
step adds, not what memory makes of it. Masks are compared over rolled-out clips, where memory has its say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

import edge.backend
from calibration.render import GAS, UNKNOWN, RenderedClip
from edge.contract import load as load_spec
from edge.errors import ModelError
from edge.records import Array
from quantize.export import Tensors, agreement, roll_out

LEAST_SQNR = 25.0  # dB, of the logits
MOST_LOST = 0.01  # IoU to the labels
LEAST_AGREEMENT = 0.98  # IoU of the masks of the two runtimes; on rendered clips, whose plumes come and go
RUNTIMES = ("openvino", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Loss:
    """What an INT8 file loses against the FP32 file that it was made from."""

    sqnr: dict[str, float]  # dB of each convolution's output, and of "logits"
    iou: tuple[float, float]  # of FP32 and of INT8, to the labels
    agreement: float  # IoU of the runtimes' masks with the INT8 file

    def check(self) -> None:
        """Raises ModelError when the file must not ship."""
        full, quantised = self.iou
        if self.sqnr["logits"] < LEAST_SQNR:
            worst = min(self.sqnr, key=lambda name: self.sqnr[name])
            said = f"logits at {self.sqnr['logits']:.1f} dB, {LEAST_SQNR:g} wanted; worst is {worst}"
        elif full - quantised > MOST_LOST:
            said = f"IoU {quantised:.3f}, {full:.3f} before; {MOST_LOST:g} may be lost"
        elif self.agreement < LEAST_AGREEMENT:
            said = f"{' and '.join(RUNTIMES)} agree at IoU {self.agreement:.3f}, {LEAST_AGREEMENT:g} wanted"
        else:
            return
        raise ModelError(f"INT8 loses too much ({said}); not written. Train with --rounded, or keep more in float")


def loss(reference: Path, quantised: Path, clips: Sequence[RenderedClip], inputs: Iterable[Tensors]) -> Loss:
    """Compare two ONNX files with their ModelSpecs beside them, over labelled clips and over single steps."""
    said = {
        (path, name): masks(path, name, clips) for path, name in ((reference, RUNTIMES[1]), (quantised, RUNTIMES[1]))
    }
    said[quantised, RUNTIMES[0]] = masks(quantised, RUNTIMES[0], clips)
    ious = [labelled_iou(said[path, RUNTIMES[1]], clips) for path in (reference, quantised)]
    same = agreement(*(np.concatenate(said[quantised, name]) for name in RUNTIMES))
    return Loss(sqnr(reference, quantised, inputs), (ious[0], ious[1]), same)


def sqnr(reference: Path, quantised: Path, inputs: Iterable[Tensors]) -> dict[str, float]:
    """dB of every convolution's output that both files name, and of the logits."""
    graphs = [onnx.load(path) for path in (reference, quantised)]
    named = [[node.output[0] for node in graph.graph.node if node.op_type == "Conv"] for graph in graphs]
    names = [name for name in named[0] if name in named[1]] + ["logits"]
    full, rounded = (exposed(graph, names) for graph in graphs)
    power, error = np.zeros(len(names)), np.zeros(len(names))
    for given in inputs:
        for at, (a, b) in enumerate(zip(full.run(names, given), rounded.run(names, given), strict=True)):
            power[at] += float(np.square(a).sum())
            error[at] += float(np.square(a - b).sum())
    decibels = 10 * np.log10(np.maximum(power, 1e-30) / np.maximum(error, 1e-30))
    return dict(zip(names, decibels.tolist(), strict=True))


def exposed(model: onnx.ModelProto, names: Sequence[str]) -> onnxruntime.InferenceSession:
    """The model with these inner tensors among its outputs."""
    known = {value.name for value in model.graph.output}
    for name in names:
        if name not in known:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def masks(path: Path, runtime: str, clips: Sequence[RenderedClip]) -> list[Array]:
    """Of each clip, (T, h, w) bool."""
    spec, onnx_path = load_spec(path)
    backend = edge.backend.open(onnx_path, runtime)
    return [roll_out(backend, spec, clip.frames, 1.0 / clip.interval) for clip in clips]


def labelled_iou(said: Sequence[Array], clips: Sequence[RenderedClip]) -> float:
    """Summed over the clips, at the resolution of the masks; what nobody can know does not count."""
    both = either = 0
    for mask, clip in zip(said, clips, strict=True):
        height, width = mask.shape[1:]
        rows = np.linspace(0, clip.masks.shape[1], height, endpoint=False).astype(int)
        columns = np.linspace(0, clip.masks.shape[2], width, endpoint=False).astype(int)
        label = clip.masks[:, rows[:, None], columns]
        true, known = label == GAS, label != UNKNOWN
        both += int((mask & true & known).sum())
        either += int(((mask | true) & known).sum())
    return both / max(either, 1)


def table(sqnr: Mapping[str, float]) -> str:
    """The layers, worst first."""
    rows = sorted(sqnr.items(), key=lambda row: row[1])
    return "\n".join(f"{decibels:6.1f} dB  {name}" for name, decibels in rows)
