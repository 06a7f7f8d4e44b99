"""The plan of an ablation: one budget for all, where its files lie, and which lines say what is finished."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from quantize.dataset import Batch
from quantize.recipe import TrainConfig
from quantize.run import commit
from quantize.train import parser
from quantize.variants import Variant

Line = dict[str, Any]


@dataclass(frozen=True)
class Budget:
    """What all variants have in common."""

    steps: int = 300  # of the optimiser
    further: int = 100  # and so many more for those that go on
    batch: int = 4
    size: int = 160
    clip_frames: int = 36
    rate: float = 3e-3
    further_rate: float = 3e-4
    still: int = 10  # validation batches
    moving: int = 5
    validation_frames: int = 60
    quantised_clips: int = 20  # that INT8 is judged by
    calibration_clips: int = 24


@dataclass(frozen=True)
class Plan:
    """Where the runs are made, and from what."""

    budget: Budget
    data: Path | None
    teacher: Path
    work: Path
    threads: int = 1

    @property
    def lines(self) -> Path:
        return self.work.with_suffix(".jsonl")

    def checkpoint(self, name: str, seed: int) -> Path:
        return self.work / f"{name}-{seed}.pt"

    def clips(self, seed: int, *, procedural: bool) -> Path:
        """Folder of the rendered batches that all runs of a seed learn from."""
        return self.work / f"clips-{'procedural' if procedural else 'footage'}-{seed}"

    @property
    def held_out(self) -> Path:
        return self.work / "clips-held-out"

    def options(self, variant: Variant, seed: int) -> argparse.Namespace:
        """As one would give them to quantize.train."""
        b, out = self.budget, self.checkpoint(variant.name, seed)
        given = {
            "steps": b.further if variant.goes_on else b.steps,
            "rate": b.further_rate if variant.goes_on else b.rate,
            **{"seed": seed, "batch": b.batch, "size": b.size, "clip-frames": b.clip_frames, "out": out},
            **{"device": "cpu", "threads": self.threads},
            **({"data": self.data} if self.data and not variant.procedural else {}),
            **({"weights": self.checkpoint("full", seed)} if variant.goes_on else {}),
        }
        flags = ["--rounded"] if variant.rounded else []
        return parser().parse_args([*(f"--{name}={value}" for name, value in given.items()), *flags])

    def append(self, line: Line) -> None:
        """Note what is finished, for this and all other processes."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        text = json.dumps({**line, "utc": now, "commit": commit()})
        with self.lines.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def finished(self) -> list[Line]:
        if not self.lines.exists():
            return []
        return [json.loads(line) for line in self.lines.read_text(encoding="utf-8").splitlines()]

    def is_finished(self, name: str, seed: int | None) -> bool:
        return any((line["name"], line["seed"]) == (name, seed) for line in self.finished())


def store(batches: Iterator[Batch], count: int, folder: Path) -> None:
    """The first `count` batches as files; the folder has its name once all are there."""
    partial_folder = folder.with_suffix(".part")
    partial_folder.mkdir(parents=True, exist_ok=True)
    for at in range(count):
        torch.save(vars(next(batches)), partial_folder / f"{at:04}.pt")
    partial_folder.replace(folder)


def stored(folder: Path, start: int = 0) -> Iterator[Batch]:
    """What `store` has stored, from batch `start` on."""
    for path in sorted(folder.glob("*.pt"))[start:]:
        yield Batch(**torch.load(path, weights_only=True))


def batches_for(budget: Budget, steps: int) -> int:
    """How many batches that many steps learn from."""
    return -(-steps // parts(budget))


def parts(budget: Budget) -> int:
    """Steps over one batch."""
    return -(-budget.clip_frames // TrainConfig.frames)
