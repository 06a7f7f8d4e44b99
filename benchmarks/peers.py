"""Side by side in one run on the same clips: ours, the published network, classical methods, a general-purpose network.

    python -m benchmarks.peers --data ../shared/data --instance yolo11n-seg.onnx --json benchmarks/peers.json
    python -m benchmarks.peers --data ../shared/data --skip-quality --skip-written --rounds 2          # a quick look

One thread on one core; the methods take turns over the clips, each turn from a fresh start, its first frames not timed.
`mask` is from the decoded frame to the mask, `end to end` to the Summary of the production pipeline. FGSTP (extra
"train") has random weights and 352x352 px, as published: in the paper's form, the features of earlier frames
remembered, in the same runtime; and in PyTorch as its authors wrote it, on random pictures, once. The network for
instance segmentation is any ONNX file with one picture as input, made INT8 here and run by OpenVINO, without decoding
its boxes and masks, which flatters it. For example, in an environment of its own (ultralytics is under AGPL-3.0 and no
part of this project):

    pip install ultralytics && yolo export model=yolo11n-seg.yaml format=onnx imgsz=640 simplify=False
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2

from benchmarks import accuracy, combination, contestants, untrained
from benchmarks.baselines import BASELINES
from benchmarks.contestants import Classical, Contestant, Instance, Network
from benchmarks.table import Cell, show
from calibration import clips, result_file, sets
from calibration.clips import Clip
from edge import contract
from edge.errors import ConfigError, FgstpError
from edge.records import Frame

MODELS = ("student.int8", "student.fp32")
TEACHER = "teacher-b5"
SIZE = (352, 352)  # of the published network
QUALITY = ("simgas", "gasvid", "god")  # sets that are scored


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure. Raises FgstpError."""
    data = clips.root(options.data)
    head = result_file.header("peers")  # before this process confines itself to one core
    scored = {} if options.skip_quality else quality(options, data)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    chosen = sets.of_folder("simgas", data).clips[: options.clips]
    played = [list(islice(clip.frames(), options.frames)) for clip in chosen]
    with tempfile.TemporaryDirectory(prefix="fgstp-peers-") as folder:
        field = field_of(options, Path(folder))
        for number in range(options.rounds):
            for one in field:
                one.turn(played[number % len(played)])
                print(f"round {number + 1}/{options.rounds}: {one.name}: {one.rounds[-1]:.2f} ms", file=sys.stderr)
    rows = [one.figures() for one in field]
    if not options.skip_written:
        rows.append(as_written(options.written_frames))
    for row in rows:
        row["ours_times_faster"] = ratio(row, rows[0])
        row["quality"] = scored.get((row["method"], row["runtime"])) or scored.get((row["method"], ""))
    return head | {
        "threads": 1,
        "rounds": options.rounds,
        "clips": [described(clip, frames) for clip, frames in zip(chosen, played, strict=True)],
        "load_average": os.getloadavg(),
        "results": rows,
    }


def field_of(options: argparse.Namespace, folder: Path) -> list[Contestant]:
    """All that is compared; ours in INT8 first, on each model's faster backend."""
    field: list[Contestant] = [Network(model, options.backend) for model in options.model]
    field += [Classical(name) for name in BASELINES]
    if not options.skip_teacher:
        [path] = untrained.make(TEACHER, SIZE, folder, ["fp32"])
        field.append(Network(str(path), options.backend, slow=True, note="paper's form, earlier features remembered"))
    if options.instance:
        field.append(Instance(rounded(options.instance, folder)))
    return field


def rounded(source: Path, folder: Path) -> Path:
    """Somebody else's network in INT8. Raises ConfigError."""
    out = folder / f"{source.stem}.int8.onnx"
    contestants.quantised(["int8", str(source), "--out", str(out)])
    return out


def as_written(frames: int) -> dict[str, Any]:
    """FGSTP in PyTorch as its authors wrote it."""
    said = json.loads(contestants.quantised(["written", "--frames", str(frames)]))
    times = combination.percentiles(said["ms"])
    return {
        "method": "fgstp-b5",
        "runtime": f"torch {said['torch']}",
        "precision": "fp32",
        "weights": "random",
        "input": said["size"],
        "note": "as its authors wrote it, three encoder passes a frame",
        "frames": frames,
        "rounds_ms": [times["p50"]],
        "mask_ms": times,
        "end_to_end_ms": times,
        "fps": 1000 / times["p50"],
    }


