"""Which model for which box? Quality against speed, for each model, size of input and frames left out.

    python -m benchmarks.tradeoff --data ../shared/data --json benchmarks/tradeoff.json --plot docs/tradeoff.png
    python -m benchmarks.tradeoff --results benchmarks/tradeoff.json --min-fps 15 --cameras 4 --cores 2    # recommend

A stride of n computes every n-th frame; the frames between keep its mask, and are scored like the others. Frames a
second are of the camera, on one core: n times what is computed. Quality is that of `benchmarks.accuracy` on SimGas, and
each look is logged. Other inputs than the shipped ones are exported and named by --model: `python -m quantize.export
quantize/student.pt --size 240x176 --out runs/240/student.fp32.onnx`, then `python -m quantize.int8`. The contrast found
with a probability of 90 % is taken from a result of `benchmarks.detection` with the same model, where there is one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import combination, simgas_log
from benchmarks.combination import Combination
from benchmarks.evaluate import Method, evaluate, run_all
from benchmarks.report import masks
from benchmarks.table import Cell, show
from calibration import clips, result_file, sets
from edge import contract
from edge.errors import ConfigError, FgstpError
from edge.records import Frame, Segmentation
from edge.segmenter import Segmenter, open_segmenter

STRIDES = (1, 2, 3)
PLUME = ("still", 0.05)  # motion and share of the view of the plume whose contrast is quoted
Row = dict[str, Any]


class Sparing:
    """Every `stride`-th frame through a segmenter; the frames between keep its mask."""

    def __init__(self, segmenter: Segmenter, stride: int) -> None:
        self.segmenter, self.stride = segmenter, stride
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next frame is the first one."""
        self.segmenter.reset()
        self._count = 0
        self._last: Segmentation | None = None

    def step(self, frame: Frame) -> Segmentation:
        """The mask of this frame, or the latest."""
        if self._last is None or self._count % self.stride == 0:
            self._last = self.segmenter.step(frame)
        self._count += 1
        return replace(self._last, frame=frame)


@dataclass(frozen=True, slots=True)
class Strided(Method):
    """A model that looks at every `stride`-th frame."""

    stride: int = 1

    def open(self) -> Any:
        """A segmenter that remembers nothing yet. Raises ModelError, ConfigError."""
        return Sparing(open_segmenter(self.name, self.backend, 1), self.stride)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure. Raises FgstpError."""
    footage = sets.of_folder("simgas", clips.root(options.data))
    members = footage.clips[:: options.every]
    backends = {model: open_segmenter(model, options.backend, 1).backend.name for model in options.model}
    times = speeds(backends, options)
    rows: list[Row] = []
    for model, stride in itertools.product(options.model, options.stride):
        method = Strided(model, backends[model], stride)
        work = [(evaluate, clip, method, options.limit) for clip in members]
        found = method.describe() | {"simgas": masks(list(run_all(work, options.jobs)))}
        if math.isnan(found["simgas"]["mean"]["iou"]):
            raise ConfigError("no gas in the frames that were scored, so nothing to compare by; raise --limit")
        shortened = {"limit": options.limit, "every": options.every, "stride": stride}
        simgas_log.append(options.simgas_log, found, "simgas", model, shortened)
        rows.append(row(model, found, stride, times[model], options.detection))
        print(f"{rows[-1]['model']}, every {stride}: IoU {rows[-1]['iou']:.3f}, {rows[-1]['fps']:.0f} frames/s")
    for one in rows:
        one["pareto"] = not any(better(other, one) for other in rows)
    return result_file.header("tradeoff") | {"load_average": os.getloadavg(), "results": rows}


def speeds(backends: Mapping[str, str], options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds a computed frame of each model, end to end, in turns."""
    measured = {model: Combination("native", model, on) for model, on in backends.items()}
    with tempfile.TemporaryDirectory(prefix="fgstp-tradeoff-") as folder:
        source = combination.golden_video(Path(folder) / "golden.mp4")
        for _ in range(options.rounds):
            for one in measured.values():
                combination.measure(one, source, dict(os.environ), options)
    return {model: combination.percentiles(one.rounds)["p50"] for model, one in measured.items()}


def row(model: str, found: Row, stride: int, ms: float, detection: Sequence[Path]) -> Row:
    """One model at one stride."""
    spec, path = contract.load(model)
    return {
        "model": spec.name,
        "sha256": spec.sha256,
        "precision": spec.precision,
        "backend": found["backend"],
        "input": spec.size,
        "stride": stride,
        "iou": found["simgas"]["mean"]["iou"],
        "iou_interval95": found["simgas"]["interval95"]["iou"],
        "gas_free_false": found["simgas"]["gas_free_false"],
        "pod90_cnr": None if stride > 1 else contrast(spec.sha256, detection),
        "ms": ms,
        "fps": 1000 / ms * stride,
        "mb": path.stat().st_size / 1e6,
    }


