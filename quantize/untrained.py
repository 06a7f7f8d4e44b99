"""Networks with random weights, for rows that show speed and nothing else.

    python -m quantize.untrained nano --out /tmp/untrained                       # nano.fp32.onnx and nano.int8.onnx
    python -m quantize.untrained small --size 640x512 --out /tmp/untrained/640x512
    python -m quantize.untrained teacher-b5 --size 352x352 --precision fp32 --out /tmp/untrained

What a network costs does not depend on its weights. Each ModelSpec says `"weights": "random"`, and so does every result
that is measured with it. The INT8 form is calibrated with noise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from edge.contract import ModelSpec
from edge.errors import FgstpError
from edge.records import Array
from quantize.export import export
from quantize.int8 import quantise
from quantize.models import NAMES, build, macs

PROVENANCE: dict[str, object] = {"weights": "random", "data": "none"}
FRAMES = 8  # of each calibration clip


def make(name: str, size: tuple[int, int], out: Path, precisions: Sequence[str]) -> list[ModelSpec]:
    """Write the network `name` for cameras of `size` (width, height; multiples of 16) below `out`. Raises ConfigError
    for an unknown name."""
    torch.manual_seed(0)
    width, height = size
    network = build(name).eval()
    out.mkdir(parents=True, exist_ok=True)
    fp32 = out / f"{name}.fp32.onnx"
    provenance = {**PROVENANCE, "model": name, "mmac": round(macs(network, width, height))}
    made = [export(network, fp32, width=width, height=height, threshold=0.5, provenance=provenance)]
    if "int8" in precisions:
        made.append(quantise(fp32, out / f"{name}.int8.onnx", noise(size)))
    return made


def noise(size: tuple[int, int]) -> list[Array]:
    """Two clips (T, H, W) uint8."""
    rng = np.random.default_rng(0)
    return [rng.normal(120, 20, (FRAMES, size[1], size[0])).clip(0, 255).astype(np.uint8) for _ in range(2)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--size", default="320x240", help="WIDTHxHEIGHT of the camera's view, multiples of 16")
    parser.add_argument("--precision", action="append", choices=("fp32", "int8"), help="repeat (default: both)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    options = parser.parse_args(argv)
    width, height = map(int, options.size.split("x"))
    try:
        made = make(options.name, (width, height), options.out, options.precision or ("fp32", "int8"))
    except FgstpError as error:
        print(f"quantize.untrained: {error}", file=sys.stderr)
        return error.exit_code
    for spec in made:
        print(options.out / spec.file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
