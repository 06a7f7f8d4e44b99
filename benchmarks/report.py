"""From results to figures: what `benchmarks.accuracy` writes of each set of clips. `benchmarks.printing` shows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.evaluate import Result, total
from calibration.intervals import CONFIDENCE, mean_interval, paired_interval, share_interval
from calibration.metrics import share
from calibration.sets import Kind
from edge import rate

Figures = dict[str, Any]
MASK = ("iou", "j", "precision", "recall", "gas_free_false", "presence", "boundary_iou", "boundary_f")
MAPS = ("j", "f1", "j_and_f1", "s", "weighted_f", "e", "mae")  # what both protocols have
BOX = ("inside", "touched", "box_iou")
EVENT = ("time_to_alarm_s", "alarmed", "settled")
AUTHORS = (
    "As the gas papers score (FGSTP, JVLGS): each frame's probability is spread over 0..1 by its own least and "
    "greatest value and cut at 0.5; frames without any truth are passed over."
)


def mean(values: Sequence[float]) -> float:
    """Mean of the values that are there."""
    present = [value for value in values if not math.isnan(value)]
    return share(sum(present), len(present))


def masks(results: Sequence[Result]) -> Figures:
    """Clips with masks: each clip's figures, their means with intervals, and shares over all frames together."""
    clips = {result.clip: _mask_figures(result) for result in results}
    authors = {result.clip: _authors_figures(result) for result in results}
    whole = total(results)
    keys = (*MASK, *(key for key in MAPS if key not in MASK))
    return {
        "clips": clips,
        "mean": _means(clips, keys),
        "interval95": _intervals(clips, keys),
        "gas_free_false": whole.false_share,
        "gas_free_false_interval95": share_interval(
            [result.mask.false for result in results], [result.mask.gas_free for result in results]
        ),
        "gas_free_lit": share(sum(result.lit_free for result in results), whole.gas_free),
        "pooled": {key: getattr(whole, key) for key in ("iou", "j", "f1", "precision", "recall", "presence")},
        "authors": {
            "protocol": AUTHORS,
            "clips": authors,
            "mean": _means(authors, MAPS),
            "interval95": _intervals(authors, MAPS),
        },
        "events": _events(results, clips),
    }


def boxes(results: Sequence[Result]) -> Figures:
    """Clips with boxes."""
    clips = {
        result.clip: {
            "frames": result.boxes.frames,
            "inside": result.boxes.inside_share,
            "touched": result.boxes.touched_share,
            "box_iou": result.boxes.iou,
            **_event_figures(result),
        }
        for result in results
    }
    return {
        "clips": clips,
        "mean": _means(clips, BOX),
        "interval95": _intervals(clips, BOX),
        "events": _events(results, clips),
    }


def gas_free(results: Sequence[Result]) -> Figures:
    """Clips without gas: whatever lights up or alarms is wrong. Names as "part/clip" make parts, with their shares."""
    whole = _gas_free_figures(results)
    names = dict.fromkeys(result.clip.partition("/")[0] for result in results if "/" in result.clip)
    parts = {name: [result for result in results if result.clip.startswith(f"{name}/")] for name in names}
    return {
        **whole,
        "parts": {
            name: {**_gas_free_figures(some), "share": share(sum(r.events.hours for r in some), whole["hours"])}
            for name, some in parts.items()
        },
        "clips": {
            result.clip: {"lit": result.lit_share, "alarms": [asdict(alarm) for alarm in result.alarms]}
            for result in results
        },
    }


def _gas_free_figures(results: Sequence[Result]) -> Figures:
    alarms, hours = sum(len(result.alarms) for result in results), sum(result.events.hours for result in results)
    frames, lit = sum(result.frames for result in results), sum(result.lit for result in results)
    return {
        "count": len(results),
        "frames": frames,
        "hours": hours,
        "alarms": alarms,
        "alarms_per_hour": share(alarms, hours),
        "alarms_per_hour_at_most": rate.interval(alarms, hours)[1] if hours else math.nan,
        "confidence": CONFIDENCE,
        "clips_with_alarms": sum(bool(result.alarms) for result in results),
        "lit": share(lit, frames),
        "lit_interval95": share_interval([result.lit for result in results], [result.frames for result in results]),
    }


