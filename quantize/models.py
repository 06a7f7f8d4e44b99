"""Every network that this project trains or loads, by name; what a checkpoint says of the one that it holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge.errors import ConfigError, ModelError
from quantize.authors import Authors, AuthorsConfig
from quantize.pvt import PVTConfig
from quantize.student import SIZES, Student, StudentConfig
from quantize.teacher import BACKBONES, Teacher, TeacherConfig

FAMILIES = {
    "student": (Student, StudentConfig),
    "teacher": (Teacher, TeacherConfig),
    "authors": (Authors, AuthorsConfig),
}
NAMES = (*SIZES, *(f"teacher-{backbone}" for backbone in BACKBONES), "authors")


def build(name: str, backbone: Path | None = None) -> nn.Module:
    """A network with fresh weights; a teacher over lite0 starts from ImageNet, one over PVTv2 from the file `backbone`
    if given. Raises ConfigError for an unknown name."""
    if name in SIZES:
        return Student(SIZES[name])
    if name == "authors":
        return Authors()
    if name not in NAMES:
        raise ConfigError(f"model '{name}' is unknown; choose one of {', '.join(NAMES)}")
    teacher = Teacher(TeacherConfig(backbone=name.removeprefix("teacher-")))
    teacher.encoder.start_from_imagenet(backbone)
    return teacher


def describe(network: nn.Module) -> dict[str, Any]:
    """What a checkpoint says of its network: plain values, enough to build it again."""
    family = next(name for name, (kind, _) in FAMILIES.items() if isinstance(network, kind))
    return {"family": family, "name": network.config.name, "config": asdict(network.config)}


def revive(checkpoint: dict[str, Any], where: Path) -> nn.Module:
    """The network that a checkpoint describes, without its weights. Raises ModelError where that is no description."""
    try:
        said = checkpoint["model"]
        kind, config = FAMILIES[said["family"]]
        values = dict(said["config"])
        if isinstance(values.get("pvt"), dict):
            values["pvt"] = PVTConfig(**values["pvt"])
        return kind(config(**values))
    except (KeyError, TypeError) as error:
        raise ModelError(f"{where}: describes a network that this version does not know: {error}") from error


def must_match(weights: dict[str, Tensor], network: nn.Module, where: Path) -> None:
    """Refuse weights of another network, with a ModelError."""
    held = {name: tensor.shape for name, tensor in weights.items()}
    if held != {name: tensor.shape for name, tensor in network.state_dict().items()}:
        raise ModelError(f"{where}: holds the weights of another network than '{network.config.name}'; see --model")


def origin(network: nn.Module) -> str:
    """Which published weights a network starts from; empty where none."""
    said: str = network.encoder.published if isinstance(network, Teacher) else getattr(network, "published", "")
    return said


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """For the optimiser: what starts from published weights learns at a tenth (`share`) of the rate."""
    if not isinstance(network, Teacher) or not network.encoder.published:
        return [{"params": list(network.parameters()), "share": 1.0}]
    published = set(network.encoder.pyramid.parameters())
    fresh = [parameter for parameter in network.parameters() if parameter not in published]
    return [{"params": fresh, "share": 1.0}, {"params": list(network.encoder.pyramid.parameters()), "share": 0.1}]


def macs(network: nn.Module, width: int = 320, height: int = 240) -> float:
    """Multiply-accumulates of a step in convolutions, linear layers and matrix products, millions; for a camera of this
    size."""
    network = network.eval()
    reduction = network.config.reduction
    frame = torch.rand(1, 1, height // reduction, width // reduction)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(frame, torch.zeros(1, 2), **network.states(frame))
    return float(counter.get_total_flops() / 2e6)
