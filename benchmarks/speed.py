"""How fast is the pipeline on one core? Each stage, for every backend, precision and instruction set.

    python -m benchmarks.speed --json benchmarks/speed.json
    python -m benchmarks.speed --isa avx2 --model student.int8 --backend openvino --rounds 3

One thread on one core. Every measurement is a process of its own; the combinations take turns for `--rounds` rounds, so
that whatever else the machine does falls on all of them alike. `end_to_end` is from the decoded frame to its Summary;
the host's share is all of that but the inference. Ratios are against the first combination.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import isa, machine
from benchmarks.stages import STAGES
from benchmarks.table import show
from edge import backend, contract, hardware, selftest
from edge.errors import FgstpError, StorageError


@dataclass(slots=True)
class Combination:
    """One thing to measure, and what came of it."""

    isa: str
    model: str
    backend: str
    stages: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})  # ms
    rounds: list[float] = field(default_factory=list)  # median end to end of each round, ms
    in_force: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)

    def figures(self) -> dict[str, Any]:
        """What a result file says of it."""
        spec, _ = contract.load(self.model)
        total = sum(self.stages["end_to_end"])
        p50 = float(np.median(self.stages["end_to_end"]))
        return {
            "model": spec.name,
            "sha256": spec.sha256,
            "precision": spec.precision,
            "backend": self.backend,
            "isa": self.isa,
            "isa_in_force": self.in_force,
            "size": self.size,
            "frames": len(self.stages["end_to_end"]),
            "fps": 1000 / p50,
            "fps_best_round": 1000 / min(self.rounds),
            "host_share": 1 - sum(self.stages["inference"]) / total,
            "rounds_p50_ms": self.rounds,
            "stages_ms": {stage: percentiles(self.stages[stage]) for stage in STAGES},
        }


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99."""
    return dict(zip(("p50", "p95", "p99"), (float(value) for value in np.percentile(times, (50, 95, 99))), strict=True))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all combinations in turns. Raises FgstpError."""
    combinations = [Combination(*one) for one in product(options.isa, options.model, options.backend)]
    with tempfile.TemporaryDirectory(prefix="fgstp-speed-") as folder:
        source = options.source or golden_video(Path(folder) / "golden.mp4")
        environments = {name: os.environ | isa.environment(name, Path(folder)) for name in options.isa}
        for number in range(options.rounds):
            for one in combinations:
                measure(one, source, environments[one.isa], options)
                print(
                    f"round {number + 1}/{options.rounds}: {one.model} on {one.backend}, {one.isa}: "
                    f"{one.rounds[-1]:.2f} ms a frame",
                    file=sys.stderr,
                    flush=True,
                )
    results = [one.figures() for one in combinations]
    for result in results:
        result["speed_against_first"] = result["fps"] / results[0]["fps"]
    return machine.header("speed") | {
        "threads": 1,
        "rounds": options.rounds,
        "burn_in": options.burn_in,
        "load_average": os.getloadavg(),
        "results": results,
    }


def measure(one: Combination, source: str, environment: dict[str, str], options: argparse.Namespace) -> None:
    """One round of one combination, in a process of its own. Raises FgstpError with what that process said."""
    command = [sys.executable, "-m", "benchmarks.stages", "--model", one.model, "--backend", one.backend]
    command += ["--source", source, "--frames", str(options.frames), "--burn-in", str(options.burn_in)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise FgstpError(f"{one.model} on {one.backend} with {one.isa}: {reason[0]}")
    said = json.loads(done.stdout)
    one.in_force, one.size = said["isa"], tuple(said["size"])
    for stage, times in said["stages"].items():
        one.stages[stage] += times
    one.rounds.append(float(np.median(said["stages"]["end_to_end"])))


def golden_video(path: Path) -> str:
    """The golden clip as a video file, so that there is something to decode."""
    clip = selftest.golden()
    height, width = clip.frames[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), clip.fps, (width, height), isColor=False)
    if not video.isOpened():
        raise StorageError(f"{path}: cannot write a video here; pass --source CLIP")
    for frame in clip.frames:
        video.write(frame)
    video.release()
    return str(path)


def print_table(results: Sequence[dict[str, Any]]) -> None:
    """Medians of every stage, then the whole."""
    heads = ["median ms", "isa", *STAGES[:-1], "end to end", "p95", "p99", "fps", "host", "ratio"]
    rows = []
    for result in results:
        stages = result["stages_ms"]
        whole = stages["end_to_end"]
        rows.append(
            [
                f"{result['model']} {result['backend']}",
                result["isa"],
                *(f"{stages[stage]['p50']:.2f}" for stage in STAGES[:-1]),
                *(f"{whole[key]:.2f}" for key in ("p50", "p95", "p99")),
                f"{result['fps']:.0f}",
                f"{result['host_share']:.0%}",
                f"{result['speed_against_first']:.2f}",
            ]
        )
    print(show(heads, rows))
    for name, features, by in {
        (one["isa"], ", ".join(one["isa_in_force"]["features"]), one["isa_in_force"]["limited_by"]) for one in results
    }:
        print(f"{name}: {features} (limited by {by})")


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", action="append", help="shipped model or ONNX file; repeat (default: student.int8, student.fp32)")
    add("--backend", action="append", help="repeat (default: all CPU backends of this machine)")
    add("--isa", action="append", choices=isa.NAMES, help="repeat (default: avx2 where there is AVX2, and native)")
    add("--source", help="footage, best 320x240 (default: the golden clip)")
    add("--frames", type=int, default=300, help="timed in each round")
    add("--burn-in", type=int, default=60, help="frames before them, not timed")
    add("--rounds", type=int, default=5)
    add("--json", type=Path, help="write the result here")
    options = parser.parse_args(argv)
    options.model = options.model or ["student.int8", "student.fp32"]
    options.backend = options.backend or [name for name in backend.available() if name in ("openvino", "onnxruntime")]
    options.isa = options.isa or (["avx2", "native"] if "avx2" in hardware.cpu_flags() else ["native"])
    try:
        result = run(options)
        print_table(result["results"])
        if options.json:
            machine.write(options.json, result)
    except FgstpError as error:
        print(f"benchmarks.speed: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
