"""Quality against speed, drawn from the rows of benchmarks.tradeoff and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw(rows: Sequence[dict[str, Any]], out: Path) -> None:
    """A point each, coloured by model, marked by stride; a line through what nothing beats in both."""
    figure, panel = plt.subplots(figsize=(7, 4.4), layout="constrained")
    models = sorted({(one["model"], *one["input"]) for one in rows})
    for one in rows:
        model = (one["model"], *one["input"])
        name = f"{one['model']}, {one['input'][0]}x{one['input'][1]}"
        panel.plot(
            one["fps"],
            one["iou"],
            "os^Dv"[(one["stride"] - 1) % 5],
            color=f"C{models.index(model)}",
            label=name if one["stride"] == min(other["stride"] for other in rows) else None,
        )
        panel.annotate(f"1/{one['stride']}", (one["fps"], one["iou"]), (5, 3), textcoords="offset points", fontsize=7)
    front = sorted((one["fps"], one["iou"]) for one in rows if one["pareto"])
    panel.plot(*zip(*front, strict=True), color="0.6", lw=1, zorder=0, label="nothing beats these in both")
    panel.set(xscale="log", xlabel="camera frames a second on one core", ylabel="mean IoU, SimGas")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
    plt.close(figure)
    print(f"wrote {out}")
