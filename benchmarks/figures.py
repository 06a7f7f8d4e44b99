"""The README's table of figures, made from the result files and from nothing else.

    python -m benchmarks.figures            write it between <!-- figures --> and <!-- /figures -->
    python -m benchmarks.figures --check    exit 1 when README and results disagree, or the results are of another model

Result files: accuracy.json (the shipped models over everything), baselines.json (with `--baselines --agree`, over the
clips with masks or boxes), motion.json (with `--baselines --only simgas` and several `--motion`), flights.json (with
`--only flights`), speed.json, memory.json and latency.json, as the benchmarks of these names, else `.accuracy`, write
them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge import contract
from edge.errors import ConfigError, FgstpError

ROOT = Path(__file__).parent.parent
PROGRAMS = {  # by result file
    "accuracy": "accuracy",
    "baselines": "accuracy",
    "motion": "accuracy",
    "flights": "accuracy",
    "speed": "speed",
    "memory": "memory",
    "latency": "latency",
}
MOTIONS = {
    "still": "held still",
    "pan": "panning, 2 px a frame",
    "tilt": "tilting",
    "orbit": "turning",
    "shake": "shaking, 3 px rms",
}
Figures = dict[str, Any]


def load(folder: Path) -> dict[str, Figures]:
    """The result files by name. Raises ConfigError."""
    results = {}
    for name, program in PROGRAMS.items():
        path = folder / f"{name}.json"
        try:
            results[name] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: not a result file; run python -m benchmarks.{program} --json {path}") from error
    return results


def table(results: dict[str, Figures]) -> str:
    """All figures in Markdown: masks and alarms by method, then speed and memory."""
    parts = (
        accuracy_table(results["accuracy"], results["baselines"]),
        motion_table(results["motion"]),
        flights_line(results["flights"]),
        speed_table(results["speed"]),
        memory_line(results["memory"]) + " " + latency_line(results["latency"]),
    )
    return "\n\n".join(parts)


def accuracy_table(accuracy: Figures, baselines: Figures) -> str:
    """One column per method: the shipped models, then what else one could use."""
    methods = accuracy["methods"] + [method for method in baselines["methods"] if "sha256" not in method]
    rows = [
        ["", *(f"{method['method']}" for method in methods)],
        ["---", *("---:" for _ in methods)],
        ["SimGas, 8 clips: mean IoU", *(number(at(m, "simgas", "mean", "iou")) for m in methods)],
        ["SimGas: its 95 % interval", *(interval(at(m, "simgas", "interval95", "iou")) for m in methods)],
        ["SimGas: mean J", *(number(at(m, "simgas", "mean", "j")) for m in methods)],
        ["SimGas: Boundary IoU", *(number(at(m, "simgas", "mean", "boundary_iou")) for m in methods)],
        ["SimGas: DAVIS F", *(number(at(m, "simgas", "mean", "boundary_f")) for m in methods)],
        ["SimGas: gas-free frames with a mask", *(percent(at(m, "simgas", "gas_free_false")) for m in methods)],
        ["GasVid 1467, real gas: IoU", *(number(at(m, "gasvid", "mean", "iou")) for m in methods)],
        ["GOD 079, real gas: mask inside the box", *(percent(only(m, "god", "inside")) for m in methods)],
        ["GOD 079: frames whose mask touches it", *(percent(only(m, "god", "touched")) for m in methods)],
        ["Gas-free thermal clips: false alarms", *(false_alarms(m) for m in methods)],
        ["Gas-free thermal clips: frames lit", *(percent(at(m, "background", "lit")) for m in methods)],
    ]
    text = markdown(rows)
    for found in baselines.get("agreement", []):
        text += (
            f"\n\n{found['method']}: masks of {' and '.join(found['runtimes'])} agree at IoU {found['iou_mean']:.4f}."
        )
    return text


def motion_table(motion: Figures) -> str:
    """One row a motion of the camera, one column a method."""
    methods = motion["methods"]
    rows = [
        ["SimGas through a window of 224x168: mean IoU", *(method["method"] for method in methods)],
        ["---", *("---:" for _ in methods)],
    ]
    for name in motion["motion"]["flights"]:
        rows.append([MOTIONS[name], *(number(at(m, f"simgas@{name}", "mean", "iou")) for m in methods)])
    return markdown(rows)


def flights_line(flights: Figures) -> str:
    """One sentence."""
    [method] = flights["methods"]
    found = method["flights"]
    return (
        f"Gas-free views of moving cameras, {found['hours'] * 60:.0f} minutes in {found['count']} clips: "
        f"{found['alarms']} false alarms."
    )


def latency_line(latency: Figures) -> str:
    """One sentence."""
    return (
        f"From the frame that decides to the broker's PUBACK, {latency['cameras']} cameras on one core: "
        f"p50 {latency['total_ms']['p50']:.0f} ms, p95 {latency['total_ms']['p95']:.0f} ms."
    )


def speed_table(speed: Figures) -> str:
    """One row per combination."""
    rows = [
        ["One thread, 320x240", "instructions", "frames/s", "p50 ms", "p95 ms", "p99 ms", "host share"],
        ["---", "---", *["---:"] * 5],
    ]
    for result in speed["results"]:
        if result.get("threads", 1) != 1 or result.get("size", [320, 240]) != [320, 240] or untrained(result):
            continue  # docs/performance.md has them
        whole = result["stages_ms"]["end_to_end"]
        times = [f"{whole[key]:.1f}" for key in ("p50", "p95", "p99")]
        held = result.get("isa", "native") != "native"  # which OpenVINO's oneDNN alone obeys
        if held and result["backend"] != "openvino":
            continue
        instructions = ", ".join(result["isa_in_force"]["features"]) or "baseline"
        instructions = f"{result['isa']} alone in convolutions" if held else instructions
        name = f"{result['model']}, {result['backend']}"
        rows.append([name, instructions, f"{result['fps']:.0f}", *times, f"{result['host_share']:.0%}"])
    machine = speed["machine"]
    return markdown(rows) + f"\n\nMeasured on {machine['cpu']}, {machine['cores']} cores, shared; one core used."


def untrained(result: Figures) -> bool:
    """Whether a result is of random weights, which are not shipped."""
    return result.get("weights") == "random"


def memory_line(memory: Figures) -> str:
    """One sentence."""
    sizes = memory["rss_mb"]
    return (
        f"Resident memory of `fgstp-edge run`, one camera: {sizes['last']:.0f} MB after {memory['frames']:,} frames "
        f"(peak {sizes['peak']:.0f} MB, growth {memory['slope_kb_per_1000_frames']:.0f} kB per 1,000 frames)."
    )


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def at(figures: Figures, *keys: str) -> Any:
    """A figure deep inside; None where this run has not measured it."""
    value: Any = figures
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def only(method: Figures, name: str, key: str) -> Any:
    """A figure of the one clip of a set."""
    clips = list((at(method, name, "clips") or {}).values())
    return clips[0][key] if len(clips) == 1 else None


def number(value: float | None) -> str:
    """0.783, or a dash."""
    return "–" if value is None else f"{value:.3f}"


def interval(bounds: Sequence[float | None] | None) -> str:
    """0.762 to 0.866, or a dash."""
    return "–" if bounds is None or None in bounds else f"{number(bounds[0])} to {number(bounds[1])}"


def percent(value: float | None) -> str:
    """1.2 %, or a dash."""
    return "–" if value is None else f"{value:.1%}".replace("%", " %")


def false_alarms(method: Figures) -> str:
    """How many, in how many clips."""
    found = at(method, "background")
    return "–" if found is None else f"{found['alarms']} in {found['count']} clips"


def filled(page: str, figures: str, where: Path, name: str = "figures") -> str:
    """A page with the figures between its marks. Raises ConfigError without the marks."""
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    head, begin, rest = page.partition(opening)
    _, end, tail = rest.partition(closing)
    if not begin or not end:
        raise ConfigError(f"{where}: the marks {opening} and {closing} are missing; put them where the figures belong")
    return f"{head}{opening}\n{figures}\n{closing}{tail}"


def stale(results: dict[str, Figures]) -> list[str]:
    """Result files that were measured with a model other than the shipped one of that name. Raises ModelError."""
    shipped = {name: contract.load(name)[0].sha256 for name in contract.shipped()}
    measured = {
        "accuracy": results["accuracy"]["methods"],
        "baselines": results["baselines"]["methods"],
        "speed": results["speed"]["results"],
        "motion": results["motion"]["methods"],
        "flights": results["flights"]["methods"],
        "memory": [results["memory"]],
        "latency": [results["latency"]],
    }
    return [
        f"{name}.json: {one.get('model') or one['method']} has another sha256 than the shipped file; measure again"
        for name, many in measured.items()
        for one in many
        if "sha256" in one and not untrained(one) and one["sha256"] != shipped.get(one.get("model") or one["method"])
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks", help="folder of the result files")
    options = parser.parse_args(argv)
    try:
        results = load(options.results)
        old = options.readme.read_text(encoding="utf-8")
        new = filled(old, table(results), options.readme)
        complaints = stale(results)
    except FgstpError as error:
        print(f"benchmarks.figures: {error}", file=sys.stderr)
        return error.exit_code
    if not options.check:
        options.readme.write_text(new, encoding="utf-8")
    elif new != old:
        complaints.append(
            f"{options.readme}: the figures are not those of the results; run python -m benchmarks.figures"
        )
    for complaint in complaints:
        print(f"benchmarks.figures: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