def ratio(row: dict[str, Any], ours: dict[str, Any]) -> dict[str, float]:
    """How many times as long as ours it takes, to the mask and as a whole; below 1: it is faster."""
    paired = len(row["rounds_ms"]) == len(ours["rounds_ms"])
    whole = combination.ratio(row["rounds_ms"], ours["rounds_ms"]) if paired else ours["fps"] / row["fps"]
    return {"end_to_end": whole, "mask": row["mask_ms"]["p50"] / ours["mask_ms"]["p50"]}


def quality(options: argparse.Namespace, data: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Mean IoU and the like of what has been trained, by method and runtime, as `benchmarks.accuracy` takes them."""
    with tempfile.TemporaryDirectory(prefix="fgstp-peers-") as folder:
        file = Path(folder) / "accuracy.json"
        command = ["--data", str(data), "--baselines", "--backend", options.backend, "--json", str(file)]
        command += [word for model in options.model for word in ("--model", model)]
        command += [word for name in QUALITY for word in ("--only", name)]
        if accuracy.main([*command, *(["--limit", str(options.limit)] if options.limit else [])]):
            raise ConfigError("benchmarks.accuracy failed, its own message is above; or pass --skip-quality")
        said = json.loads(file.read_text(encoding="utf-8"))
    return {(one["method"], one.get("backend", "")): summary(one) for one in said["methods"]}


def summary(method: dict[str, Any]) -> dict[str, Any]:
    """The figures that a table has room for."""
    boxed = list(method["god"]["clips"].values())
    return {
        "simgas_iou": method["simgas"]["mean"]["iou"],
        "simgas_gas_free_false": method["simgas"]["gas_free_false"],
        "gasvid_iou": method["gasvid"]["mean"]["iou"],
        "god_inside": boxed[0]["inside"] if boxed else None,
    }


def described(clip: Clip, frames: Sequence[Frame]) -> dict[str, Any]:
    """What was played."""
    return {"clip": clip.name, "frames": len(frames), "size": frames[0].image.shape[1::-1]}


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """One line a method."""
    heads = [
        "",
        "runtime",
        "precision",
        "input",
        "mask ms",
        "end to end",
        "p99",
        "fps",
        "ours faster",
        "SimGas",
        "GasVid",
    ]
    lines: list[list[Cell]] = []
    for row in rows:
        found = row["quality"] or {}
        lines.append(
            [
                row["method"] + " (random weights)" * (row["weights"] == "random"),
                row["runtime"],
                row["precision"],
                "x".join(map(str, row["input"])),
                *(
                    f"{value:.2f}"
                    for value in (row["mask_ms"]["p50"], *(row["end_to_end_ms"][k] for k in ("p50", "p99")))
                ),
                f"{row['fps']:.3g}",
                f"{row['ours_times_faster']['end_to_end']:.3g}",
                found.get("simgas_iou"),
                found.get("gasvid_iou"),
            ]
        )
    print(show(heads, lines))


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", help="footage folder (default: $FGSTP_DATA)")
    add("--model", action="append", help=f"ours, the first one compared with; repeat (default: {', '.join(MODELS)})")
    add("--backend", default="openvino", help="of the networks")
    add("--instance", type=Path, metavar="ONNX", help="an instance-segmentation network, exported; see above")
    add("--rounds", type=int, default=8)
    add("--frames", type=int, default=40, help="of each turn")
    add("--clips", type=int, default=8, help="clips that the turns go over")
    add("--limit", type=int, help="frames of each clip for the quality (for a quick look)")
    add("--written-frames", type=int, default=3, help="of FGSTP as written: some seconds each")
    add("--skip-quality", action="store_true")
    add("--skip-teacher", action="store_true")
    add("--skip-written", action="store_true")
    add("--json", type=Path, help="write the result here")
    options = parser.parse_args(argv)
    options.model = options.model or list(MODELS)
    try:
        for model in options.model:
            contract.load(model)
        result = run(options)
        print_table(result["results"])
        if options.json:
            result_file.write(options.json, result)
    except FgstpError as error:
        print(f"benchmarks.peers: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
