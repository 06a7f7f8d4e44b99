"""How fast is the pipeline? Each stage, for every backend, precision, instruction set, size of picture and of network.

    python -m benchmarks.speed --json benchmarks/speed.json                    # three minutes
    python -m benchmarks.speed --network nano --network base --rounds 5        # needs the extra "train"
    python -m benchmarks.speed --full --json FILE                              # every combination: long

One thread on one core, but where `threads` says more. Every measurement is a process of its own; the combinations take
turns for `--rounds` rounds, so that whatever else the machine does falls on all of them alike. Models, backends and
instruction sets are combined with the first number of threads and the first size of picture; the other threads and
sizes are tried with the first model (`--full`: with all). `end_to_end` is from the decoded frame to its Summary; the
host's share is all of that but the inference. Ratios are medians over the rounds: against the first combination, and of
INT8 against the faster backend in FP32.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import isa, machine, untrained
from benchmarks.stages import STAGES
from benchmarks.table import show
from edge import backend, contract, hardware, selftest
from edge.errors import FgstpError, StorageError

SIZES = ("320x240", "640x512", "1280x1024")  # of the camera's picture
FIRST_MASK = """
import sys
from edge import selftest
from edge.records import Frame
from edge.segmenter import open_segmenter
open_segmenter(sys.argv[1], sys.argv[2], 1).step(Frame(selftest.golden().frames[0], 0, 0.0, 0.0))
"""


@dataclass(slots=True)
class Combination:
    """One thing to measure, and what came of it."""

    isa: str
    model: str
    backend: str
    threads: int = 1
    source: str = SIZES[0]
    stages: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})  # ms
    rounds: list[float] = field(default_factory=list)  # median end to end of each round, ms
    starts: list[float] = field(default_factory=list)  # s from the start of a process to its first mask
    watts: list[float] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)  # by the process itself, the last time

    def figures(self) -> dict[str, Any]:
        """What a result file says of it."""
        spec, _ = contract.load(self.model)
        total = sum(self.stages["end_to_end"])
        p50 = float(np.median(self.stages["end_to_end"]))
        watts = float(np.mean(self.watts)) if self.watts else None
        return {
            "model": spec.name,
            "sha256": spec.sha256,
            "precision": spec.precision,
            "weights": self.said.get("weights"),
            "backend": self.backend,
            "threads": self.threads,
            "isa": self.isa,
            "isa_in_force": self.said.get("isa"),
            "size": self.said.get("source"),
            "model_size": spec.size,
            "frames": len(self.stages["end_to_end"]),
            "fps": 1000 / p50,
            "fps_best_round": 1000 / min(self.rounds),
            "host_share": 1 - sum(self.stages["inference"]) / total,
            "first_mask_s": float(np.median(self.starts)) if self.starts else None,
            "watts": watts,
            "frames_per_joule": None if watts is None else 1000 / p50 / watts,
            "growth": self.said.get("growth"),
            "rounds_p50_ms": self.rounds,
            "stages_ms": {stage: percentiles(self.stages[stage]) for stage in STAGES},
        }


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99."""
    return dict(zip(("p50", "p95", "p99"), (float(value) for value in np.percentile(times, (50, 95, 99))), strict=True))


