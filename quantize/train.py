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
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from math import cos, inf, pi
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from edge.errors import ConfigError, FgstpError
from quantize.authors import load_authors
from quantize.dataset import Batch, Clips, training_batches, validation_batches
from quantize.models import build, describe, must_match, origin, parameter_groups, revive
from quantize.recipe import CHANGEABLE, RECIPES, TrainConfig
from quantize.rollout import Past, batch_loss, validate
from quantize.rounding import round_convolutions
from quantize.student import SIZES, Student
from quantize.teacher import BACKBONES
from quantize.widen import widened

SAVE_S, JUDGE_S = 150.0, 600.0  # between two checkpoints, and between two validations, which take as long as 20 steps


def average(ema: nn.Module, student: nn.Module, rate: float) -> None:
    """Move the running average of weights and batch-norm statistics towards the student."""
    with torch.no_grad():
        for mean, value in zip(ema.state_dict().values(), student.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1.0 - rate)
            else:
                mean.copy_(value)


def share_gradients(parameters: list[nn.Parameter]) -> None:
    """Average the gradients over all processes of a torchrun, one message a step: the student is small, and it runs
    many times before each backward pass, which is what a DDP wrapper's hooks are not made for."""
    if dist.is_initialized():
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        for gradient, mean in zip(
            gradients, (flat / dist.get_world_size()).split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(mean.view_as(gradient))


def any_done(done: bool) -> bool:
    """Whether the first process says that the budget is spent; all must stop at the same step."""
    if not dist.is_initialized():
        return done
    flag = torch.tensor(float(done))
    dist.broadcast(flag, 0)
    return bool(flag)


def commit() -> str:
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return head.stdout.strip() or "unknown"


@dataclass
class Run:
    """Everything that a checkpoint holds."""

    config: TrainConfig
    minutes: float  # planned
    data: str
    student: nn.Module
    ema: nn.Module
    compiled: nn.Module  # the student, or a compiled form of it
    optimiser: torch.optim.Optimizer
    steps: int = 0
    spent: float = 0.0  # minutes
    score: float = 0.0  # validation IoU of the averaged weights, still views
    score_moving: float = 0.0  # the same of moving ones
    planned: int = 0  # steps, which are the budget then and not the minutes; 0: the minutes are
    done: int = 0  # steps of this run alone
    history: tuple[dict[str, object], ...] = ()  # earlier runs on the same weights
    memory: Tensor | None = None  # what the last batch left behind
    widened: str = ""  # which smaller student's weights it began with

    def save(self, path: Path) -> None:
        checkpoint = {
            "student": self.student.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "spent": self.spent,
            "minutes": self.minutes,
            "done": self.done,
            "planned": self.planned,
            "share": self.share(),
            "provenance": self.provenance(),
            "model": describe(self.student),
            **self.extra(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        torch.save(checkpoint, partial)
        partial.replace(path)

    def provenance(self) -> dict[str, object]:
        """How the weights came to be, up to now."""
        runs = [*self.history, self.record()]
        name = describe(self.student)["name"]
        scores = {"validation_iou": round(self.score, 4), "validation_iou_moving": round(self.score_moving, 4)}
        return {"model": name, "data": self.data, "runs": runs, **scores}

    def record(self) -> dict[str, object]:
        """This run, for the provenance."""
        budget = {"planned_steps": self.planned} if self.planned else {"minutes": self.minutes}
        begun = {"widened_from": self.widened} if self.widened else {}
        return {**asdict(self.config), **begun, **budget, "steps": self.steps, "commit": commit()}

    def extra(self) -> dict[str, object]:
        """What else a kind of run keeps in its checkpoint."""
        return {}

    def learned(self) -> list[nn.Parameter]:
        """What the optimiser moves."""
        return list(self.student.parameters())

    def load(self, path: Path, device: str) -> dict[str, Any]:
        """Go on from `path`: with the rest of a run that was cut short, else with a new run on its weights. Gives what
        the checkpoint holds."""
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        must_match(saved["student"], self.student, path)
        self.student.load_state_dict(saved["student"])
        self.ema.load_state_dict(saved["ema"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.steps, self.history = saved["steps"], tuple(saved["provenance"]["runs"])
        if saved.get("share", saved["spent"] / saved["minutes"]) < 1.0:  # once there were no budgets but minutes
            self.spent, self.minutes, self.history = saved["spent"], saved["minutes"], self.history[:-1]
            self.done, self.planned = saved.get("done", 0), saved.get("planned", 0)
        return saved

    def share(self) -> float:
        """How much of the budget is spent; 1 or more: all of it."""
        return self.done / self.planned if self.planned else self.spent / self.minutes

    def rate(self) -> float:
        """Cosine over the budget, after a short warm-up: an optimiser that has seen little takes noise for slopes, and
        would shake weights that have learned as much as fresh ones."""
        warm_up = min(200, max(1, self.planned // 10)) if self.planned else 200
        warm = min(1.0, (self.done + 1) / warm_up)
        return self.config.rate * warm * max(0.01, 0.5 * (1 + cos(pi * min(1.0, self.share()))))

    def stray_memory(self) -> Tensor | None:
        """Memory to start with: of another clip for some, empty for the others. A camera that has once been wrong must
        find its way back, and clips are too short to show that."""
        if self.memory is None:
            return None
        kept = torch.rand(len(self.memory), 1, 1, 1) < self.config.stray_memory
        return self.memory.roll(1, 0) * kept.to(self.memory)

    def learn(self, batch: Batch) -> list[tuple[float, float, float]]:
        """Learn from clips, part by part, to their end or that of the planned steps; loss, intersection and union of
        each part."""
        self.student.train()
        past, seen = Past.none(self.student, batch, self.stray_memory()), []
        for part in batch.parts(self.config.frames):
            figures, past = self.step(part, past)
            seen.append(figures)
            if self.done == self.planned:
                break
        self.memory = past.memories[-1].detach()
        return seen

    def step(self, batch: Batch, past: Past) -> tuple[tuple[float, float, float], Past]:
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate() * group.get("share", 1.0)
        loss, both, union, after = self.loss(batch, past)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        share_gradients(self.learned())
        torch.nn.utils.clip_grad_norm_(self.learned(), 2.0)
        self.optimiser.step()
        self.steps, self.done = self.steps + 1, self.done + 1
        average(self.ema, self.student, min(self.config.ema, (self.steps + 1) / (self.steps + 20)))
        return (loss.item(), float(both), float(union)), after

    def loss(self, batch: Batch, past: Past) -> tuple[Tensor, Tensor, Tensor, Past]:
        """What `step` goes down, as `batch_loss` gives it."""
        return batch_loss(self.compiled, batch, past, self.config, autocast=True)


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
