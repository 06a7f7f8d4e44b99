"""What `benchmarks.peers` compares with and cannot make without torch or onnx: run by it, in a process of its own.

    python -m quantize.peers written --frames 3            # FGSTP in PyTorch as its authors wrote it: JSON, ms a frame
    python -m quantize.peers int8 yolo11n-seg.onnx --out yolo11n-seg.int8.onnx

As written, a frame costs three passes of the encoder, over itself and two neighbours, at 352x352; weights are random.
INT8 of somebody else's network: unsigned activations, weights per channel in 7 bits, calibrated with noise, for its
speed only.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge.errors import ModelError
from edge.records import Array
from quantize.authors import Authors, AuthorsConfig
from quantize.export import shape_of

SIZE = 352  # px, of the paper


class Noise(CalibrationDataReader):
    """Three pictures."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        self.pictures = iter([{name: rng.uniform(0, 1, shape).astype(np.float32)} for _ in range(3)])

    def get_next(self) -> dict[str, Array] | None:
        return next(self.pictures, None)


def int8(source: Path, out: Path) -> None:
    """Quantise the convolutions of an ONNX file with one fixed input. Raises ModelError."""
    inputs = onnx.load(source).graph.input
    if len(inputs) != 1 or not all(shape_of(inputs[0])):
        raise ModelError(f"{source}: one input of a fixed shape is wanted; export it with a fixed size")
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(out),
            Noise(inputs[0].name, shape_of(inputs[0])),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )


def written(frames: int, config: AuthorsConfig | None = None, size: int = SIZE) -> list[float]:
    """Milliseconds of each of `frames` frames on one thread, one frame before them not counted."""
    torch.set_num_threads(1)
    network = Authors(config).eval()
    encoder = network.backbone["encoder"]
    taken = []
    with torch.no_grad():
        for _ in range(1 + frames):
            pictures = [torch.rand(1, 1, size, size) for _ in range(3)]
            began = time.perf_counter()
            now, *others = [encoder((picture - network.mean) / network.deviation) for picture in pictures]
            torch.sigmoid(network.fuse(now, others, pictures[0])[-1])
            taken.append(1000 * (time.perf_counter() - began))
    return taken[1:]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    timed = commands.add_parser("written", help="time FGSTP as its authors wrote it")
    timed.add_argument("--frames", type=int, default=3)
    rounded = commands.add_parser("int8", help="quantise an exported network")
    rounded.add_argument("source", type=Path)
    rounded.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    if options.command == "written":
        print(json.dumps({"ms": written(options.frames), "size": [SIZE, SIZE], "torch": torch.__version__}))
        return 0
    try:
        int8(options.source, options.out)
    except ModelError as error:
        print(f"quantize.peers: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
