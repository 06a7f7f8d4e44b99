"""The result file of quantize.ablation: what each variant reaches, by seed, and how far from the whole network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from calibration import result_file
from calibration.intervals import paired_interval
from quantize.variants import VARIANTS, Variant

KINDS = ("still", "moving")  # views of the held-out clips
Line = dict[str, Any]


def summary(lines: Sequence[Line], budget: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    """Of what is finished; `wanted` are the names of all jobs, and what is not among the lines is named as missing."""
    runs = {(line["name"], line["seed"]): line for line in lines}
    names = {name if seed is None else f"{name}-{seed}" for name, seed in runs}
    return {
        **result_file.header("ablation"),
        "utc": max(line["utc"] for line in lines) if lines else None,  # not when the table was made
        "commits": sorted({line["commit"] for line in lines}),
        "budget": dict(budget),
        "missing": [name for name in wanted if name not in names and "clips" not in name and name != "held-out"],
        "variants": [row(each, runs) for each in VARIANTS if any(name == each.name for name, _ in runs)],
        "teacher": [scored(line) | {"made_from": line["made_from"]} for line in lines if line["name"] == "teacher"],
        "int8": [{"seed": line["seed"], "rows": line["rows"]} for line in lines if line["name"] == "int8"],
    }


def row(variant: Variant, runs: Mapping[tuple[str, int | None], Line]) -> dict[str, Any]:
    """One variant: IoU of each seed, and the differences from what it is compared with, seed by seed."""
    own = {seed: line for (name, seed), line in sorted(runs.items(), key=str) if name == variant.name}
    described = {"name": variant.name, "what": variant.what, "seeds": [one(seed, line) for seed, line in own.items()]}
    pairs = [(line, runs[variant.against, seed]) for seed, line in own.items() if (variant.against, seed) in runs]
    if variant.name == variant.against or not pairs:
        return described
    differences = {
        kind: [iou(line[kind]) - iou(other[kind]) for line, other in pairs] for kind in KINDS if pairs[0][0][kind]
    }
    ours, theirs = (
        [sum(clips) / len(clips) for clips in zip(*(clip_ious(line) for line in many), strict=True)]
        for many in zip(*pairs, strict=True)
    )
    return described | {
        "against": variant.against,
        "differences": differences,  # of the summed IoU, by seed
        "clips": sum(not math.isnan(value) for value in ours),
        "interval": list(paired_interval(ours, theirs)),  # of the mean difference of a clip's IoU, over clips
    }


def one(seed: int | None, line: Line) -> dict[str, Any]:
    """One finished run."""
    kept = ("steps", "minutes", "data", "threshold")
    return {"seed": seed, **{key: line[key] for key in kept}, **scored(line)}


def scored(line: Line) -> dict[str, Any]:
    """IoU summed over the clips of each kind."""
    return {kind: iou(line[kind]) for kind in KINDS}


def iou(areas: Sequence[Sequence[int]]) -> float:
    """Summed over clips; of px in both, in the mask, in the label."""
    both, said, true = (sum(column) for column in zip(*areas, strict=True)) if areas else (0, 0, 0)
    return both / max(said + true - both, 1)


def clip_ious(line: Line) -> list[float]:
    """Of each clip; NaN where it shows no gas, since there one px of a mask would be as bad as a whole one."""
    return [iou([areas]) if areas[2] else math.nan for kind in KINDS for areas in line[kind]]