REPORTS: dict[Kind, Callable[[Sequence[Result]], Figures]] = {"masks": masks, "boxes": boxes, "gas_free": gas_free}


def paired(methods: Sequence[Figures], name: str, key: str = "iou") -> list[Figures]:
    """How much the later methods differ from the first in one figure of a set with masks, clip by clip."""
    scored = [method for method in methods if name in method]
    differences = []
    for method in scored[1:]:
        pairs = [
            (method[name]["clips"][clip][key], figures[key])
            for clip, figures in scored[0][name]["clips"].items()
            if clip in method[name]["clips"]
        ]
        ours, theirs = zip(*pairs, strict=True)
        differences.append(
            {
                "method": label(method),
                "against": label(scored[0]),
                "set": name,
                "figure": key,
                "difference": mean([our - their for our, their in pairs]),
                "interval95": paired_interval(ours, theirs),
            }
        )
    return differences


def label(method: Figures) -> str:
    """A method's name, and its runtime where it has one."""
    return f"{method['method']} {method.get('backend', '')}".strip()


def _mask_figures(result: Result) -> Figures:
    return {
        "frames": result.frames,
        "labelled": result.mask.frames,
        "iou": result.mask.iou,
        "j": result.mask.j,
        "precision": result.mask.precision,
        "recall": result.mask.recall,
        "gas_free_false": result.mask.false_share,
        "gas_free": result.mask.gas_free,
        "gas_free_lit": result.lit_free,
        "presence": result.mask.presence,
        "boundary_iou": result.boundary.iou,
        "boundary_f": result.boundary.f,
        "f1": result.mask.f1,
        "j_and_f1": result.mask.j_and_f1,
        "s": result.saliency.s,
        "weighted_f": result.saliency.weighted_f,
        "e": result.saliency.e,
        "mae": result.saliency.mae,
        **_event_figures(result),
    }


def _authors_figures(result: Result) -> Figures:
    """The same measures as MAPS, the gas papers' way."""
    return {
        "frames": result.authors.frames,
        "j": result.authors.j,
        "f1": result.authors.f1,
        "j_and_f1": result.authors.j_and_f1,
        "s": result.authors_saliency.s,
        "weighted_f": result.authors_saliency.weighted_f,
        "e": result.authors_saliency.e,
        "mae": result.authors_saliency.mae,
    }


def _event_figures(result: Result) -> Figures:
    events = result.events
    return {
        "alarms": [asdict(alarm) for alarm in events.alarms],
        "onset": events.onset,
        "onset_s": events.onset_s,
        "time_to_alarm_s": events.time_to_alarm_s,
        "early_alarms": events.early,
        "alarmed": events.alarmed_share,
        "settled": events.settled_share,
    }


def _events(results: Sequence[Result], clips: dict[str, Figures]) -> Figures:
    """Alarms over all clips that show gas."""
    gassy = [result for result in results if result.events.onset is not None]
    return {
        "gassy_clips": len(gassy),
        "alarmed_clips": sum(not math.isnan(result.events.time_to_alarm_s) for result in gassy),
        "early_alarms": sum(result.events.early for result in gassy),
        "mean": _means(clips, EVENT),
        "interval95": _intervals(clips, EVENT),
    }


def _means(clips: dict[str, Figures], keys: Sequence[str]) -> Figures:
    return {key: mean([clip[key] for clip in clips.values()]) for key in keys}


def _intervals(clips: dict[str, Figures], keys: Sequence[str]) -> Figures:
    return {key: mean_interval([clip[key] for clip in clips.values()]) for key in keys}