def plan(options: argparse.Namespace) -> list[Combination]:
    """What is measured, in the order of a round."""
    if options.full:
        return [
            Combination(*one)
            for one in product(options.isa, options.model, options.backend, options.threads, options.source_size)
        ]
    first = options.threads[0], options.source_size[0]
    others = [(threads, first[1]) for threads in options.threads[1:]]
    others += [(first[0], size) for size in options.source_size[1:]]
    made = [Combination(*one, *first) for one in product(options.isa, options.model, options.backend)]
    return made + [
        Combination(options.isa[0], options.model[0], on, *other) for other, on in product(others, options.backend)
    ]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all combinations in turns. Raises FgstpError."""
    with tempfile.TemporaryDirectory(prefix="fgstp-speed-") as folder:
        for name in options.network:
            options.model += map(str, untrained.make(name, (320, 240), Path(folder)))
        combinations = plan(options)
        sources = {
            size: options.source or golden_video(Path(folder) / f"{size}.mp4", size)
            for size in dict.fromkeys(one.source for one in combinations)
        }
        environments = {name: os.environ | isa.environment(name, Path(folder)) for name in options.isa}
        for number in range(options.rounds):
            last = number == options.rounds - 1
            for one in combinations:
                measure(one, sources[one.source], environments[one.isa], options, options.growth if last else 0)
                print(
                    f"round {number + 1}/{options.rounds}: {one.model} on {one.backend}, {one.isa}, "
                    f"{one.threads} thread{'s' * (one.threads > 1)}, {one.source}: {one.rounds[-1]:.2f} ms a frame",
                    file=sys.stderr,
                    flush=True,
                )
        results = [one.figures() for one in combinations]
    for one, result in zip(combinations, results, strict=True):
        result["speed_against_first"] = ratio(combinations[0].rounds, one.rounds)
        result["speed_against_fp32"] = against_fp32(one, combinations)
    return machine.header("speed") | {
        "rounds": options.rounds,
        "burn_in": options.burn_in,
        "load_average": os.getloadavg(),
        "results": results,
    }


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """How many times as fast the second is, as the median over the rounds: both felt the same of each."""
    return float(np.median([one / other for one, other in zip(slower, faster, strict=True)]))


def against_fp32(one: Combination, all_of_them: Sequence[Combination]) -> float | None:
    """INT8 against the same network in FP32 on the faster backend; None where that was not measured."""
    place = one.isa, one.threads, one.source
    rivals = [
        other.rounds
        for other in all_of_them
        if other.model == one.model.replace(".int8", ".fp32") != one.model
        and (other.isa, other.threads, other.source) == place
    ]
    return ratio(min(rivals, key=lambda times: float(np.median(times))), one.rounds) if rivals else None


def measure(
    one: Combination, source: str, environment: dict[str, str], options: argparse.Namespace, growth: int = 0
) -> None:
    """One round of one combination, in a process of its own. Raises FgstpError with what that process said."""
    command = [sys.executable, "-m", "benchmarks.stages", "--model", one.model, "--backend", one.backend]
    command += ["--source", source, "--frames", str(options.frames), "--burn-in", str(options.burn_in)]
    command += ["--threads", str(one.threads), "--growth", str(growth)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise FgstpError(f"{one.model} on {one.backend} with {one.isa}: {reason[0]}")
    said = one.said = json.loads(done.stdout)
    for stage, times in said["stages"].items():
        one.stages[stage] += times
    one.rounds.append(float(np.median(said["stages"]["end_to_end"])))
    if said["watts"] is not None:
        one.watts.append(said["watts"])
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", FIRST_MASK, one.model, one.backend], env=environment, check=True)
    one.starts.append(time.perf_counter() - began)


def golden_video(path: Path, size: str = SIZES[0]) -> str:
    """The golden clip as a video file of WIDTHxHEIGHT, so that there is something to decode."""
    clip = selftest.golden()
    width, height = map(int, size.split("x"))
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), clip.fps, (width, height), isColor=False)
    if not video.isOpened():
        raise StorageError(f"{path}: cannot write a video here; pass --source CLIP")
    for frame in clip.frames:
        video.write(cv2.resize(frame, (width, height)))
    video.release()
    return str(path)


def print_table(results: Sequence[dict[str, Any]]) -> None:
    """Medians of every stage, then the whole."""
    heads = ["median ms", "isa", "size", "threads", *STAGES[:-1], "end to end", "p95", "p99", "fps", "host", "start s"]
    rows = []
    for result in results:
        stages = result["stages_ms"]
        whole = stages["end_to_end"]
        rows.append(
            [
                f"{result['model']} {result['backend']}" + " (random weights)" * (result["weights"] == "random"),
                result["isa"],
                "x".join(map(str, result["size"])),
                result["threads"],
                *(f"{stages[stage]['p50']:.2f}" for stage in STAGES[:-1]),
                *(f"{whole[key]:.2f}" for key in ("p50", "p95", "p99")),
                f"{result['fps']:.0f}",
                f"{result['host_share']:.0%}",
                f"{result['first_mask_s']:.2f}",
                f"{result['speed_against_first']:.2f}",
                *(
                    "-" if value is None else f"{value:.2f}"
                    for value in (result["speed_against_fp32"], result["watts"])
                ),
            ]
        )
    print(show([*heads, "ratio", "to FP32", "W"], rows))
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
    add("--threads", action="append", type=int, help="repeat (default: 1, and 2 where there are two cores)")
    add("--source-size", action="append", metavar="WxH", help=f"of the picture; repeat (default: {', '.join(SIZES)})")
    add("--network", action="append", default=[], choices=untrained.NETWORKS, help="of another size, random weights")
    add("--source", help="footage (default: the golden clip, in all sizes)")
    add("--full", action="store_true", help="every combination")
    add("--frames", type=int, default=200, help="timed in each round")
    add("--burn-in", type=int, default=40, help="frames before them, not timed")
    add("--growth", type=int, default=100, help="frames over which growing memory is looked for, in the last round")
    add("--rounds", type=int, default=3)
    add("--json", type=Path, help="write the result here")
    options = parser.parse_args(argv)
    options.model = options.model or ["student.int8", "student.fp32"]
    options.backend = options.backend or [name for name in backend.available() if name in ("openvino", "onnxruntime")]
    options.isa = options.isa or (["avx2", "native"] if "avx2" in hardware.cpu_flags() else ["native"])
    options.threads = options.threads or list(range(1, 1 + min(2, len(os.sched_getaffinity(0)))))
    options.source_size = options.source_size or ([SIZES[0]] if options.source else list(SIZES))
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
