"""How good are the masks and the alarms? Any model file and three baselines, over all the footage there is.

python -m benchmarks.accuracy --data ../shared/data
python -m benchmarks.accuracy --model student.int8 --model student.fp32 --baselines --agree --json FILE
python -m benchmarks.accuracy --set gasvid:test=/data/GasVid --set folder=/data/mine
python -m benchmarks.accuracy --only simgas --baselines --motion still --motion pan --motion shake
python -m benchmarks.accuracy --only flights

Without --only and --set the four sets of still cameras in the footage folder are scored; `flights` is an hour of
gas-free views of moving ones. With --motion each clip is seen through a smaller window that a virtual camera moves
about in it (`calibration.aloft`), `still` holds it. Every student that is scored on SimGas leaves a line in
benchmarks/simgas_log.jsonl.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import falls, simgas_log
from benchmarks.baselines import BASELINES
from benchmarks.evaluate import Method, Result, agreement, evaluate, run_all, total
from benchmarks.printing import print_agreement, print_comparison, print_report
from benchmarks.report import REPORTS, mean, paired
from calibration import clips, result_file, sets
from calibration.aloft import WINDOW
from calibration.flight import FLIGHTS
from calibration.sets import Footage
from edge.errors import ConfigError, FgstpError
from edge.segmenter import open_segmenter

PROTOCOL = (
    "The production pipeline and the shipped alarm settings, the same for all clips; frame rate from the file; every "
    "frame in order from the first. Intersection and union are summed over all frames of a clip; J is the mean over "
    "frames whose truth has 16 px or more; a gas-free frame is false when its mask has 16 px or more. S, weighted F, "
    "E and MAE are of the probability as it is, at source resolution. Intervals: 95 %, bootstrap over clips."
)


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
    chosen = _chosen(options)
    methods = [_model(name, options.backend) for name in options.model]
    if options.baselines:
        methods += [Method(name) for name in BASELINES]
    report = result_file.header("accuracy") | {"protocol": PROTOCOL}
    if (shortened := _shortened(options)) is not None:
        report["shortened"] = shortened
    if options.motion:
        flights = {motion: asdict(FLIGHTS[motion]) for motion in options.motion}
        report["motion"] = {"flights": flights, "seed": options.motion_seed, "window": WINDOW}
    report["methods"] = said = [_measure(method, chosen, options) for method in methods]
    if len(methods) > 1:
        report["paired"] = [one for footage in chosen if footage.kind == "masks" for one in paired(said, footage.name)]
        print_comparison(said, report["paired"])
    if "still" in options.motion and len(options.motion) > 1:
        report["falls"] = falls.table(said)
        falls.show_table(report["falls"])
    if options.agree:
        report["agreement"] = [_agree(name, chosen, options) for name in options.model]
    if options.json:
        result_file.write(options.json, report)


def _chosen(options: argparse.Namespace) -> list[Footage]:
    """The sets that the command line names."""
    chosen = [sets.anywhere(text) for text in options.set]
    names = options.only or ([] if chosen else sets.USUAL)
    if names:
        data = clips.root(options.data)
        chosen = [sets.of_folder(name, data) for name in dict.fromkeys(names)] + chosen
    twice = next((one.name for one in chosen if sum(one.name == other.name for other in chosen) > 1), None)
    if twice:
        raise ConfigError(f"--set: {twice} is named twice; score it in two runs")
    chosen = [replace(footage, clips=footage.clips[:: options.every]) for footage in chosen]
    if not options.motion:
        return chosen
    return [footage.flown(motion, options.motion_seed) for footage in chosen for motion in options.motion]


def _shortened(options: argparse.Namespace) -> dict[str, Any] | None:
    """What was left out of the sets; None where nothing was."""
    return {"limit": options.limit, "every": options.every} if options.limit or options.every > 1 else None


def _measure(method: Method, chosen: Sequence[Footage], options: argparse.Namespace) -> dict[str, Any]:
    """One method over the chosen sets."""
    said = method.describe()
    print(f"\n{said['method']}" + (f" on {method.backend}" if method.backend else ""), flush=True)
    for footage in chosen:
        started = time.monotonic()
        work = [(evaluate, clip, method, options.limit) for clip in footage.clips]
        results = list(_counted(run_all(work, options.jobs, options.scheduler), len(work)))
        said[footage.name] = REPORTS[footage.kind](results)
        if footage.simgas and method.backend:
            motion = {"kind": footage.motion, "seed": options.motion_seed} if footage.motion else None
            simgas_log.append(options.simgas_log, said, footage.name, method.name, _shortened(options), motion)
        print_report(footage.name, footage.kind, said[footage.name])
        print(f"({sum(result.frames for result in results)} frames in {time.monotonic() - started:.0f} s)", flush=True)
    return said


def _agree(name: str, chosen: Sequence[Footage], options: argparse.Namespace) -> dict[str, Any]:
    """One model file on both runtimes."""
    one, two = Method(name, "openvino"), Method(name, "onnxruntime")
    members = [clip for footage in chosen for clip in footage.clips]
    work = [(agreement, clip, one, two, options.limit) for clip in members]
    results = list(_counted(run_all(work, options.jobs, options.scheduler), len(work)))
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
    add("--only", action="append", choices=sorted(sets.IN_FOLDER), help="one set of the folder; may be repeated")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME[:PART]=PATH",
        help=f"a set elsewhere: {', '.join(sets.ANYWHERE)}",
    )
    add("--motion", action="append", default=[], choices=tuple(FLIGHTS), help="of a virtual camera; may be repeated")
    add("--motion-seed", type=int, default=0, help="one seed is one flight over each clip")
    add("--json", type=Path, help="write the result here")
    add("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: one per core)")
    add("--scheduler", metavar="ADDRESS", help="a Dask cluster's instead, tcp://HOST:8786: see edge/cluster.py")
    add("--limit", type=int, help="only the first frames of each clip (for a quick look)")
    add("--every", type=int, default=1, help="only every n-th clip of a set (for a quick look)")
    add("--simgas-log", type=Path, default=simgas_log.LOG, help="where each look at SimGas is written down")
    options = parser.parse_args(argv)
    options.model = options.model or ["student.int8"]
    options.motion = list(dict.fromkeys(options.motion))
    return options


if __name__ == "__main__":
    sys.exit(main())
