"""One model on one backend, in one size, with so many threads: measured in a process of its own, round after round.

`benchmarks.speed` combines them; other benchmarks take single ones.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.stages import STAGES
from edge import contract, selftest
from edge.errors import FgstpError, StorageError

SIZE = "320x240"
FIRST_MASK = """
import sys
from edge import selftest
from edge.records import Frame
from edge.segmenter import open_segmenter
open_segmenter(sys.argv[1], sys.argv[2], 1).step(Frame(selftest.golden().frames[0], 0, 0.0, 0.0))
"""


@dataclass(slots=True)
class Combination:
    """One thing to measure, and what came of it."""

    isa: str
    model: str
    backend: str
    threads: int = 1
    source: str = SIZE
    stages: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})  # ms
    rounds: list[float] = field(default_factory=list)  # median end to end of each round, ms
    starts: list[float] = field(default_factory=list)  # s from the start of a process to its first mask
    watts: list[float] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)  # by the process itself, the last time

    def figures(self) -> dict[str, Any]:
        """What a result file says of it."""
        spec, _ = contract.load(self.model)
        total = sum(self.stages["end_to_end"])
        p50 = float(np.median(self.stages["end_to_end"]))
        watts = float(np.mean(self.watts)) if self.watts else None
        return {
            "model": spec.name,
            "sha256": spec.sha256,
            "precision": spec.precision,
            "weights": self.said.get("weights"),
            "backend": self.backend,
            "threads": self.threads,
            "isa": self.isa,
            "isa_in_force": self.said.get("isa"),
            "size": self.said.get("source"),
            "model_size": spec.size,
            "frames": len(self.stages["end_to_end"]),
            "fps": 1000 / p50,
            "fps_best_round": 1000 / min(self.rounds),
            "host_share": 1 - sum(self.stages["inference"]) / total,
            "first_mask_s": float(np.median(self.starts)) if self.starts else None,
            "watts": watts,
            "frames_per_joule": None if watts is None else 1000 / p50 / watts,
            "growth": self.said.get("growth"),
            "rounds_p50_ms": self.rounds,
            "stages_ms": {stage: percentiles(self.stages[stage]) for stage in STAGES},
        }


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99."""
    return dict(zip(("p50", "p95", "p99"), (float(value) for value in np.percentile(times, (50, 95, 99))), strict=True))


def measure(
    one: Combination, source: str, environment: dict[str, str], options: argparse.Namespace, growth: int = 0
) -> None:
    """One round of one combination, in a process of its own. Raises FgstpError with what that process said."""
    command = [sys.executable, "-m", "benchmarks.stages", "--model", one.model, "--backend", one.backend]
    command += ["--source", source, "--frames", str(options.frames), "--burn-in", str(options.burn_in)]
    command += ["--threads", str(one.threads), "--growth", str(growth)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise FgstpError(f"{one.model} on {one.backend} with {one.isa}: {reason[0]}")
    said = one.said = json.loads(done.stdout)
    for stage, times in said["stages"].items():
        one.stages[stage] += times
    one.rounds.append(float(np.median(said["stages"]["end_to_end"])))
    if said["watts"] is not None:
        one.watts.append(said["watts"])
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", FIRST_MASK, one.model, one.backend], env=environment, check=True)
    one.starts.append(time.perf_counter() - began)


def golden_video(path: Path, size: str = SIZE) -> str:
    """The golden clip as a video file of WIDTHxHEIGHT, so that there is something to decode."""
    clip = selftest.golden()
    width, height = map(int, size.split("x"))
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), clip.fps, (width, height), isColor=False)
    if not video.isOpened():
        raise StorageError(f"{path}: cannot write a video here; pass --source CLIP")
    for frame in clip.frames:
        video.write(cv2.resize(frame, (width, height)))
    video.release()
    return str(path)


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """How many times as fast the second is, as the median over the rounds: both felt the same of each."""
    return float(np.median([one / other for one, other in zip(slower, faster, strict=True)]))
