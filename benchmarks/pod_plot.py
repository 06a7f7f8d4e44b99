"""The curves of benchmarks.detection, drawn from its result file and from nothing else.

python -m benchmarks.pod_plot benchmarks/detection.json --out docs/pod.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

MOTIONS = {"still": "fixed camera", "shake": "shaking camera", "pan": "slow pan"}


def draw(report: dict[str, Any], out: Path) -> None:
    """One panel a camera motion, one curve with its 95 % band a plume size."""
    motions = list(dict.fromkeys(curve["motion"] for curve in report["curves"]))
    sizes = sorted({curve["size"] for curve in report["curves"]})
    figure, panels = plt.subplots(
        1, len(motions), figsize=(4.2 * len(motions) + 0.6, 3.8), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, motion in zip(panels[0], motions, strict=True):
        for curve in report["curves"]:
            if curve["motion"] == motion:
                _draw_curve(panel, curve, f"C{sizes.index(curve['size'])}")
        panel.axhline(0.5, color="0.8", lw=0.8, zorder=0)
        panel.axhline(0.9, color="0.8", lw=0.8, zorder=0)
        panel.set(xscale="log", ylim=(-0.02, 1.02), xlabel="contrast-to-noise ratio (plume mean over pixel noise)")
        ticks = sorted({one["cnr"] for curve in report["curves"] for one in curve["rates"]})
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
        panel.set_title(f"{MOTIONS[motion]}\n{_false(report['false_alarms'][motion])}", fontsize=9)
    panels[0][0].set_ylabel("probability of detection")
    lines, names = panels[0][0].get_legend_handles_labels()
    figure.legend(lines, names, title="plume,\n% of the view", fontsize=8, title_fontsize=8, loc="outside right center")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
    plt.close(figure)
    print(f"wrote {out}")


def _draw_curve(panel: Any, curve: dict[str, Any], colour: str) -> None:
    panel.fill_between(curve["contrasts"], curve["low"], curve["high"], color=colour, alpha=0.15, lw=0)
    panel.plot(curve["contrasts"], curve["pod"], color=colour, label=f"{100 * curve['size']:g}")
    panel.plot(
        [one["cnr"] for one in curve["rates"]],
        [one["detected"] / one["trials"] for one in curve["rates"]],
        "o",
        color=colour,
        ms=3.5,
    )


def _false(found: dict[str, Any]) -> str:
    return (
        f"{found['events']} false alarm{'s' * (found['events'] != 1)} in {60 * found['hours']:.0f} min without gas\n"
        f"({found['low_per_hour']:.3g} to {found['high_per_hour']:.3g} an hour, 95 %)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="what benchmarks.detection wrote")
    parser.add_argument("--out", type=Path, default=Path("docs/pod.png"))
    options = parser.parse_args()
    draw(json.loads(options.result.read_text(encoding="utf-8")), options.out)


if __name__ == "__main__":
    main()
