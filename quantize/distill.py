"""Distil a student from a teacher, or from a bigger student, on rendered clips.

python -m quantize.distill --teacher runs/teacher.pt --data ../shared/data --minutes 60 --out runs/distilled.pt
python -m quantize.distill --teacher runs/teacher.pt --data ../shared/data --out runs/distilled.pt --resume
torchrun --nproc-per-node 2 -m quantize.distill --teacher runs/teacher.pt --data ../shared/data --threads 1

Everything of quantize.train holds: hard labels count in full, and the teacher's opinion comes on top.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import FgstpError, ModelError
from quantize.dataset import Batch
from quantize.models import revive
from quantize.rollout import Past, mask_figures, roll, stacked
from quantize.run import Run
from quantize.train import parser, start, train


@dataclass(frozen=True)
class DistillConfig:
    """How much the teacher's opinion counts beside the labels, which count 1."""

    temperature: float = 2.0
    logit_weight: float = 1.0
    feature_weight: float = 0.2
    change_weight: float = 0.5


def logit_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence from the teacher's pixels to the student's, both softened; 0 where they agree. Times
    the temperature's square, so that its gradient keeps its size."""
    soft = torch.sigmoid(teacher / temperature)
    cross = F.binary_cross_entropy_with_logits(student / temperature, soft)
    own = F.binary_cross_entropy_with_logits(teacher / temperature, soft)
    return (cross - own) * temperature**2


def feature_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """One minus the cosine between features (T, N, C, h, w), over all places."""
    return 1.0 - F.cosine_similarity(student, teacher, dim=2).mean()


def change_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Do both change alike from frame to frame? Logits (T, N, 1, h, w); mean difference of the steps in probability."""
    if len(student) < 2:
        return student.sum() * 0.0
    return (torch.sigmoid(student).diff(dim=0) - torch.sigmoid(teacher).diff(dim=0)).abs().mean()


@dataclass
class Distillation(Run):
    """A run of training with a teacher beside the student, frozen, with a past of its own."""

    teacher: nn.Module = field(kw_only=True)
    made_from: dict[str, object] = field(kw_only=True)  # the teacher, for the provenance
    settings: DistillConfig = field(kw_only=True)
    projection: nn.Conv2d = field(init=False)  # the student's bottleneck, as wide as the teacher's
    teacher_past: Past = field(init=False)

    def __post_init__(self) -> None:
        frame = next(self.student.parameters()).new_zeros(1, 1, 256, 256)
        narrow, wide = (width(network, frame) for network in (self.student, self.teacher))
        self.projection = nn.Conv2d(narrow, wide, 1).to(frame.device)
        self.optimiser.add_param_group({"params": list(self.projection.parameters()), "lr": self.config.rate})

    def learned(self) -> list[nn.Parameter]:
        return [*super().learned(), *self.projection.parameters()]

    def learn(self, batch: Batch) -> list[tuple[float, float, float]]:
        self.teacher_past = Past.none(self.teacher, batch)
        return super().learn(batch)

    def loss(self, batch: Batch, past: Past) -> tuple[Tensor, Tensor, Tensor, Past]:
        with torch.no_grad():
            taught, self.teacher_past = roll(self.teacher, batch, self.teacher_past, autocast=True)
        steps, after = roll(self.compiled, batch, past, autocast=True)
        logits = stacked(steps, "logits")
        sides = [stacked(steps, name) for name in steps[0] if name.startswith("side")]
        hard, both, union = mask_figures(logits, sides, batch, self.config)
        return hard + self.opinion(logits, steps, taught), both, union, after

    def opinion(self, logits: Tensor, steps: list[dict[str, Tensor]], taught: list[dict[str, Tensor]]) -> Tensor:
        """What it costs to differ from the teacher."""
        said, wanted = stacked(steps, "bottleneck"), stacked(taught, "bottleneck")
        projected = self.projection(said.flatten(0, 1)).view_as(wanted)
        target = stacked(taught, "logits")
        return (
            self.settings.logit_weight * logit_loss(logits, target, self.settings.temperature)
            + self.settings.feature_weight * feature_loss(projected, wanted)
            + self.settings.change_weight * change_loss(logits, target)
        )

    def record(self) -> dict[str, object]:
        return {**super().record(), "teacher": self.made_from, "distillation": asdict(self.settings)}

    def extra(self) -> dict[str, object]:
        return {"projection": self.projection.state_dict()}

    def load(self, path: Path, device: str) -> dict[str, Any]:
        if "projection" not in torch.load(path, map_location="cpu", weights_only=True):
            raise ModelError(f"{path}: is no distillation that could go on; begin from it with other weights instead")
        saved = super().load(path, device)
        self.projection.load_state_dict(saved["projection"])
        return saved


def taught(run: Run, teacher: Path, settings: DistillConfig) -> Distillation:
    """The same run with a teacher, a checkpoint of quantize.train, beside the student. Raises ModelError."""
    network, made_from = load_teacher(teacher, next(run.student.parameters()).device)
    parts = {each.name: getattr(run, each.name) for each in fields(Run)}
    return Distillation(**parts, teacher=network, made_from=made_from, settings=settings)


def width(network: nn.Module, frame: Tensor) -> int:
    """Channels of a network's bottleneck."""
    learns = network.training
    with torch.no_grad():
        step = network.eval()(frame, frame.new_zeros(len(frame), 2), **network.states(frame))
    network.train(learns)
    return int(step["bottleneck"].shape[1])


def load_teacher(path: Path, device: torch.device) -> tuple[nn.Module, dict[str, object]]:
    """The network with the averaged weights of a checkpoint, frozen, and what to say of it. Raises ModelError."""
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: no such checkpoint of a teacher; train one with quantize.train") from error
    teacher = revive(saved, path).to(device, memory_format=torch.channels_last)
    teacher.load_state_dict(saved["ema"])
    freeze(teacher.eval().parameters())
    return teacher, {
        "model": teacher.config.name,
        "data": saved["provenance"]["data"],
        "steps": saved["steps"],
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "validation_iou": saved["provenance"].get("validation_iou"),
    }


def freeze(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.requires_grad_(False)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--teacher", type=Path, required=True, help="a checkpoint of quantize.train")
    for each in fields(DistillConfig):
        options.add_argument(f"--{each.name.replace('_', '-')}", type=float, default=each.default)
    chosen = options.parse_args()
    settings = DistillConfig(**{each.name: getattr(chosen, each.name) for each in fields(DistillConfig)})
    train(taught(start(chosen), chosen.teacher, settings), chosen)


if __name__ == "__main__":
    try:
        main()
    except FgstpError as error:
        print(f"quantize.distill: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
