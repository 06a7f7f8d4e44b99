"""What motion costs: the score of the same clips through a window that moves, against one that is held."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report import Figures, label, mean
from benchmarks.table import show

FIGURES = ("iou", "inside")  # of masks, of boxes: what a set is scored by


def table(methods: Sequence[Figures]) -> list[Figures]:
    """A row for each method, set and motion: the score and how many points it is below that of the held window."""
    rows = []
    for method in methods:
        for name, figures in method.items():
            footage, _, motion = name.partition("@")
            held = method.get(f"{footage}@still")
            if not motion or held is None or "mean" not in figures:
                continue
            key = next(key for key in FIGURES if key in figures["mean"])
            by_clip = [100 * (held["clips"][clip][key] - one[key]) for clip, one in figures["clips"].items()]
            rows.append(
                {
                    "method": label(method),
                    "set": footage,
                    "motion": motion,
                    "figure": key,
                    "score": figures["mean"][key],
                    "fall_points": mean(by_clip),
                    "worst_clip_points": max(by_clip),
                    "settled": figures["events"]["mean"]["settled"],
                }
            )
    return rows


def show_table(rows: Sequence[Figures]) -> None:
    """For a terminal."""
    heads = ["method", "set", "motion", "figure", "score", "points lost", "worst clip", "in alarm from 20 s on"]
    keys = ("method", "set", "motion", "figure", "score", "fall_points", "worst_clip_points", "settled")
    print(f"\nagainst the window that is held\n{show(heads, [[row[key] for key in keys] for row in rows])}")
