"""Train the student through time on rendered clips.

python -m quantize.train --data ../shared/data --minutes 60 --out runs/student.pt
python -m quantize.train --data ../shared/data --minutes 30 --out runs/student.pt --resume
python -m quantize.train --data FOOTAGE --minutes 30 --weights quantize/student.pt  # go on from what ships
torchrun --nproc-per-node 2 -m quantize.train --data ../shared/data --threads 1   # one process a core or GPU
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from quantize.dataset import Batch, training_batches, validation_batches
from quantize.losses import mask_loss, targets
from quantize.student import Student


@dataclass(frozen=True)
class TrainConfig:
    """The committed recipe; the shipped weights name it in their provenance."""

    seed: int = 7
    batch: int = 8
    frames: int = 12  # between two steps of the optimiser
    clip_frames: int = 60  # of a rendered clip: long enough to live with one's own mistakes
    size: int = 160
    rate: float = 3e-3
    decay: float = 1e-4
    ema: float = 0.998
    side_weight: float = 0.3
    stray_memory: float = 0.4  # share of clips that start with what another clip left behind


CHANGEABLE = ("seed", "batch", "frames", "clip_frames", "size", "rate")  # from the command line


@dataclass(frozen=True)
class Past:
    """What the frames so far have left behind: the ring's content, for a batch of clips."""

    frames: Tensor  # (L, N, 1, H, W) float32, the last ones, no more than the long lag wants
    keys: tuple[Tensor, ...]  # of the same frames
    memories: tuple[Tensor, ...]  # of the same frames
    background: Tensor
    stray: Tensor  # what is remembered before the first frame
    steps: int = 0

    @classmethod
    def none(cls, student: Student, batch: Batch, memory: Tensor | None = None) -> Past:
        """Before the first frame; `memory` is what a clip may wrongly remember."""
        device = next(student.parameters()).device
        background = batch.background.to(device)
        if memory is None:
            memory = student.states(background)["memory"]
        return cls(background.new_zeros(0, *background.shape), (), (), background, memory)


def unroll(student: Student, batch: Batch, past: Past, *, autocast: bool) -> tuple[Tensor, Tensor, Tensor, Past]:
    """Logits (T, N, 1, h, w) at 1/2, 1/4 and 1/8 of a batch's frames, state carried as the ring would, and the past for
    the frames that follow; no gradient goes back beyond the first frame."""
    device = past.background.device
    frames = torch.cat((past.frames, batch.frames.to(device).float() / 255.0))
    background, empty = past.background, {**student.states(frames[0]), "memory": past.stray.detach()}
    keys, memories = ([tensor.detach() for tensor in kept] for kept in (past.keys, past.memories))
    if student.training:  # one graph for the first steps and the later ones
        for tensor in (*keys, *memories, *(empty[name] for name in ("memory", "key_short", "key_long"))):
            tensor.requires_grad_()
    age, short = batch.age.to(device), batch.steps_per_lag[0]
    steps: list[dict[str, Tensor]] = []
    for t in range(len(batch.frames)):
        now, at = past.steps + t, len(past.frames) + t
        since = age + now * batch.interval
        clock = torch.stack((torch.full_like(since, batch.interval if now else 0.0), since), dim=1)
        states = {"background": background, "memory": memories[at - short] if at >= short else empty["memory"]}
        for name, lag in zip(("short", "long"), batch.steps_per_lag, strict=True):
            states[f"frame_{name}"] = frames[at - lag] if at >= lag else frames[at]
            states[f"key_{name}"] = keys[at - lag] if at >= lag else empty[f"key_{name}"]
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            step = student(frames[at], clock, **states)
        keys.append(step["key"])
        memories.append(step["memory_next"].float())
        background = step["background_next"].detach().float()
        steps.append(step)
    full, quarter, eighth = (torch.stack([s[name].float() for s in steps]) for name in ("logits", "side4", "side8"))
    longest = batch.steps_per_lag[1]
    kept = tuple(keys[-longest:]), tuple(memories[-longest:])
    after = Past(frames[-longest:], *kept, background, past.stray, past.steps + len(batch.frames))
    return full, quarter, eighth, after