def contrast(sha256: str, files: Sequence[Path]) -> float | None:
    """The contrast-to-noise ratio found with a probability of 90 %, of such a plume before a fixed camera."""
    for file in files:
        if file.is_file():
            said = json.loads(file.read_text(encoding="utf-8"))
            for curve in said["curves"] if said.get("sha256") == sha256 else ():
                if (curve["motion"], curve["size"]) == PLUME:
                    found: float | None = curve["points"]["90"][0]
                    return found
    return None


def better(one: Row, other: Row) -> bool:
    """Whether `one` is nowhere worse in quality and speed, and somewhere better."""
    a, b = (one["iou"], one["fps"]), (other["iou"], other["fps"])
    return a[0] >= b[0] and a[1] >= b[1] and a != b


def recommend(rows: Sequence[Row], min_fps: float, cameras: int, cores: float) -> Row:
    """The best quality that so many cameras leave time for; of equals the faster. Raises ConfigError for none."""
    needed = min_fps * cameras / cores
    fitting = [one for one in rows if one["fps"] >= needed]
    if not fitting:
        most = max(one["fps"] for one in rows)
        raise ConfigError(
            f"{cameras} cameras at {min_fps:g} frames/s want {needed:.0f} frames/s of each of {cores:g} cores, and the "
            f"fastest model gives {most:.0f}; take more cores, fewer cameras or a lower rate"
        )
    return max(fitting, key=lambda one: (one["iou"], one["fps"]))


def print_table(rows: Sequence[Row]) -> None:
    """The best quality first; a star marks what nothing beats in both."""
    heads = ["", "input", "every", "IoU", "90 % found at", "frames/s a core", "MB", "Pareto"]
    lines: list[list[Cell]] = [
        [
            f"{one['model']} {one['backend']}",
            "x".join(map(str, one["input"])),
            one["stride"],
            one["iou"],
            one["pod90_cnr"],
            f"{one['fps']:.0f}",
            f"{one['mb']:.2f}",
            "*" * one["pareto"],
        ]
        for one in sorted(rows, key=lambda one: -one["iou"])
    ]
    print(show(heads, lines))


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    options = _options(argv)
    try:
        result = json.loads(options.results.read_text(encoding="utf-8")) if options.results else run(options)
        print_table(result["results"])
        if options.json:
            result_file.write(options.json, result)
        if options.plot:
            from benchmarks import pareto_plot  # matplotlib is loaded only where it is wanted

            pareto_plot.draw(result["results"], options.plot)
        if options.min_fps:
            one = recommend(result["results"], options.min_fps, options.cameras, options.cores)
            size = "x".join(map(str, one["input"]))
            print(
                f"take {one['model']} on {one['backend']}, {size}, every {one['stride']}. frame: IoU {one['iou']:.3f}, "
                f"{one['fps']:.0f} frames/s a core"
            )
    except FgstpError as error:
        print(f"benchmarks.tradeoff: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", help="footage folder (default: $FGSTP_DATA)")
    add("--model", action="append", help="shipped model or ONNX file; repeat (default: all that are shipped)")
    add("--backend", default="auto", help="openvino, onnxruntime or auto")
    add("--stride", action="append", type=int, help=f"repeat (default: {', '.join(map(str, STRIDES))})")
    add("--detection", action="append", type=Path, help="results of benchmarks.detection (benchmarks/detection.json)")
    add("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: one per core)")
    add("--limit", type=int, help="only the first frames of each clip (for a quick look)")
    add("--every", type=int, default=1, help="only every n-th clip (for a quick look)")
    add("--simgas-log", type=Path, default=simgas_log.LOG, help="where each look at SimGas is written down")
    add("--rounds", type=int, default=3, help="of the speed")
    add("--frames", type=int, default=200, help="timed in each round")
    add("--burn-in", type=int, default=40, help="frames before them")
    add("--json", type=Path, help="write the result here")
    add("--plot", type=Path, help="draw it here (PNG)")
    add("--results", type=Path, help="measure nothing, take this result")
    add("--min-fps", type=float, help="recommend a model for cameras of this rate")
    add("--cameras", type=int, default=1)
    add("--cores", type=float, default=1)
    options = parser.parse_args(argv)
    options.model = options.model or contract.shipped()
    options.stride = options.stride or list(STRIDES)
    options.detection = options.detection or [Path("benchmarks/detection.json")]
    return options


if __name__ == "__main__":
    sys.exit(main())
