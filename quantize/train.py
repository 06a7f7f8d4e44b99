"""Train a student or a teacher through time on rendered clips.

python -m quantize.train --data ../shared/data --minutes 60 --out runs/student.pt
python -m quantize.train --data ../shared/data --minutes 30 --out runs/student.pt --resume
python -m quantize.train --data ../shared/data --steps 300 --out runs/student.pt  # the same on a shared machine
python -m quantize.train --data FOOTAGE --minutes 30 --weights quantize/student.pt  # go on from what ships
python -m quantize.train --data FOOTAGE --model base --weights quantize/student.pt  # a bigger one that knows as much
python -m quantize.train --data FOOTAGE --minutes 10 --weights runs/student.pt --rounded --rate 3e-4 --out runs/int8.pt
python -m quantize.train --data FOOTAGE --model teacher --backbone lite0 --out runs/teacher.pt
torchrun --nproc-per-node 2 -m quantize.train --data ../shared/data --threads 1   # one process a core or GPU
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from math import inf
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from edge.errors import ConfigError, FgstpError
from quantize.authors import load_authors
from quantize.dataset import Clips, training_batches, validation_batches
from quantize.models import build, describe, must_match, origin, parameter_groups, revive
from quantize.recipe import CHANGEABLE, RECIPES, TrainConfig
from quantize.rollout import validate
from quantize.rounding import round_convolutions
from quantize.run import Run
from quantize.student import SIZES, Student
from quantize.teacher import BACKBONES
from quantize.widen import widened

SAVE_S, JUDGE_S = 150.0, 600.0  # between two checkpoints, and between two validations, which take as long as 20 steps


def parser(description: str | None = __doc__) -> argparse.ArgumentParser:
    """The options that every kind of training shares."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=(*SIZES, "teacher"), default="small", help="a size of the student, or FGSTP")
    parser.add_argument("--backbone", choices=BACKBONES, default="lite0", help="of the teacher; lite0 knows ImageNet")
    parser.add_argument("--backbone-weights", type=Path, help="published ImageNet weights of a PVTv2 to start from")
    parser.add_argument("--variant", choices=("paper", "authors"), default="paper", help="of the teacher")
    parser.add_argument("--load-authors", type=Path, help="the authors' weights, for --variant authors")
    parser.add_argument("--data", type=Path, default=None, help="footage to render over; else procedural scenes alone")
    parser.add_argument("--out", type=Path, default=Path("runs/student.pt"))
    parser.add_argument("--minutes", type=float, default=60.0, help="length of this run; the rate falls to 0 over it")
    parser.add_argument("--steps", type=int, default=0, help="of the optimiser, instead of --minutes: its length then")
    parser.add_argument("--resume", action="store_true", help="go on from --out, also after a run that was cut short")
    parser.add_argument(
        "--weights", type=Path, help="begin with these, such as quantize/student.pt; a smaller student's grow"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads; leave a core to the rendering process")
    parser.add_argument("--compile", action="store_true", help="a fifth faster after some minutes of compiling")
    parser.add_argument("--rounded", action="store_true", help="learn with the rounding of INT8: for the last minutes")
    parser.add_argument("--workers", type=int, default=1, help="rendering processes")
    for name in CHANGEABLE:
        default = getattr(TrainConfig, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(default), help=f"default: the model's, as {default}"
        )
    return parser


def network(options: argparse.Namespace) -> nn.Module:
    """What the options ask to train, with fresh or published weights. Raises ConfigError or ModelError."""
    authors = options.model == "teacher" and options.variant == "authors"
    if options.load_authors and not authors:
        raise ConfigError("--load-authors goes with --model teacher --variant authors")
    if options.load_authors:
        return load_authors(options.load_authors)
    if options.model != "teacher":
        return build(options.model)
    return build("authors") if authors else build(f"teacher-{options.backbone}", options.backbone_weights)


def start(options: argparse.Namespace, make: Callable[[argparse.Namespace], nn.Module] = network) -> Run:
    """A run of what `make` gives, from fresh weights or --weights. Raises ConfigError or ModelError."""
    device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    if options.threads:
        torch.set_num_threads(options.threads)
    given = {name: getattr(options, name) for name in CHANGEABLE if getattr(options, name) is not None}
    torch.manual_seed(given.get("seed", TrainConfig.seed))
    student = make(options).to(device, memory_format=torch.channels_last)
    config = replace(RECIPES[describe(student)["family"]], **given, rounded=options.rounded)
    if config.rounded:
        round_convolutions(student)
    compiled = torch.compile(student) if options.compile else student
    optimiser = torch.optim.AdamW(parameter_groups(student), lr=config.rate, weight_decay=config.decay)
    data = "thermal_background and aerial_thermal_stills, split train" if options.data else "procedural scenes"
    data = f"rendered plumes over {data}" + (f"; begun with {origin(student)}" if origin(student) else "")
    ema = deepcopy(student).eval()
    run = Run(config, options.minutes, data, student, ema, compiled, optimiser, planned=options.steps)
    if options.weights:
        begin(run, options.weights, device)
    return run


def begin(run: Run, path: Path, device: str) -> None:
    """Put a checkpoint's averaged weights into a run; those of a smaller student are widened. Raises ConfigError or
    ModelError."""
    saved = torch.load(path, map_location=device, weights_only=True)
    weights, held = saved["ema"], saved.get("model", {})
    if isinstance(run.student, Student) and held.get("name") in SIZES and held["name"] != run.student.config.name:
        weights = widened(weights, revive(saved, path).config, run.student)
        run.widened = held["name"]
    must_match(weights, run.student, path)
    for network in (run.student, run.ema):
        network.load_state_dict(weights)
    run.steps, run.history = saved["steps"], tuple(saved["provenance"]["runs"])


def rendered(run: Run, options: argparse.Namespace, rank: int) -> Clips:
    """Rendered on the fly, other ones after each start; validation in the first process alone."""
    config = run.config
    stream = {"size": config.size, "frames": config.clip_frames, "batch": config.batch}
    seed = config.seed + run.steps + 104_729 * rank
    return Clips(
        training_batches(options.data, seed=seed, workers=options.workers, moving=config.moving, **stream),
        validation_batches(options.data, **stream) if rank == 0 else [],
        validation_batches(options.data, **stream, count=2, moving=1.0) if rank == 0 else [],
    )


def any_done(done: bool) -> bool:
    """Whether the first process says that the budget is spent; all must stop at the same step."""
    if not dist.is_initialized():
        return done
    flag = torch.tensor(float(done))
    dist.broadcast(flag, 0)
    return bool(flag)


def train(run: Run, options: argparse.Namespace, clips: Clips | None = None) -> None:
    """Learn until the budget is spent; save on the way."""
    if options.resume:
        run.load(options.out, next(run.student.parameters()).device)
    config, rank = run.config, dist.get_rank() if dist.is_initialized() else 0
    clips = clips or rendered(run, options, rank)
    begun = last = time.monotonic()
    judged = -inf
    already = run.spent
    smooth: list[float] = []
    while not any_done(run.share() >= 1.0):
        for seen in run.learn(next(clips.learned)):
            smooth = [0.98 * old + 0.02 * new for old, new in zip(smooth or seen, seen, strict=True)]
        run.spent = already + (time.monotonic() - begun) / 60
        if rank == 0 and (time.monotonic() - last > SAVE_S or run.share() >= 1.0):
            if time.monotonic() - judged > JUDGE_S or run.share() >= 1.0:
                run.score, run.score_moving = (
                    validate(run.ema, held, config, autocast=True) for held in (clips.still, clips.moving)
                )
                judged = time.monotonic()
            run.save(options.out)
            last = time.monotonic()
            loss, both, union = smooth
            print(
                f"{run.spent:6.1f} min  step {run.steps:6d}  loss {loss:.3f}  "
                f"IoU {both / max(union, 1):.3f}  validation IoU {run.score:.3f}  "
                f"moving {run.score_moving:.3f}",
                flush=True,
            )


def main() -> None:
    options = parser().parse_args()
    train(start(options), options)


if __name__ == "__main__":
    try:
        main()
    except FgstpError as error:
        print(f"quantize.train: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
