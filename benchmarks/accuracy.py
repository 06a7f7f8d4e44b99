"""How good are the masks and the alarms? Any model file and three baselines, over all the footage there is.

python -m benchmarks.accuracy --data ../shared/data
python -m benchmarks.accuracy --model student.int8 --model student.fp32 --baselines --agree --json FILE
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.baselines import BASELINES
from benchmarks.evaluate import Method, Result, agreement, evaluate, run_all, total
from benchmarks.report import REPORTS, mean, print_agreement, print_comparison, print_report
from calibration import clips
from calibration.clips import Clip
from edge.errors import FgstpError
from edge.segmenter import open_segmenter

PROTOCOL = (
    "The production pipeline and the shipped alarm settings, the same for all clips; frame rate from the file; every "
    "frame in order from the first. Intersection and union are summed over all frames of a clip; J is the mean over "
    "frames whose truth has 16 px or more; a gas-free frame is false when its mask has 16 px or more."
)
SETS: dict[str, Callable[[Path], list[Clip]]] = {
    "simgas": clips.simgas,
    "gasvid": clips.gasvid,
    "god": clips.god,
    "background": partial(clips.thermal_background, split="val"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    options = _options(argv)
    try:
        run(options)
    except FgstpError as error:
        print(f"benchmarks.accuracy: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(options: argparse.Namespace) -> None:
    """Measure, print, write."""
    data = clips.root(options.data)
    chosen = {name: SETS[name](data)[:: options.every] for name in options.only or SETS}
    methods = [_model(name, options.backend) for name in options.model]
    if options.baselines:
        methods += [Method(name) for name in BASELINES]
    report = machine.header("accuracy") | {"protocol": PROTOCOL}
    if options.limit or options.every > 1:
        report["shortened"] = {"limit": options.limit, "every": options.every}
    report["methods"] = [_measure(method, chosen, options) for method in methods]
    if len(methods) > 1:
        print_comparison(report["methods"])
    if options.agree:
        report["agreement"] = [_agree(name, chosen, options) for name in options.model]
    if options.json:
        machine.write(options.json, report)


def _measure(method: Method, chosen: dict[str, list[Clip]], options: argparse.Namespace) -> dict[str, Any]:
    """One method over the chosen sets."""
    said = method.describe()
    print(f"\n{said['method']}" + (f" on {method.backend}" if method.backend else ""), flush=True)
    for name, members in chosen.items():
        started = time.monotonic()
        work = [(evaluate, clip, method, options.limit) for clip in members]
        results = list(_counted(run_all(work, options.jobs), len(work)))
        said[name] = REPORTS[name](results)
        print_report(name, said[name])
        print(f"({sum(result.frames for result in results)} frames in {time.monotonic() - started:.0f} s)", flush=True)
    return said


def _agree(name: str, chosen: dict[str, list[Clip]], options: argparse.Namespace) -> dict[str, Any]:
    """One model file on both runtimes."""
    one, two = Method(name, "openvino"), Method(name, "onnxruntime")
    members = [clip for set_name in chosen for clip in chosen[set_name]]
    work = [(agreement, clip, one, two, options.limit) for clip in members]
    results = list(_counted(run_all(work, options.jobs), len(work)))
    lit = [result for result in results if result.mask.union]
    found = {
        "method": one.describe()["method"],
        "sha256": one.describe()["sha256"],
        "runtimes": [one.backend, two.backend],
        "clips": {result.clip: result.mask.iou for result in lit},
        "dark_clips": len(results) - len(lit),  # neither runtime lights a pixel
        "frames": sum(result.frames for result in results),
        "iou_mean": mean([result.mask.iou for result in lit]),
        "iou_summed": total(results).iou,
    }
    print_agreement(found)
    return found


def _counted(results: Iterator[Result], whole: int) -> Iterator[Result]:
    """The results, with a line that says how far we are where somebody watches."""
    for number, result in enumerate(results, 1):
        if sys.stderr.isatty():
            print(f"\r{number}/{whole} clips", end="" if number < whole else "\r", file=sys.stderr, flush=True)
        yield result


def _model(name: str, backend: str) -> Method:
    """A model on a backend; `auto` is decided once, here, so that all processes take the same."""
    return Method(name, open_segmenter(name, backend, 1).backend.name)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=PROTOCOL, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", help="footage folder (default: $FGSTP_DATA)")
    add("--model", action="append", help="shipped model or ONNX file; may be repeated (default: student.int8)")
    add("--backend", default="auto", help="openvino, onnxruntime, cuda, tensorrt or auto")
    add("--baselines", action="store_true", help="also MOG2, lagged difference and Farneback flow")
    add("--agree", action="store_true", help="compare the masks of the two runtimes, for each model")
    add("--only", action="append", choices=sorted(SETS), help="one set of clips; may be repeated")
    add("--json", type=Path, help="write the result here")
    add("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: one per core)")
    add("--limit", type=int, help="only the first frames of each clip (for a quick look)")
    add("--every", type=int, default=1, help="only every n-th clip of a set (for a quick look)")
    options = parser.parse_args(argv)
    options.model = options.model or ["student.int8"]
    return options


if __name__ == "__main__":
    sys.exit(main())
