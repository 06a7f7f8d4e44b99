"""What a site calibration is worth: false alarms on footage that it has not seen, and the recall that it costs.

python -m benchmarks.site --data ../shared/data --scenes 4 --json benchmarks/site.json

Clips of one scene of split val stand in for one camera. The first part of each calibrates; the rest is played with
and without the camera file, as it is and with rendered leaks in it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from benchmarks.evaluate import LIT_PX, Method, run_all
from benchmarks.table import Cell, show
from calibration import clips, result_file
from calibration.clips import Clip
from calibration.footage import MOVING
from calibration.metrics import share
from calibration.noise import NoiseBank
from calibration.release import OUTLINE, film, grey, plain_camera, release
from edge import camera, condition, quality, rate, site
from edge.camera import CameraCalibration
from edge.condition import Condition
from edge.errors import FgstpError
from edge.pipeline import process
from edge.records import Array, Frame
from edge.rules import AlarmSettings
from edge.segmenter import Segmenter, open_segmenter
from edge.summary import Summariser

PART = 0.6  # of each clip, to calibrate with
CONTRAST = 8 / 255  # of a leak, mean within its outline
SIZES = (0.003, 0.01, 0.03)  # of the leaks, share of the view, in turn
ONSET_S = 0.5  # after the held-out part begins
PROTOCOL = (
    f"Views of split val: fixed cameras that show the same in two clips or more. Calibrated on the first {PART:.0%} of "
    "each clip, measured on the rest: share of the frames with a mask of 30 px or more, events, and their rate with "
    "exact 95 % bounds; "
    f"then with rendered leaks of {255 * CONTRAST:g} grey levels over {', '.join(f'{size:.1%}' for size in SIZES)} of "
    "the view at random places: recall of the pixels within their outline once the plume is developed, and leaks with "
    "an event before the clip ends."
)


@dataclass(slots=True)
class Tally:
    """What one configuration did on held-out footage."""

    frames: int = 0
    lit: int = 0
    events: int = 0
    hours: float = 0.0
    gas_px: int = 0
    found_px: int = 0
    leaks: int = 0
    told: int = 0

    def add(self, other: Tally) -> None:
        """Sum up."""
        for name in Tally.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def figures(self) -> dict[str, Any]:
        """As a result file has them."""
        low, high = rate.interval(self.events, self.hours)
        return {
            "frames": self.frames,
            "lit": share(self.lit, self.frames),
            "events": self.events,
            "hours": self.hours,
            "events_per_hour": share(self.events, self.hours),
            "low_per_hour": low,
            "high_per_hour": high,
            "recall": share(self.found_px, self.gas_px),
            "leaks": self.leaks,
            "leaks_told": self.told,
        }


@dataclass(slots=True)
class Outcome:
    """One scene."""

    scene: str
    clips: list[str]
    made: CameraCalibration
    before: Tally = field(default_factory=Tally)
    after: Tally = field(default_factory=Tally)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    options = _options(argv)
    try:
        run(options)
    except FgstpError as error:
        print(f"benchmarks.site: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(options: argparse.Namespace) -> None:
    """Measure, print, write."""
    method = Method(options.model, open_segmenter(options.model, options.backend, 1).backend.name)
    chosen = list(scenes(clips.root(options.data)).items())[: options.scenes]
    work = [
        (measure, name, members[: options.clips], method, options.false_alarms_per_hour, options.leaks, options.seed)
        for name, members in chosen
    ]
    outcomes: list[Outcome] = []
    for outcome in cast(Iterator[Any], run_all(work, options.jobs)):
        outcomes.append(outcome)
        if sys.stderr.isatty():
            print(f"\r{len(outcomes)}/{len(work)} views", end="", file=sys.stderr, flush=True)
    report = result_file.header("site") | {"protocol": PROTOCOL, "target_per_hour": options.false_alarms_per_hour}
    report |= method.describe() | summarise(outcomes)
    print_report(report)
    if options.json:
        result_file.write(options.json, report)


def scenes(data: Path) -> dict[str, list[Clip]]:
    """Fixed clips of split val by scene, as far as they show what its first clip shows; scenes of most clips first."""
    found: dict[str, list[Clip]] = {}
    rows = {Path(row["file"]).stem: row for row in clips.index(data, "val")}
    for clip in clips.thermal_background(data, "val"):
        if float(rows[clip.name]["max_shift_px_per_s"]) <= MOVING:
            found.setdefault(rows[clip.name]["scene"], []).append(clip)
    alike = {name: [clip for clip in members if _alike(members[0], clip)] for name, members in found.items()}
    several = {name: members for name, members in alike.items() if len(members) > 1}
    return dict(sorted(several.items(), key=lambda item: -len(item[1])))


def _alike(one: Clip, other: Clip) -> bool:
    """Whether two clips begin with the same view, as `edge.quality` judges it."""
    first, second = (
        cv2.resize(grey(next(clip.frames()).image), (quality.WIDTH, quality.HEIGHT), interpolation=cv2.INTER_AREA)
        for clip in (one, other)
    )
    return quality.likeness(first, second) >= quality.LIKENESS


def measure(scene: str, members: Sequence[Clip], method: Method, target: float, leaks: int, seed: int) -> Outcome:
    """Calibrate on the first part of each clip, play the rest."""
    cv2.setNumThreads(1)
    films = {clip.name: list(clip.frames()) for clip in members}
    plain = open_segmenter(method.name, method.backend, 1)
    firsts = [(name, frames[: round(PART * len(frames))]) for name, frames in films.items()]
    made = site.calibrate(firsts, plain, target)
    calibrated = open_segmenter(method.name, method.backend, 1, calibration=made)
    settings = camera.alarm_settings(AlarmSettings(), made)
    outcome = Outcome(scene, list(films), made)
    rng = np.random.default_rng(seed)
    bank = NoiseBank(rng)
    for frames in films.values():
        held_out = frames[round(PART * len(frames)) :]
        with_gas = [leaking(held_out, SIZES[i % len(SIZES)], rng, bank) for i in range(leaks)]
        outcome.before.add(tally(held_out, with_gas, plain, AlarmSettings()))
        outcome.after.add(tally(held_out, with_gas, calibrated, settings))
    return outcome


def leaking(frames: Sequence[Frame], size: float, rng: np.random.Generator, bank: NoiseBank) -> list[tuple[Frame, Any]]:
    """The frames with a leak in them, and where gas is from the time on when the plume is developed; None before."""
    fps = (len(frames) - 1) / (frames[-1].captured - frames[0].captured)
    shape = frames[0].image.shape[:2]
    contrast = float(rng.choice((-1, 1))) * CONTRAST
    gas = release(
        rng, bank, shape, contrast=contrast, size=size, frames=len(frames), onset=round(ONSET_S * fps), fps=fps
    )
    greys = (grey(frame.image) for frame in frames)
    played = film(greys, gas, np.zeros((len(frames), 2)), plain_camera(rng, bank, shape, 0.0), shape)
    return [
        (Frame(image, frame.index, frame.captured, frame.utc), opacity > OUTLINE if t >= gas.developed else None)
        for t, (frame, (image, opacity)) in enumerate(zip(frames, played, strict=True))
    ]


def tally(
    held_out: Sequence[Frame],
    with_gas: Sequence[Sequence[tuple[Frame, Array | None]]],
    segmenter: Segmenter,
    settings: AlarmSettings,
) -> Tally:
    """What is held out of one clip, without gas, and once for each leak."""
    found = Tally()
    masks, found.events, clock = play(held_out, segmenter, settings)
    found.frames, found.hours = len(masks), clock / 3600
    found.lit = sum(int(np.count_nonzero(mask)) >= LIT_PX for mask in masks)
    for frames in with_gas:
        masks, events, _ = play([frame for frame, _ in frames], segmenter, settings)
        for mask, (_, truth) in zip(masks, frames, strict=True):
            if truth is not None:
                found.gas_px += int(np.count_nonzero(truth))
                found.found_px += int(np.count_nonzero(truth & (mask > 0)))
        found.leaks += 1
        found.told += events > 0
    return found


def play(frames: Iterable[Frame], segmenter: Segmenter, settings: AlarmSettings) -> tuple[list[Array], int, float]:
    """Masks, events that started, and seconds of believable footage."""
    segmenter.reset()
    state, masks, events = Condition(), [], 0
    for step in process(frames, segmenter, Summariser()):
        state, said = condition.step(state, step.summary, settings, camera="site")
        events += sum(event.type == "start" for event in said)
        masks.append(step.segmentation.mask)
    return masks, events, state.clock


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Figures of each scene, and of all together."""
    whole = {"before": Tally(), "after": Tally()}
    listed = {}
    for outcome in outcomes:
        whole["before"].add(outcome.before)
        whole["after"].add(outcome.after)
        made = outcome.made
        listed[outcome.scene] = {
            "clips": outcome.clips,
            "calibration": {
                "footage_s": made.footage_s,
                "noise": made.noise,
                "excluded": float(made.excluded.array.mean()),
                "threshold": made.threshold,
                "min_area_share": made.min_area_share,
                "promised": made.after.model_dump(),
            },
            "before": outcome.before.figures(),
            "after": outcome.after.figures(),
        }
    return {"scenes": listed, "all": {name: one.figures() for name, one in whole.items()}}


