"""Probability of detection: how strong, how large a leak must be before the shipped alarm is raised.

python -m benchmarks.detection --data ../shared/data --trials 12 --jobs 2 --json FILE --plot docs/pod.png
python -m benchmarks.detection --trials 4                                     # over procedural scenes
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from benchmarks import pod, pod_plot
from benchmarks.evaluate import Method, run_all
from benchmarks.table import Cell, show
from calibration import clips, result_file
from calibration.clips import Clip
from calibration.footage import MOVING
from calibration.noise import NoiseBank
from calibration.release import (
    OUTLINE,
    PAN_PX_S,
    SHAKE_PX,
    TRACE,
    Motion,
    Release,
    film,
    fitted,
    path,
    plain_camera,
    release,
    scene_size,
)
from calibration.scene import procedural
from edge import condition, rate
from edge.condition import Condition
from edge.errors import FgstpError
from edge.pipeline import Step, process
from edge.records import Array, Frame
from edge.rules import AlarmSettings
from edge.segmenter import Segmenter, open_segmenter
from edge.study import sigma_between
from edge.summary import Summariser

VIEW = (240, 320)  # px
FPS = 15.0
SECONDS, ONSET_S, WITHIN_S = 9.9, 3.5, 6.0  # length of a trial, when the leak opens, and how soon it must be told
SIGMA = 1.5 / 255  # temporal noise of a pixel, that of the footage included
SHORTEST = 295  # frames of footage, at 30 a second, that a trial needs
ON_GAS = 0.5  # share of the mask that must lie on gas when the alarm is raised

CONTRASTS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)
SIZES = (0.002, 0.01, 0.05, 0.15)
MOTIONS: tuple[Motion, ...] = ("still", "shake", "pan")
PROTOCOL = (
    f"A rendered leak opens {ONSET_S:g} s into {SECONDS:g} s of a gas-free view ({FPS:g} frames a second, 320x240), "
    "either sign of contrast alike. It is detected when the production pipeline, at the shipped alarm settings, starts "
    f"an event within {WITHIN_S:g} s with at least {ON_GAS:.0%} of its mask on gas. Contrast-to-noise: mean contrast "
    f"within the plume's outline ({OUTLINE:.0%} of its dense part's opacity) over the temporal noise of a pixel, "
    f"brought to {255 * SIGMA:g} grey levels. Size: mean area of the outline, share of the view. Shake: "
    f"{SHAKE_PX:g} px from frame to frame; pan: {PAN_PX_S:g} px a second. False alarms: the same views without gas. "
    "Footage: fixed cameras of split val. Trials share views, so the bands are a little too narrow."
)


@dataclass(frozen=True, slots=True)
class Case:
    """One trial before it is made."""

    number: int  # its seed
    cnr: float  # 0: no gas
    size: float
    motion: Motion
    clip: Clip | None  # None: a procedural scene


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it."""

    cnr: float
    size: float
    motion: str
    view: str
    detected: bool
    delay_s: float | None  # from the onset to the event
    false_events: int  # that started before the onset, or not on gas
    believable_s: float  # of the trial: the rest of the time the pipeline held the alarm


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    options = _options(argv)
    try:
        run(options)
    except FgstpError as error:
        print(f"benchmarks.detection: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(options: argparse.Namespace) -> None:
    """Measure, fit, print, write."""
    method = Method(options.model, open_segmenter(options.model, options.backend, 1).backend.name)
    views: Sequence[Clip | None] = [None]
    if options.data or os.environ.get("FGSTP_DATA"):
        views = held_out(clips.root(options.data))[:: options.every]
    cases = plan(options.trials, options.cnr, options.size, options.motion, views, options.seed)
    work = [(attempt, case, method, options.seed) for case in cases]
    trials: list[Trial] = []
    for trial in cast(Iterator[Any], run_all(work, options.jobs)):
        trials.append(trial)
        if sys.stderr.isatty():
            print(f"\r{len(trials)}/{len(work)} trials", end="", file=sys.stderr, flush=True)
    report = result_file.header("detection") | {"protocol": PROTOCOL, "seed": options.seed} | method.describe()
    report |= {"views": len(views) if views[0] else "procedural", "alarm": AlarmSettings().model_dump()}
    report |= summarise(trials)
    print_report(report)
    if options.json:
        result_file.write(options.json, report)
    if options.plot:
        pod_plot.draw(report, options.plot)


def held_out(data: Path) -> list[Clip]:
    """The clips of fixed cameras in split val that last long enough."""
    rows = {Path(row["file"]).stem: row for row in clips.index(data, "val")}
    return [
        clip
        for clip in clips.thermal_background(data, "val")
        if float(rows[clip.name]["max_shift_px_per_s"]) <= MOVING and int(rows[clip.name]["frames"]) >= SHORTEST
    ]


def plan(
    trials: int,
    contrasts: Sequence[float],
    sizes: Sequence[float],
    motions: Sequence[Motion],
    views: Sequence[Clip | None],
    seed: int,
) -> list[Case]:
    """`trials` of each combination, and each view without gas under each motion; the views in turn, shuffled."""
    rng = np.random.default_rng(seed)
    grid = list(itertools.product(contrasts, sizes, motions, range(trials)))
    order = np.concatenate([rng.permutation(len(views)) for _ in range(-(-len(grid) // len(views)))])
    cases = [Case(i, cnr, size, motion, views[order[i]]) for i, (cnr, size, motion, _) in enumerate(grid)]
    repeats = 1 if views[0] is not None else trials
    free = itertools.product(motions, views, range(repeats))
    cases += [Case(len(grid) + i, 0.0, 0.0, motion, view) for i, (motion, view, _) in enumerate(free)]
    return sorted(cases, key=lambda case: case.clip.name if case.clip else "")  # one decoding serves many trials


def attempt(case: Case, method: Method, seed: int) -> Trial:
    """Make the clip, play it, see what the alarm says."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, case.number])
    frames, onset = round(SECONDS * FPS), round(ONSET_S * FPS)
    scene = _scene(case.clip, frames, rng)
    own = float(np.median([sigma_between(b, a) for a, b in itertools.pairwise(scene[:30])]))
    gas = None
    if case.cnr:
        noise = max(SIGMA, own)
        gas = release(
            rng, _bank(), scene_size(VIEW), contrast=case.cnr * noise * float(rng.choice((-1, 1))),
            size=case.size, frames=frames, onset=onset, fps=FPS,
        )  # fmt: skip
    camera = plain_camera(rng, _bank(), VIEW, float(np.sqrt(max(SIGMA**2 - own**2, 0.0))))
    played = film(scene, gas, path(rng, case.motion, frames, FPS), camera, VIEW)
    segmenter = _opened(method)
    segmenter.reset()
    return judge(case, played, segmenter, gas)


def judge(case: Case, played: Iterator[tuple[Array, Array]], segmenter: Segmenter, gas: Release | None) -> Trial:
    """Play a clip through pipeline and alarm."""
    shown, truth = itertools.tee(played)
    frames = (Frame(image, i, i / FPS, i / FPS) for i, (image, _) in enumerate(shown))
    state, settings = Condition(), AlarmSettings()
    delay, false = None, 0
    for step, (_, opacity) in zip(process(frames, segmenter, Summariser()), truth, strict=False):
        state, events = condition.step(state, step.summary, settings, camera="trial")
        if any(event.type == "start" for event in events):
            waited = step.summary.captured - gas.onset / FPS if gas else -1.0
            if waited < 0 or not _on_gas(step, opacity):
                false += 1
            elif delay is None:
                delay = waited
    view = case.clip.name if case.clip else "procedural"
    found = delay is not None and delay <= WITHIN_S
    return Trial(case.cnr, case.size, case.motion, view, found, delay, false, state.clock)


def _on_gas(step: Step, opacity: Array) -> bool:
    mask = step.segmentation.mask > 0
    return float(np.mean(opacity[mask] > TRACE)) >= ON_GAS if mask.any() else False


def _scene(clip: Clip | None, frames: int, rng: np.random.Generator) -> list[Array]:
    """(H, W) float32 each, larger than the view."""
    if clip is None:
        return list(procedural(rng, _bank(), scene_size(VIEW), frames).frames)
    return _decoded(clip.source, frames)


@lru_cache(maxsize=1)
def _decoded(source: Path, frames: int) -> list[Array]:
    """Every second frame: footage of 30 frames a second."""
    images = islice(Clip("view", source, clips.GasFree((0, 0))).frames(), 0, 2 * frames, 2)
    return [fitted(frame.image, scene_size(VIEW)) for frame in images]


@lru_cache(maxsize=1)
def _bank() -> NoiseBank:
    """The same in each process, so that a trial is the same wherever it runs."""
    return NoiseBank(np.random.default_rng(0))


@lru_cache(maxsize=1)
def _opened(method: Method) -> Segmenter:
    return open_segmenter(method.name, method.backend, 1)


def summarise(trials: Sequence[Trial]) -> dict[str, Any]:
    """Rates, curves and false alarms of all trials."""
    curves = []
    tried = {(trial.motion, trial.size) for trial in trials if trial.cnr}
    for motion, size in (pair for pair in itertools.product(MOTIONS, sorted({s for _, s in tried})) if pair in tried):
        members = [trial for trial in trials if trial.cnr and (trial.motion, trial.size) == (motion, size)]
        fitted_curve = pod.fit([trial.cnr for trial in members], [trial.detected for trial in members])
        rates = []
        for cnr in sorted({trial.cnr for trial in members}):
            here = [trial for trial in members if trial.cnr == cnr]
            delays = [trial.delay_s for trial in here if trial.detected and trial.delay_s is not None]
            rates.append(
                {
                    "cnr": cnr,
                    "trials": len(here),
                    "detected": sum(trial.detected for trial in here),
                    "median_delay_s": float(np.median(delays)) if delays else None,
                }
            )
        curves.append({"motion": motion, "size": size, "rates": rates} | _jsonable(asdict(fitted_curve)))
    free = [trial for trial in trials if not trial.cnr]
    false = {motion: _false([t for t in free if t.motion == motion]) for motion in MOTIONS}
    return {"curves": curves, "false_alarms": false | {"all": _false(free)}}


def _false(trials: Sequence[Trial]) -> dict[str, float | int | None]:
    hours = sum(trial.believable_s for trial in trials) / 3600
    events = sum(trial.false_events for trial in trials)
    low, high = rate.interval(events, hours) if hours else (0.0, float("nan"))
    return {"trials": len(trials), "events": events, "hours": hours, "low_per_hour": low, "high_per_hour": high}


def _jsonable(value: Any) -> Any:
    """Contrasts beyond every one tried as None: JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    return None if value == float("inf") else value


def print_report(report: dict[str, Any]) -> None:
    """POD by combination, then what it costs in false alarms."""

    def told(point: list[float | None]) -> str:
        best, low, high = ("-" if value is None else f"{value:.2g}" for value in point)
        return f"{best} ({low} to {high})"

    rows: list[list[Cell]] = []
    for curve in report["curves"]:
        rates = " ".join(f"{one['cnr']:g}:{one['detected']}/{one['trials']}" for one in curve["rates"])
        rows.append([f"{curve['motion']}, {curve['size']:.1%} of the view", rates,
                     told(curve["points"]["50"]), told(curve["points"]["90"])])  # fmt: skip
    print(show(["", "contrast-to-noise: detected", "50 % at", "90 % at"], rows))
    found = report["false_alarms"]["all"]
    print(
        f"false alarms on the same views without gas: {found['events']} in {found['hours']:.3g} h "
        f"({found['low_per_hour']:.3g} to {found['high_per_hour']:.3g} an hour)"
    )


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=PROTOCOL, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", help="footage folder (default: $FGSTP_DATA; without either: procedural scenes)")
    add("--model", default="student.int8", help="shipped model or ONNX file")
    add("--backend", default="auto", help="openvino, onnxruntime, cuda, tensorrt or auto")
    add("--trials", type=int, default=12, help="of each combination of contrast, size and motion")
    add("--cnr", type=float, nargs="+", default=CONTRASTS, help="contrast-to-noise ratios")
    add("--size", type=float, nargs="+", default=SIZES, help="plume sizes, share of the view")
    add("--motion", nargs="+", choices=MOTIONS, default=MOTIONS)
    add("--every", type=int, default=1, help="only every n-th clip (for a quick look)")
    add("--seed", type=int, default=1)
    add("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: one per core)")
    add("--json", type=Path, help="write the result here")
    add("--plot", type=Path, help="draw the curves here (PNG)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