def batch_loss(
    student: Student, batch: Batch, past: Past, config: TrainConfig, *, autocast: bool
) -> tuple[Tensor, Tensor, Tensor, Past]:
    """Loss, the intersection and union of the masks at probability 0.5, and the past for the next frames."""
    logits, *sides, after = unroll(student, batch, past, autocast=autocast)
    masks = batch.masks.to(logits.device)
    loss = mask_loss(logits, masks) + config.side_weight * sum(mask_loss(side, masks) for side in sides)
    target, known = targets(masks, logits)
    said, true = (logits > 0) & (known > 0), target > 0.5
    return loss, (said & true).sum(), (said | true).sum(), after


def validate(student: Student, batches: list[Batch], config: TrainConfig, *, autocast: bool) -> float:
    """IoU summed over the validation clips."""
    student.eval()
    both = union = 0
    with torch.no_grad():
        for batch in batches:
            past = Past.none(student, batch)
            for part in batch.parts(config.frames):
                _, i, u, past = batch_loss(student, part, past, config, autocast=autocast)
                both, union = both + int(i), union + int(u)
    return both / max(union, 1)


def average(ema: Student, student: Student, rate: float) -> None:
    """Move the running average of weights and batch-norm statistics towards the student."""
    with torch.no_grad():
        for mean, value in zip(ema.state_dict().values(), student.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1.0 - rate)
            else:
                mean.copy_(value)


