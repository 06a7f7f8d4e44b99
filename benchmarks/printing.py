"""The figures of `benchmarks.report` as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report import AUTHORS, BOX, EVENT, MAPS, MASK, Figures, label, mean
from benchmarks.table import Cell, show, text
from calibration.sets import Kind

PARTS = ("count", "hours", "share", "alarms", "lit")
LONGEST = 12  # clips in a list of the worst


def print_report(name: str, kind: Kind, figures: Figures) -> None:
    """One set as tables; of gas-free clips only the lit ones."""
    print(f"\n{name}")
    if kind == "masks":
        _print_masks(figures)
    elif kind == "boxes":
        _print_boxes(figures)
    else:
        _print_gas_free(figures)


def _print_masks(figures: Figures) -> None:
    clips = figures["clips"]
    rows: list[list[Cell]] = [[clip, *(one[key] for key in MASK), first_alarm(one)] for clip, one in clips.items()]
    rows.append(["mean", *(figures["mean"][key] for key in MASK), None])
    rows.append(["95 %", *(span(figures["interval95"][key]) for key in MASK), None])
    print(show(["clip", *MASK, "first alarm"], rows))
    print(
        f"gas-free frames with a mask, all clips together: {figures['gas_free_false']:.1%}"
        f" (95 % {span(figures['gas_free_false_interval95'])}); with 30 px or more: {figures['gas_free_lit']:.1%}"
    )
    authors = figures["authors"]
    measures: list[list[Cell]] = [
        [
            key,
            *(figures["mean"][key], span(figures["interval95"][key])),
            *(authors["mean"][key], span(authors["interval95"][key])),
        ]
        for key in MAPS
    ]
    print("\n" + show(["clip", *MAPS[1:]], [[clip, *(one[key] for key in MAPS[1:])] for clip, one in clips.items()]))
    print("\n" + show(["mean of clips", "ours", "95 %", "authors' protocol", "95 %"], measures))
    print(AUTHORS)
    _print_events(figures)


def _print_boxes(figures: Figures) -> None:
    rows: list[list[Cell]] = [
        [clip, *(one[key] for key in BOX), first_alarm(one)] for clip, one in figures["clips"].items()
    ]
    if len(rows) > 1:
        rows.append(["mean", *(figures["mean"][key] for key in BOX), None])
        rows.append(["95 %", *(span(figures["interval95"][key]) for key in BOX), None])
    print(show(["clip", "pixels in box", "frames touched", "box IoU", "first alarm"], rows))
    _print_events(figures)


def _print_events(figures: Figures) -> None:
    events, clips = figures["events"], figures["clips"]
    heads = ["clip", "onset s", "s to alarm", "in alarm", "from 20 s on", "alarms before"]
    rows: list[list[Cell]] = [
        [clip, one["onset_s"], *(one[key] for key in EVENT), one["early_alarms"]] for clip, one in clips.items()
    ]
    rows.append(["mean", None, *(events["mean"][key] for key in EVENT), events["early_alarms"]])
    print(f"\n{show(heads, rows)}")
    print(f"{events['alarmed_clips']} of {events['gassy_clips']} clips with gas alarm after its onset")


def _print_gas_free(figures: Figures) -> None:
    lit = sorted((item for item in figures["clips"].items() if item[1]["lit"]), key=lambda item: -item[1]["lit"])
    shown = [item for position, item in enumerate(lit) if item[1]["alarms"] or position < LONGEST]
    if shown:
        print(show(["clip", "lit", "alarms"], [[clip, one["lit"], len(one["alarms"])] for clip, one in shown]))
    if figures["parts"]:
        heads = ["part", "clips", "hours", "share", "alarms", "lit"]
        print(show(heads, [[name, *(one[key] for key in PARTS)] for name, one in figures["parts"].items()]))
    print(
        f"{figures['count']} clips: {figures['alarms']} alarms in {figures['clips_with_alarms']} clips, "
        f"{figures['lit']:.2%} of the frames lit ({len(lit)} clips)"
    )
    print(
        f"{figures['hours']:.3f} h: {figures['alarms_per_hour']:.1f} false alarms an hour, at most "
        f"{figures['alarms_per_hour_at_most']:.1f} (exact Poisson bound, {figures['confidence']:.0%})"
    )


def print_comparison(methods: Sequence[Figures], differences: Sequence[Figures] = ()) -> None:
    """All methods in one table, a row each; then how far they are from the first, clip by clip."""

    def row(method: Figures) -> list[Cell]:
        simgas = method.get("simgas", {"mean": {}})
        boxed = list(method.get("god", {"clips": {}})["clips"].values())
        background = method.get("background", {})
        return [
            label(method),
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
    for one in differences:
        print(
            f"{one['set']}: {one['figure']} of {one['method']} less that of {one['against']}, by clip: "
            f"{one['difference']:+.4f} (95 % {span(one['interval95'], 4)})"
        )


def print_agreement(found: Figures) -> None:
    """How far two runtimes are from one another, worst clips first."""
    print(f"\n{found['method']}: {' against '.join(found['runtimes'])}, IoU of their masks")
    worst = sorted(found["clips"].items(), key=lambda item: item[1])[:LONGEST]
    print(show(["clip (worst first)", "IoU"], worst))
    print(
        f"mean {found['iou_mean']:.4f}, all frames summed {found['iou_summed']:.4f}, {found['dark_clips']} dark clips"
    )


def first_alarm(clip: Figures) -> int | None:
    """The frame in which the first alarm of a clip was raised."""
    return clip["alarms"][0]["frame"] if clip["alarms"] else None


def span(interval: tuple[float, float], digits: int = 3) -> str:
    """0.612..0.801, or a dash where too few clips were scored for an interval."""
    if text(interval[0]) == "-":
        return "-"
    return "..".join(f"{end:.{digits}f}" for end in interval)
