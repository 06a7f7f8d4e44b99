"""Train the student through time on rendered clips.

python -m quantize.train --data ../shared/data --minutes 60 --out runs/student.pt
python -m quantize.train --data ../shared/data --minutes 30 --out runs/student.pt --resume
"""

from __future__ import annotations

import argparse
import subprocess
import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path

import torch
from torch import Tensor

from quantize.dataset import Batch, training_batches, validation_batches
from quantize.losses import mask_loss, shrink
from quantize.student import Student


@dataclass(frozen=True)
class TrainConfig:
    """The committed recipe; the shipped weights name it in their provenance."""

    seed: int = 7
    batch: int = 8
    frames: int = 12
    size: int = 160
    rate: float = 3e-3
    decay: float = 1e-4
    ema: float = 0.998
    side_weight: float = 0.3


def unroll(student: Student, batch: Batch, *, autocast: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (T, N, 1, h, w) at 1/2, 1/4 and 1/8 of a batch's frames, state carried as the ring would."""
    device = next(student.parameters()).device
    frames = batch.frames.to(device).float() / 255.0
    states = student.states(frames[0])
    background, memory = batch.background.to(device), states["memory"]
    age = batch.age.to(device)
    keys: list[Tensor] = []
    steps: list[dict[str, Tensor]] = []
    for t, frame in enumerate(frames):
        since = age + t * batch.interval
        clock = torch.stack((torch.full_like(since, batch.interval if t else 0.0), since), dim=1)
        past = {"background": background, "memory": memory}
        for name, lag in zip(("short", "long"), batch.steps_per_lag, strict=True):
            known = t >= lag
            past[f"frame_{name}"] = frames[t - lag] if known else frame
            past[f"key_{name}"] = keys[t - lag] if known else states[f"key_{name}"]
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            step = student(frame, clock, **past)
        keys.append(step["key"])
        background, memory = step["background_next"].detach().float(), step["memory_next"].float()
        steps.append(step)
    return tuple(torch.stack([s[name].float() for s in steps]) for name in ("logits", "side4", "side8"))  # type: ignore[return-value]


def batch_loss(student: Student, batch: Batch, config: TrainConfig, *, autocast: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, and the intersection and union of the masks at probability 0.5."""
    logits, *sides = unroll(student, batch, autocast=autocast)
    masks = batch.masks.to(logits.device)
    target = shrink(masks, logits)
    loss = mask_loss(logits, target)
    for side in sides:
        loss = loss + config.side_weight * mask_loss(side, shrink(masks, side))
    said, true = logits > 0, target > 0.5
    return loss, (said & true).sum(), (said | true).sum()


def validate(student: Student, batches: list[Batch], config: TrainConfig, *, autocast: bool) -> float:
    """IoU summed over the validation clips."""
    student.eval()
    both = union = 0
    with torch.no_grad():
        for batch in batches:
            _, i, u = batch_loss(student, batch, config, autocast=autocast)
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


def commit() -> str:
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return head.stdout.strip() or "unknown"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=None, help="footage to render over; procedural scenes alone without it"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/student.pt"))
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="length of this run; the learning rate falls to 0 over it"
    )
    parser.add_argument(
        "--resume", action="store_true", help="start from the weights in --out; a run cut short goes on"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="rendering processes")
    parser.add_argument("--rate", type=float, default=TrainConfig.rate)
    parser.add_argument("--frames", type=int, default=TrainConfig.frames)
    parser.add_argument("--size", type=int, default=TrainConfig.size)
    parser.add_argument("--batch", type=int, default=TrainConfig.batch)
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    return parser.parse_args()


def main() -> None:
    options = parse()
    config = TrainConfig(
        seed=options.seed, batch=options.batch, frames=options.frames, size=options.size, rate=options.rate
    )
    device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(config.seed)
    student = Student().to(device)
    ema = deepcopy(student).eval()
    optimiser = torch.optim.AdamW(student.parameters(), lr=config.rate, weight_decay=config.decay)
    history: list[dict[str, object]] = []
    steps, spent = 0, 0.0
    if options.resume:
        saved = torch.load(options.out, map_location=device, weights_only=True)
        student.load_state_dict(saved["student"])
        ema.load_state_dict(saved["ema"])
        optimiser.load_state_dict(saved["optimiser"])
        steps, history = saved["steps"], saved["provenance"]["runs"]
        if saved["spent"] < saved["minutes"]:  # it was cut short: go on where it stopped
            spent, options.minutes = saved["spent"], saved["minutes"]
            history = history[:-1]
    batches = training_batches(
        options.data,
        seed=config.seed + steps,
        batch=config.batch,
        size=config.size,
        frames=config.frames,
        workers=options.workers,
    )
    held_out = validation_batches(options.data, size=config.size, frames=config.frames)
    options.out.parent.mkdir(parents=True, exist_ok=True)

    def save() -> None:
        run = {**asdict(config), "minutes": options.minutes, "steps": steps, "commit": commit()}
        data = (
            "rendered plumes over thermal_background and aerial_thermal_stills, split train"
            if options.data
            else "procedural"
        )
        checkpoint = {
            "student": student.state_dict(),
            "ema": ema.state_dict(),
            "optimiser": optimiser.state_dict(),
            "steps": steps,
            "spent": spent,
            "minutes": options.minutes,
            "provenance": {"data": data, "runs": [*history, run], "validation_iou": round(score, 4)},
        }
        partial = options.out.with_suffix(".part")
        torch.save(checkpoint, partial)
        partial.replace(options.out)

    score = 0.0
    begun = last = time.monotonic()
    already = spent
    loss_mean, both, union = 0.0, 0.0, 1.0
    while spent < options.minutes:
        progress = spent / options.minutes
        warm = min(1.0, (steps + 1) / 200) if not history else 1.0
        for group in optimiser.param_groups:
            group["lr"] = config.rate * warm * max(0.01, 0.5 * (1 + cos(pi * progress)))
        student.train()
        loss, i, u = batch_loss(student, next(batches), config, autocast=True)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 2.0)
        optimiser.step()
        steps += 1
        average(ema, student, min(config.ema, (steps + 1) / (steps + 20)))
        loss_mean = 0.98 * loss_mean + 0.02 * loss.item() if loss_mean else loss.item()
        both, union = 0.98 * both + 0.02 * float(i), 0.98 * union + 0.02 * float(u)
        spent = already + (time.monotonic() - begun) / 60
        if time.monotonic() - last > 150 or spent >= options.minutes:
            last = time.monotonic()
            score = validate(ema, held_out, config, autocast=True)
            save()
            print(
                f"{spent:6.1f} min  step {steps:6d}  loss {loss_mean:.3f}  IoU {both / union:.3f}  validation IoU {score:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