def share_gradients(student: Student) -> None:
    """Average the gradients over all processes of a torchrun, one message a step: the student is small, and it runs
    many times before each backward pass, which is what a DDP wrapper's hooks are not made for."""
    if dist.is_initialized():
        gradients = [p.grad for p in student.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        for gradient, mean in zip(
            gradients, (flat / dist.get_world_size()).split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(mean.view_as(gradient))


def any_done(done: bool) -> bool:
    """Whether the first process says that the time is up; all must stop at the same step."""
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
    student: Student
    ema: Student
    compiled: Student  # the student, or a compiled form of it
    optimiser: torch.optim.Optimizer
    steps: int = 0
    spent: float = 0.0  # minutes
    score: float = 0.0  # validation IoU of the averaged weights
    history: tuple[dict[str, object], ...] = ()  # earlier runs on the same weights
    memory: Tensor | None = None  # what the last batch left behind

    def save(self, path: Path) -> None:
        this = {**asdict(self.config), "minutes": self.minutes, "steps": self.steps, "commit": commit()}
        checkpoint = {
            "student": self.student.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "spent": self.spent,
            "minutes": self.minutes,
            "provenance": {"data": self.data, "runs": [*self.history, this], "validation_iou": round(self.score, 4)},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        torch.save(checkpoint, partial)
        partial.replace(path)

    def load(self, path: Path, device: str) -> None:
        """Go on from `path`: with the rest of a run that was cut short, else with a new run on its weights."""
        saved = torch.load(path, map_location=device, weights_only=True)
        self.student.load_state_dict(saved["student"])
        self.ema.load_state_dict(saved["ema"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.steps, self.history = saved["steps"], tuple(saved["provenance"]["runs"])
        if saved["spent"] < saved["minutes"]:
            self.spent, self.minutes, self.history = saved["spent"], saved["minutes"], self.history[:-1]

    def rate(self) -> float:
        """Cosine over the planned minutes, after a short warm-up of fresh weights."""
        warm = 1.0 if self.history else min(1.0, (self.steps + 1) / 200)
        return self.config.rate * warm * max(0.01, 0.5 * (1 + cos(pi * self.spent / self.minutes)))

    def stray_memory(self) -> Tensor | None:
        """Memory to start with: of another clip for some, empty for the others. A camera that has once been wrong must
        find its way back, and clips are too short to show that."""
        if self.memory is None:
            return None
        kept = torch.rand(len(self.memory), 1, 1, 1) < self.config.stray_memory
        return self.memory.roll(1, 0) * kept.to(self.memory)

    def learn(self, batch: Batch) -> list[tuple[float, float, float]]:
        """Learn from whole clips, part by part; loss, intersection and union of each."""
        self.student.train()
        past, seen = Past.none(self.student, batch, self.stray_memory()), []
        for part in batch.parts(self.config.frames):
            figures, past = self.step(part, past)
            seen.append(figures)
        self.memory = past.memories[-1].detach()
        return seen

    def step(self, batch: Batch, past: Past) -> tuple[tuple[float, float, float], Past]:
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        loss, both, union, after = batch_loss(self.compiled, batch, past, self.config, autocast=True)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        share_gradients(self.student)
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 2.0)
        self.optimiser.step()
        self.steps += 1
        average(self.ema, self.student, min(self.config.ema, (self.steps + 1) / (self.steps + 20)))
        return (loss.item(), float(both), float(union)), after


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None, help="footage to render over; else procedural scenes alone")
    parser.add_argument("--out", type=Path, default=Path("runs/student.pt"))
    parser.add_argument("--minutes", type=float, default=60.0, help="length of this run; the rate falls to 0 over it")
    parser.add_argument("--resume", action="store_true", help="go on from --out, also after a run that was cut short")
    parser.add_argument("--weights", type=Path, help="begin with these weights, such as the shipped quantize/student.pt")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads; leave a core to the rendering process")
    parser.add_argument("--compile", action="store_true", help="a third faster after some minutes of compiling")
    parser.add_argument("--workers", type=int, default=1, help="rendering processes")
    for name in CHANGEABLE:
        default = getattr(TrainConfig, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser.parse_args()


def start(options: argparse.Namespace) -> Run:
    device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    config = TrainConfig(**{name: getattr(options, name) for name in CHANGEABLE})
    student = Student().to(device, memory_format=torch.channels_last)
    compiled = torch.compile(student) if options.compile else student
    optimiser = torch.optim.AdamW(student.parameters(), lr=config.rate, weight_decay=config.decay)
    data = "thermal_background and aerial_thermal_stills, split train" if options.data else "procedural scenes"
    run = Run(
        config, options.minutes, f"rendered plumes over {data}", student, deepcopy(student).eval(), compiled, optimiser
    )
    if options.weights:
        weights = torch.load(options.weights, map_location=device, weights_only=True)
        student.load_state_dict(weights["ema"])
        run.ema.load_state_dict(weights["ema"])
        run.steps, run.history = weights["steps"], tuple(weights["provenance"]["runs"])
    if options.resume:
        run.load(options.out, device)
    return run


def main() -> None:
    options = parse()
    run = start(options)
    config, rank = run.config, dist.get_rank() if dist.is_initialized() else 0
    stream = {"size": config.size, "frames": config.clip_frames, "batch": config.batch}
    seed = config.seed + run.steps + 104_729 * rank
    batches = training_batches(options.data, seed=seed, workers=options.workers, **stream)
    held_out = validation_batches(options.data, **stream) if rank == 0 else []
    begun = last = time.monotonic()
    already = run.spent
    smooth: list[float] = []
    while not any_done(run.spent >= run.minutes):
        for seen in run.learn(next(batches)):
            smooth = [0.98 * old + 0.02 * new for old, new in zip(smooth or seen, seen, strict=True)]
        run.spent = already + (time.monotonic() - begun) / 60
        if rank == 0 and (time.monotonic() - last > 150 or run.spent >= run.minutes):
            last = time.monotonic()
            run.score = validate(run.ema, held_out, config, autocast=True)
            run.save(options.out)
            loss, both, union = smooth
            print(
                f"{run.spent:6.1f} min  step {run.steps:6d}  loss {loss:.3f}  "
                f"IoU {both / max(union, 1):.3f}  validation IoU {run.score:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
