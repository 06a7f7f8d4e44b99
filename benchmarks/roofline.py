"""How near does each layer come to what this core can do?

    python -m benchmarks.roofline --json benchmarks/roofline.json
    python -m benchmarks.roofline --isa avx2 --model student.int8 --backend openvino

One thread on one core. The ceilings are measured, not looked up: multiply-accumulates a second of a large dense
convolution in FP32 and in INT8 by the same runtime, and the bytes a second of a copy, in memory and in the cache. A
layer cannot be faster than its multiply-accumulates at the ceiling of its precision, nor than its bytes at that of the
cache: the share is the longer of the two over the time that the runtime's own profiler gives.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ceilings, isa
from benchmarks.ceilings import Ceilings
from benchmarks.profiles import PROFILES, Layer
from benchmarks.table import Cell, show
from calibration import result_file
from edge import contract
from edge.errors import FgstpError

WORST = 5


def measure(model: str, runtime: str, rounds: int) -> dict[str, Any]:
    """Ceilings and layers, in this process. Raises ModelError."""
    spec, path = contract.load(model)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found = ceilings.measure(runtime)
    rng = np.random.default_rng(0)
    inputs = {name: rng.uniform(0.1, 0.9, one.shape).astype(np.float32) for name, one in spec.inputs.items()}
    layers = PROFILES[runtime](path, inputs, rounds)
    return {
        "model": spec.name,
        "sha256": spec.sha256,
        "backend": runtime,
        "isa_in_force": isa.in_force(),
        "ceilings": asdict(found),
        **judged(layers, found),
    }


def judged(layers: Sequence[Layer], found: Ceilings) -> dict[str, Any]:
    """Shares of each layer, of the convolutions and of all; where most time is lost."""
    rows = [asdict(layer) | share(layer, found) for layer in layers]
    convolutions = [row for row in rows if row["kind"] == "conv"]
    worst = sorted(rows, key=lambda row: row["least_ms"] - row["ms"])[:WORST]
    return {
        "ms": sum(row["ms"] for row in rows),
        "mmac": sum(row["macs"] for row in rows) / 1e6,
        "share": overall(rows, "least_ms"),
        "convolutions": {
            "ms": sum(row["ms"] for row in convolutions),
            "mmac": sum(row["macs"] for row in convolutions) / 1e6,
            "share_of_ceiling": overall(convolutions, "compute_ms"),
            "int8_share_of_ceiling": overall([row for row in convolutions if row["precision"] == "int8"], "compute_ms"),
        },
        "worst": [row["name"] for row in worst],
        "layers": sorted(rows, key=lambda row: -row["ms"]),
    }


def share(layer: Layer, found: Ceilings) -> dict[str, float]:
    """The least time that a layer could take, and how much of its time that is."""
    gmacs = found.int8_gmacs if layer.precision == "int8" else found.fp32_gmacs
    compute, moving = layer.macs / gmacs / 1e6, layer.bytes / found.cache_gb_s / 1e6
    least = max(compute, moving)
    return {
        "gmacs": layer.macs / layer.ms / 1e6 if layer.ms else 0.0,
        "compute_ms": compute,
        "least_ms": least,
        "share": least / layer.ms if layer.ms else 1.0,
    }


def overall(rows: Sequence[dict[str, Any]], key: str) -> float | None:
    """What these layers could take over what they take; None where there are none."""
    taken = sum(row["ms"] for row in rows)
    return sum(row[key] for row in rows) / taken if taken else None


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Each combination in a process of its own. Raises FgstpError."""
    results = []
    with tempfile.TemporaryDirectory(prefix="fgstp-roofline-") as folder:
        for name in options.isa:
            environment = os.environ | isa.environment(name, Path(folder))
            for model in options.model:
                for runtime in options.backend:
                    results.append(apart(name, model, runtime, options.rounds, environment))
    return result_file.header("roofline") | {"load_average": os.getloadavg(), "results": results}


def apart(name: str, model: str, runtime: str, rounds: int, environment: dict[str, str]) -> dict[str, Any]:
    """One combination. Raises FgstpError with what its process said."""
    command = [sys.executable, "-m", "benchmarks.roofline", "--inside", "--model", model, "--backend", runtime]
    done = subprocess.run(
        [*command, "--rounds", str(rounds)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise FgstpError(f"{model} on {runtime}: {reason[0]}")
    said: dict[str, Any] = json.loads(done.stdout)
    return {"isa": name, **said}


def print_report(result: dict[str, Any]) -> None:
    """The layers of one combination, the slowest first."""
    rows: list[list[Cell]] = [
        [
            one["name"][-48:],
            one["type"],
            one["precision"],
            f"{one['macs'] / 1e6:.2f}",
            f"{one['bytes'] / 1e3:.0f}",
            f"{one['ms']:.3f}",
            f"{one['gmacs']:.1f}",
            f"{one['share']:.0%}",
        ]
        for one in result["layers"][:25]
    ]
    found, convolutions = result["ceilings"], result["convolutions"]
    print(f"\n{result['model']} on {result['backend']}, {result['isa']}")
    print(show(["slowest layers", "type", "", "MMAC", "kB", "ms", "GMAC/s", "of ceiling"], rows))
    print(
        f"ceilings: FP32 {found['fp32_gmacs']:.1f} GMAC/s, INT8 {found['int8_gmacs']:.1f} GMAC/s, "
        f"copy {found['copy_gb_s']:.1f} GB/s, {found['cache_gb_s']:.1f} in the cache; "
        f"in all {result['share']:.0%} of them, "
        f"convolutions {convolutions['share_of_ceiling']:.0%}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", action="append", help="shipped model or ONNX file; repeat (default: student.int8, student.fp32)")
    add("--backend", action="append", choices=tuple(PROFILES), help="repeat (default: both)")
    add("--isa", action="append", choices=isa.NAMES, help="repeat (default: native)")
    add("--rounds", type=int, default=100, help="frames that a layer's time is taken over")
    add("--inside", action="store_true", help=argparse.SUPPRESS)
    add("--json", type=Path, help="write the result here")
    options = parser.parse_args(argv)
    options.model = options.model or ["student.int8", "student.fp32"]
    options.backend, options.isa = options.backend or list(PROFILES), options.isa or ["native"]
    try:
        if options.inside:
            print(json.dumps(result_file.tidy(measure(options.model[0], options.backend[0], options.rounds))))
            return 0
        result = run(options)
        for one in result["results"]:
            print_report(one)
        if options.json:
            result_file.write(options.json, result)
    except FgstpError as error:
        print(f"benchmarks.roofline: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
