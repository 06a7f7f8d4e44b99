"""Result files on what is found, and by which part of it all, as Markdown tables, for `benchmarks.pages`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.figures import Figures, at, interval, markdown, number, only, percent
from benchmarks.tables import figure


def sizes(result: Figures) -> str:
    """One row a network, over the clips with masks or a box."""
    rows = [
        ["", "MMAC", "SimGas: IoU", "95 %", "J", "95 %", "GasVid 1467: IoU", "GOD 079: in the box", "touched"],
        ["---", *["---:"] * 8],
    ]
    for one in result["methods"]:
        mean, spread = one["simgas"]["mean"], one["simgas"]["interval95"]
        rows.append(
            [
                one["method"],
                str(one["weights"]["mmac"]),
                number(mean["iou"]),
                interval(spread["iou"]),
                number(mean["j"]),
                interval(spread["j"]),
                number(at(one, "gasvid", "mean", "iou")),
                *(percent(only(one, "god", key)) for key in ("inside", "touched")),
            ]
        )
    return markdown(rows)


def detection(result: Figures) -> str:
    """One row a motion and size, then the false alarms that go with them."""
    rows = [["camera", "plume, % of the view", "50 % found at", "90 % found at", "trials"], ["---", *["---:"] * 4]]
    for curve in result["curves"]:
        points = (within(*curve["points"][level]) for level in ("50", "90"))
        trials = sum(one["trials"] for one in curve["rates"])
        rows.append([curve["motion"], f"{100 * curve['size']:g}", *points, str(trials)])
    free = result["false_alarms"]["all"]
    return (
        f"{markdown(rows)}\n\nContrast-to-noise ratios with their 95 % bounds; – is beyond all that were tried. "
        f"{result['protocol']} Without gas: {free['events']} alarms in {60 * free['hours']:.0f} minutes, at most "
        f"{free['high_per_hour']:.0f} an hour (95 %)."
    )


def within(best: float | None, low: float | None, high: float | None) -> str:
    """2.1 (1.7 to 2.6)."""
    told = ("–" if value is None else f"{value:.2g}" for value in (best, low, high))
    return "{} ({} to {})".format(*told)


def registration(result: Figures) -> str:
    """Errors by motion, then what a motion adds to a frame."""
    rows = [
        ["the camera", "frames", "flagged", "0.13 s ago: median px", "p95", "0.53 s ago: median px", "p95", "CPU ms"]
    ]
    rows.append(["---", *["---:"] * 7])
    for name, one in result["motions"].items():
        errors = (number(one[lag][key]) for lag in ("short", "long") for key in ("median", "p95"))
        rows.append([name, str(one["frames"]), str(one["flagged"]), *errors, f"{one['cost_ms']:.2f}"])
    blind = result["untextured"]
    parts = [markdown(rows), f"Without structure {blind['flagged']} of {blind['frames']} frames are flagged."]
    if found := result.get("cost"):
        what = {"pan": "a pan adds", "shake": "a shake adds", "watched": "a still view pays to be watched"}
        added = [["", "CPU ms", "mean", "of the step", "of the frame", "of a frame with gas"], ["---", *["---:"] * 5]]
        for name, one in found["added"].items():
            shares = (percent(one[of]) for of in ("of_step", "of_frame", "of_leak_frame"))
            added.append([what[name], f"{one['ms']:.2f}", f"{one['mean_ms']:.2f}", *shares])
        step, frame, leak = found["step_ms"]["still"], found["frame_ms"]["still"], found["frame_ms"]["leak"]
        parts += [
            markdown(added),
            f"Medians of {found['turns']} turns. While the view stands, the segmenter's step takes {step:.2f} ms, the "
            f"frame {frame:.2f} ms; with the gas of the golden clip, a frame takes {leak:.2f} ms.",
        ]
    return "\n\n".join(parts)


def ablation(result: Figures) -> str:
    """One row a variant, then INT8, then how all of that was made."""
    rows = [["", "still views", "moving views", "to", "still", "moving", "a clip, 95 %"], ["---", *["---:"] * 6]]
    for one in result["variants"]:
        found = one.get("differences", {})
        rows.append(
            [
                one["what"],
                *(by_seed([run[kind] for run in one["seeds"]], number) for kind in ("still", "moving")),
                one.get("against", "–"),
                *(by_seed(found.get(kind), signed) for kind in ("still", "moving")),
                " to ".join(map(signed, one["interval"])) if found else "–",
            ]
        )
    parts = [markdown(rows)]
    parts += [
        f"The teacher of the distilled one, {one['made_from']['model']} after {one['made_from']['steps']:,} steps: "
        f"{number(one['still'])} and {number(one['moving'])}."
        for one in result["teacher"]
    ]
    if result["int8"]:
        parts.append(int8_rows(result["int8"]))
    budget, frames = result["budget"], "x".join([str(result["budget"]["size"])] * 2)
    clips = max((one.get("clips", 0) for one in result["variants"]), default=0)
    parts.append(
        f"IoU summed over {budget['still'] * budget['batch']} still and {budget['moving'] * budget['batch']} moving "
        f"clips over scenes that training does not see, each network at its best threshold of six, a value a seed; "
        "then the difference from another row. The "
        f"interval is of a clip's difference, mean of the seeds, over the {clips} clips with gas. From scratch, "
        f"{budget['steps']} steps of {budget['batch']} clips of {frames} px, {budget['clip_frames']} frames each; "
        f"further steps are {budget['further']}. Seeds {', '.join(map(str, seeds(result)))}; "
        f"commit {', '.join(result['commits'])}."
    )
    if result["missing"]:
        parts.append(f"Not run yet: {', '.join(result['missing'])}.")
    return "\n\n".join(parts)


def int8_rows(found: Sequence[Figures]) -> str:
    """What rounding costs, a value a seed."""
    rows = [["INT8 of the whole network", "FP32", "INT8", "change", "logits dB"], ["---", *["---:"] * 4]]
    for name, what in (
        ("full", "as it is (PTQ)"),
        ("longer", "after further steps (PTQ)"),
        ("rounded", "after further steps with rounding (QAT)"),
    ):
        each = [seed["rows"][name] for seed in found]
        changes = [one["int8"] - one["fp32"] for one in each]
        rows.append(
            [
                what,
                *(by_seed([one[key] for one in each], number) for key in ("fp32", "int8")),
                by_seed(changes, signed),
                by_seed([one["logits_db"] for one in each], figure),
            ]
        )
    return markdown(rows)


def seeds(result: Figures) -> list[int]:
    """Of all runs."""
    return sorted({run["seed"] for one in result["variants"] for run in one["seeds"]})


def by_seed(values: Sequence[float] | None, shown: Callable[[float], str]) -> str:
    """One value a seed, or a dash."""
    return ", ".join(map(shown, values)) if values else "–"


def signed(value: float | None) -> str:
    """+0.012, or a dash."""
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")
