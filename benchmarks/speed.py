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
import os
import sys
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import isa, untrained
from benchmarks.combination import SIZE, Combination, golden_video, measure, ratio
from benchmarks.stages import STAGES
from benchmarks.table import show
from calibration import result_file
from edge import backend, hardware
from edge.errors import FgstpError

SIZES = (SIZE, "640x512", "1280x1024")  # of the camera's picture


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
    return result_file.header("speed") | {
        "rounds": options.rounds,
        "burn_in": options.burn_in,
        "load_average": os.getloadavg(),
        "results": results,
    }


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
            result_file.write(options.json, result)
    except FgstpError as error:
        print(f"benchmarks.speed: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
