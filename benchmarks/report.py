"""From results to figures: what `benchmarks.accuracy` writes and prints for each set of clips."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.evaluate import Result, total
from benchmarks.table import Cell, show
from calibration.metrics import share

Figures = dict[str, Any]
MASK = ("iou", "j", "precision", "recall", "gas_free_false", "presence", "boundary_iou", "boundary_f")


def mean(values: Sequence[float]) -> float:
    """Mean of the values that are there."""
    present = [value for value in values if not math.isnan(value)]
    return share(sum(present), len(present))


def masks(results: Sequence[Result]) -> Figures:
    """Clips with masks: each clip's figures, their means, and the gas-free share over all frames together."""
    clips = {result.clip: _mask_figures(result) for result in results}
    means = {key: mean([clip[key] for clip in clips.values()]) for key in MASK}
    return {"clips": clips, "mean": means, "gas_free_false": total(results).false_share}


def boxes(results: Sequence[Result]) -> Figures:
    """Clips with boxes."""
    return {
        "clips": {
            result.clip: {
                "frames": result.boxes.frames,
                "inside": result.boxes.inside_share,
                "touched": result.boxes.touched_share,
                "alarms": [asdict(alarm) for alarm in result.alarms],
            }
            for result in results
        }
    }


def gas_free(results: Sequence[Result]) -> Figures:
    """Clips without gas: whatever lights up or alarms is wrong."""
    return {
        "count": len(results),
        "frames": sum(result.frames for result in results),
        "alarms": sum(len(result.alarms) for result in results),
        "clips_with_alarms": sum(bool(result.alarms) for result in results),
        "lit": share(sum(result.lit for result in results), sum(result.frames for result in results)),
        "clips": {
            result.clip: {"lit": result.lit_share, "alarms": [asdict(alarm) for alarm in result.alarms]}
            for result in results
        },
    }


REPORTS: dict[str, Callable[[Sequence[Result]], Figures]] = {
    "simgas": masks,
    "gasvid": masks,
    "god": boxes,
    "background": gas_free,
}


def print_report(name: str, figures: Figures) -> None:
    """One set as a table; of gas-free clips only the lit ones."""
    print(f"\n{name}")
    clips = figures["clips"]
    if name in ("simgas", "gasvid"):
        rows: list[list[Cell]] = [[clip, *(one[key] for key in MASK), first_alarm(one)] for clip, one in clips.items()]
        rows.append(["mean", *(figures["mean"][key] for key in MASK), None])
        print(show(["clip", *MASK, "first alarm"], rows))
        print(f"gas-free frames with a mask, all clips together: {figures['gas_free_false']:.1%}")
    elif name == "god":
        rows = [[clip, one["inside"], one["touched"], first_alarm(one)] for clip, one in clips.items()]
        print(show(["clip", "pixels in box", "frames touched", "first alarm"], rows))
    else:
        lit = sorted((item for item in clips.items() if item[1]["lit"]), key=lambda item: -item[1]["lit"])
        shown = [item for position, item in enumerate(lit) if item[1]["alarms"] or position < 12]
        if shown:
            print(show(["clip", "lit", "alarms"], [[clip, one["lit"], len(one["alarms"])] for clip, one in shown]))
        print(
            f"{figures['count']} clips: {figures['alarms']} alarms in {figures['clips_with_alarms']} clips, "
            f"{figures['lit']:.2%} of the frames lit ({len(lit)} clips)"
        )


def print_comparison(methods: Sequence[Figures]) -> None:
    """All methods in one table, a row each."""

    def row(method: Figures) -> list[Cell]:
        name = f"{method['method']} {method.get('backend', '')}".strip()
        simgas = method.get("simgas", {"mean": {}})
        boxed = list(method.get("god", {"clips": {}})["clips"].values())
        background = method.get("background", {})
        return [
            name,
            simgas["mean"].get("iou"),
            simgas["mean"].get("j"),
            simgas.get("gas_free_false"),
            method.get("gasvid", {"mean": {}})["mean"].get("iou"),
            mean([clip["inside"] for clip in boxed]),
            mean([clip["touched"] for clip in boxed]),
            background.get("alarms"),
            background.get("lit"),
        ]

    heads = ["", "SimGas IoU", "J", "gas-free false", "GasVid IoU", "GOD in box", "touched", "false alarms", "lit"]
    print(f"\nall methods\n{show(heads, [row(method) for method in methods])}")


def print_agreement(found: Figures) -> None:
    """How far two runtimes are from one another, worst clips first."""
    print(f"\n{found['method']}: {' against '.join(found['runtimes'])}, IoU of their masks")
    worst = sorted(found["clips"].items(), key=lambda item: item[1])[:12]
    print(show(["clip (worst first)", "IoU"], worst))
    print(
        f"mean {found['iou_mean']:.4f}, all frames summed {found['iou_summed']:.4f}, {found['dark_clips']} dark clips"
    )


def first_alarm(clip: Figures) -> int | None:
    """The frame in which the first alarm of a clip was raised."""
    return clip["alarms"][0]["frame"] if clip["alarms"] else None


def _mask_figures(result: Result) -> Figures:
    return {
        "frames": result.frames,
        "labelled": result.mask.frames,
        "iou": result.mask.iou,
        "j": result.mask.j,
        "precision": result.mask.precision,
        "recall": result.mask.recall,
        "gas_free_false": result.mask.false_share,
        "presence": result.mask.presence,
        "boundary_iou": result.boundary.iou,
        "boundary_f": result.boundary.f,
        "alarms": [asdict(alarm) for alarm in result.alarms],
    }
