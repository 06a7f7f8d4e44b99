"""Rendered clips as training batches, made in a worker process while the last batch is being learned from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from calibration.footage import Footage
from calibration.render import RenderedClip, Renderer


@dataclass(frozen=True)
class Batch:
    """Clips that share their time base. T frames, N clips."""

    frames: Tensor  # (T, N, 1, H, W) uint8
    masks: Tensor  # (T, N, 1, H, W) uint8
    background: Tensor  # (N, 1, H, W) float32; the first frame where the clip starts cold
    age: Tensor  # (N,) seconds since the reset at the first frame
    interval: float  # seconds between frames
    steps_per_lag: tuple[int, int]
    steps: Tensor | None = None  # (T, N, 2, 3) float32, px of each view -> px of the previous one; None: all still

    def parts(self, length: int) -> Iterator[Batch]:
        """The same clips, `length` frames at a time."""
        for at in range(0, len(self.frames), length):
            part = slice(at, at + length)
            steps = None if self.steps is None else self.steps[part]
            yield replace(self, frames=self.frames[part], masks=self.masks[part], steps=steps)


@dataclass(frozen=True)
class Clips:
    """What a run learns from, and what it is judged by on the way."""

    learned: Iterator[Batch]
    still: list[Batch]
    moving: list[Batch]


def collate(clips: list[RenderedClip]) -> Batch:
    def stack(arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays, axis=-3))[..., None, :, :]

    moves = [c.steps for c in clips if c.steps is not None]
    backgrounds = [c.frames[0] / np.float32(255) if c.background is None else c.background for c in clips]
    return Batch(
        frames=stack([c.frames for c in clips]),
        masks=stack([c.masks for c in clips]),
        background=stack(backgrounds),
        age=torch.tensor([0.0 if c.background is None else 60.0 for c in clips]),
        interval=clips[0].interval,
        steps_per_lag=clips[0].steps_per_lag,
        steps=torch.from_numpy(np.stack(moves, axis=1)) if moves else None,
    )


class RenderedBatches(IterableDataset[Batch]):
    """An endless stream of batches; clips of the two time bases are gathered apart, and those of moving cameras apart
    from those of still ones, which cost less. `moving` is their share of the clips."""

    def __init__(
        self, footage: Footage | None, *, seed: int, batch: int, size: int, frames: int, moving: float = 0.0
    ) -> None:
        self.footage, self.seed, self.batch, self.size, self.frames = footage, seed, batch, size, frames
        self.moving = moving

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        cv2.setNumThreads(1)
        renderer = Renderer(
            self.seed + 7919 * (worker.id if worker else 0),
            self.footage,
            (self.size, self.size),
            self.frames,
            self.moving,
        )
        waiting: dict[tuple[float, bool], list[RenderedClip]] = {}
        for clip in renderer:
            kind = clip.interval, clip.steps is not None
            clips = waiting.setdefault(kind, [])
            clips.append(clip)
            if len(clips) == self.batch:
                yield collate(waiting.pop(kind))


def training_batches(
    data: Path | None, *, seed: int, batch: int, size: int, frames: int, workers: int, moving: float = 0.0
) -> Iterator[Batch]:
    """Batches over the training split; over procedural scenes alone where there is no footage."""
    footage = Footage(data, "train") if data else None
    dataset = RenderedBatches(footage, seed=seed, batch=batch, size=size, frames=frames, moving=moving)
    return iter(DataLoader(dataset, batch_size=None, num_workers=workers, prefetch_factor=6 if workers else None))


def validation_batches(
    data: Path | None, *, size: int, frames: int, count: int = 3, batch: int = 8, moving: float = 0.0
) -> list[Batch]:
    """The same rendered clips each time, over scenes that training does not see; `moving` is 0 or 1."""
    footage = Footage(data, "val", per_scene=1) if data else None
    dataset = RenderedBatches(footage, seed=20_000_003, batch=batch, size=size, frames=frames, moving=moving)
    stream = iter(dataset)
    return [next(stream) for _ in range(count)]
