"""What a training is made with; the shipped weights name it in their provenance."""

from __future__ import annotations

from dataclasses import dataclass


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
    loss: str = "mask"
    side_weight: float = 0.3
    stray_memory: float = 0.4  # share of clips that start with what another clip left behind
    moving: float = 0.3  # share of clips whose camera moves and is registered
    rounded: bool = False  # with the rounding of INT8 in the forward pass


RECIPES = {
    "student": TrainConfig(),
    "teacher": TrainConfig(rate=1e-3, loss="structure", side_weight=1.0),
    "authors": TrainConfig(rate=1e-4, loss="structure", side_weight=1.0),  # theirs, after their own training
}
CHANGEABLE = ("seed", "batch", "frames", "clip_frames", "size", "rate", "moving")  # from the command line