def print_report(report: dict[str, Any]) -> None:
    """A row a scene, before -> after."""

    def row(name: str, one: dict[str, Any], excluded: float | None) -> list[Cell]:
        pairs = [(one["before"][key], one["after"][key]) for key in ("lit", "events", "recall", "leaks_told")]
        told = [f"{a:.3f} > {b:.3f}" if isinstance(a, float) else f"{a} > {b}" for a, b in pairs]
        return [name, one["before"]["hours"] * 60, excluded, *told]

    heads = ["scene", "min", "excluded", "frames lit", "events", "recall", "leaks told"]
    rows = [row(name, one, one["calibration"]["excluded"]) for name, one in report["scenes"].items()]
    print(show(heads, [*rows, row("all", report["all"], None)]))


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=PROTOCOL, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", help="footage folder (default: $FGSTP_DATA)")
    add("--model", default="student.int8", help="shipped model or ONNX file")
    add("--backend", default="auto", help="openvino, onnxruntime, cuda, tensorrt or auto")
    add("--scenes", type=int, default=4, help="how many, those of most clips first (4)")
    add("--clips", type=int, default=6, help="of each scene at most (6)")
    add("--leaks", type=int, default=3, help="rendered into each clip (3)")
    add("--false-alarms-per-hour", type=float, default=0.1, help="the target (0.1)")
    add("--seed", type=int, default=1)
    add("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: one per core)")
    add("--json", type=Path, help="write the result here")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
