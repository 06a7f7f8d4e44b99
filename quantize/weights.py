"""Weights that others have published: read, checked name by name, fitted to our inputs."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from edge.errors import ModelError


def read(path: Path) -> dict[str, Tensor]:
    """A state dict. Raises ModelError where the file is none."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path}: cannot be read as weights: {str(error).splitlines()[0]}") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ModelError(f"{path}: is no state dict; save the network's own state_dict(), nothing around it")
    return weights


def take(network: nn.Module, weights: dict[str, Tensor], where: Path, whose: str) -> None:
    """Load `weights`, all of them and nothing else. Raises ModelError, with every key that is missing, unknown or of
    another shape on a line of its own."""
    own = network.state_dict()
    wrong = [f"missing: {name}" for name in own if name not in weights]
    wrong += [f"unknown: {name}" for name in weights if name not in own]
    wrong += [
        f"shape: {name} is {tuple(weights[name].shape)}, wanted {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if wrong:
        raise ModelError("\n  ".join([f"{where}: not {whose} weights, {len(wrong)} keys do not fit", *wrong]))
    network.load_state_dict(weights)


def adapt(filters: Tensor, channels: int) -> Tensor:
    """First-layer filters (C, 3, k, k) for RGB, made ready for what Senses gives.

    The first channel is a grey picture in -1..1 and must answer as that grey did in all of R, G and B: the sum. The
    others are differences, mostly near 0: the same edges and textures, at half the strength.
    """
    if channels == filters.shape[1]:
        return filters
    grey = filters.sum(1, keepdim=True)
    return torch.cat((grey, *(0.5 * grey for _ in range(channels - 1))), dim=1)
