"""A run of training: the network with the average of its weights, its optimiser, its budget, and how it goes on."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from quantize.dataset import Batch
from quantize.models import describe, must_match
from quantize.recipe import TrainConfig
from quantize.rollout import Past, batch_loss


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
