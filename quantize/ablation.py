"""What is each part of the student worth? Variants of it, all trained from scratch at one budget of steps.

    python -m quantize.ablation --data ../shared/data --steps 600 --further 200 --out benchmarks/ablation.json
    python -m quantize.ablation --data ../shared/data --steps 600 --further 200 --only full distilled --seeds 7

It can be cut off at any time and started again, and further processes with the same options take on other runs: each
run goes on from its checkpoint below --work, each finished one is a line in --work.jsonl, and --out is written anew
after each. All variants of one seed learn from the same rendered clips in the same order, and all are judged by the
same ones.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import torch

from calibration import result_file
from edge.contract import load as load_spec
from edge.errors import ConfigError, FgstpError
from edge.mask import logit
from quantize import ablation_table as table
from quantize import gate
from quantize.ablation_plan import Budget, Plan, batches_for, parts, store, stored
from quantize.dataset import Clips, training_batches, validation_batches
from quantize.distill import DistillConfig, load_teacher, taught
from quantize.export import export, load_student
from quantize.int8 import FPS, RolledStates, quantise
from quantize.int8 import rendered as calibration
from quantize.jobs import Job, work_off
from quantize.recipe import TrainConfig
from quantize.rollout import clip_areas
from quantize.train import start, train
from quantize.variants import VARIANTS, Variant, named

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # of probability, of which each network is judged by its best


def render(plan: Plan, seed: int, procedural: bool) -> None:
    """The clips that all runs of a seed learn from."""
    b = plan.budget
    data = None if procedural else plan.data
    stream = {"batch": b.batch, "size": b.size, "frames": b.clip_frames}
    count = batches_for(b, b.steps) + batches_for(b, b.further)
    folder = plan.clips(seed, procedural=procedural)
    store(training_batches(data, seed=seed, workers=0, moving=TrainConfig.moving, **stream), count, folder)


def hold_out(plan: Plan) -> None:
    """The clips that all runs are judged by: still views first, then moving ones."""
    b = plan.budget
    stream = {"batch": b.batch, "size": b.size, "frames": b.validation_frames}
    still = validation_batches(plan.data, **stream, count=b.still)
    moving = validation_batches(plan.data, **stream, count=b.moving, moving=1.0)
    store(iter([*still, *moving]), b.still + b.moving, plan.held_out)


def judged(plan: Plan, network: torch.nn.Module) -> dict[str, Any]:
    """`rollout.areas` of each held-out clip, still and moving, at the threshold that serves the network best: how sure
    it is of itself, which its labels or its teacher taught it, shall not decide between two of them."""
    held, b = list(stored(plan.held_out)), plan.budget
    least = [logit(threshold) for threshold in THRESHOLDS]
    found = clip_areas(network, held, TrainConfig(), autocast=False, least=least).tolist()
    best = max(range(len(found)), key=lambda at: table.iou(found[at]))
    still, moving = found[best][: b.still * b.batch], found[best][b.still * b.batch :]
    return {"threshold": THRESHOLDS[best], "still": still, "moving": moving}


def learn(plan: Plan, variant: Variant, seed: int) -> None:
    """One variant, from the start or from where it was cut off, and its line."""
    options, b = plan.options(variant, seed), plan.budget
    run = start(options, lambda _: variant.build())
    if variant.taught:
        run = taught(run, plan.teacher, DistillConfig())
    if options.out.exists():  # cut off, or only not judged yet
        saved = run.load(options.out, "cpu")
        run.spent, run.done = saved["spent"], saved["done"]
    at = run.done // parts(b) + (batches_for(b, b.steps) if variant.goes_on else 0)
    held = list(stored(plan.held_out))
    folder = plan.clips(seed, procedural=variant.procedural)
    train(run, options, Clips(stored(folder, at), held[:1], held[b.still : b.still + 1]))
    line = {"name": variant.name, "seed": seed, "minutes": run.spent, "steps": run.done, "data": run.data}
    plan.append({**line, **judged(plan, run.ema)})


def judge_teacher(plan: Plan) -> None:
    """The teacher by the same clips."""
    torch.set_num_threads(plan.threads)
    teacher, made_from = load_teacher(plan.teacher, torch.device("cpu"))
    plan.append({"name": "teacher", "seed": None, "made_from": made_from, **judged(plan, teacher)})


def round_off(plan: Plan, seed: int) -> None:
    """INT8 of the whole network as it is, after further steps, and after further steps with rounding."""
    torch.set_num_threads(plan.threads)
    clips = [clip.frames for clip in calibration(plan.data, plan.budget.calibration_clips)]
    held = calibration(plan.data, plan.budget.quantised_clips, "val")
    found = {}
    for name in ("full", "longer", "rounded"):
        student, provenance = load_student(plan.checkpoint(name, seed))
        with tempfile.TemporaryDirectory() as folder:
            full, rounded = (Path(folder) / f"{name}.{precision}.onnx" for precision in ("fp32", "int8"))
            export(student, full, width=320, height=240, threshold=0.5, provenance=provenance)
            quantise(full, rounded, clips)
            looks = RolledStates(load_spec(full)[0], full, [clip.frames for clip in held[:4]], FPS).steps
            lost = gate.loss(full, rounded, held, looks)
        found[name] = {"fp32": lost.iou[0], "int8": lost.iou[1], "logits_db": lost.sqnr["logits"]}
    plan.append({"name": "int8", "seed": seed, "rows": found})


def jobs(plan: Plan, variants: Sequence[Variant], seeds: Sequence[int]) -> list[Job]:
    """All that is to be done, in the order in which it is worth doing: the first seed of everything first."""
    held, finished = plan.held_out, plan.is_finished
    listed = [Job("held-out", held.is_dir, partial(hold_out, plan))]
    for seed in seeds:
        rendered = set()
        for variant in variants:
            clips = plan.clips(seed, procedural=variant.procedural)
            if clips not in rendered:
                rendered.add(clips)
                listed.append(Job(clips.name, clips.is_dir, partial(render, plan, seed, variant.procedural)))
            needs = ("held-out", clips.name, *([f"full-{seed}"] if variant.goes_on else []))
            done, work = partial(finished, variant.name, seed), partial(learn, plan, variant, seed)
            listed.append(Job(f"{variant.name}-{seed}", done, work, needs))
        if any(variant.rounded for variant in variants):
            needs = tuple(f"{name}-{seed}" for name in ("full", "longer", "rounded"))
            listed.append(Job(f"int8-{seed}", partial(finished, "int8", seed), partial(round_off, plan, seed), needs))
    if any(variant.taught for variant in variants):
        done, work = partial(finished, "teacher", None), partial(judge_teacher, plan)
        listed.append(Job("teacher", done, work, ("held-out",)))
    return listed


def same_settings(plan: Plan) -> None:
    """Refuse to mix runs of different budgets, data or teachers. Raises ConfigError."""
    taught_by = hashlib.sha256(plan.teacher.read_bytes()).hexdigest()
    wanted = json.dumps({**asdict(plan.budget), "footage": plan.data is not None, "teacher": taught_by}, indent=1)
    path = plan.work / "settings.json"
    if path.exists() and path.read_text(encoding="utf-8") != wanted:
        raise ConfigError(f"{plan.work}: holds runs with other settings, see {path}; give another --work")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(wanted, encoding="utf-8")


def reported(job: Job, plan: Plan, out: Path, names: Sequence[str]) -> Job:
    """The same job, which says that it begins and leaves the table up to date."""

    def work() -> None:
        print(f"{datetime.now(timezone.utc):%H:%M:%S} {job.name}", flush=True)
        job.work()
        result_file.write(out, table.summary(plan.finished(), asdict(plan.budget), names))

    return replace(job, work=work)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is left to run; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None, help="footage to render over; else procedural scenes alone")
    parser.add_argument("--teacher", type=Path, default=Path("quantize/student.pt"), help="of the distilled variant")
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"), help="folder of clips and checkpoints")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/ablation.json"))
    parser.add_argument("--only", nargs="+", default=[v.name for v in VARIANTS], help="variants, in this order")
    parser.add_argument("--seeds", nargs="+", type=int, default=[7, 8])
    parser.add_argument("--threads", type=int, default=1)
    for each in fields(Budget):
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=type(each.default), default=each.default)
    options = parser.parse_args(argv)
    budget = Budget(**{each.name: getattr(options, each.name) for each in fields(Budget)})
    plan = Plan(budget, options.data, options.teacher, options.work, options.threads)
    try:
        same_settings(plan)
        listed = jobs(plan, [named(name) for name in options.only], options.seeds)
        names = [job.name for job in listed]
        work_off([reported(job, plan, options.out, names) for job in listed], plan.work / "claims")
    except FgstpError as error:
        print(f"quantize.ablation: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
