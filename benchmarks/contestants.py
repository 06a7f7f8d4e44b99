"""The methods that `benchmarks.peers` lets take turns: each knows how to make a mask, and how long that took."""

from __future__ import annotations

import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import combination
from benchmarks.baselines import BASELINES
from edge import backend
from edge.errors import ConfigError
from edge.records import Array, Frame
from edge.segmenter import open_segmenter
from edge.summary import Summariser

WARM, WARM_SLOW = 8, 1  # frames of a turn that are not timed
FRAMES_SLOW = 3  # of a turn, of a method that takes a second a frame
clock = time.perf_counter


class Contestant(ABC):
    """One method, and its times so far, in ms."""

    def __init__(self, name: str, *, runtime: str, precision: str = "", weights: str = "", note: str = "") -> None:
        self.name = name
        self.said = {"method": name, "runtime": runtime, "precision": precision, "weights": weights, "note": note}
        self.input: tuple[int, int] = (0, 0)
        self.slow = False
        self.mask: list[float] = []
        self.whole: list[float] = []
        self.rounds: list[float] = []  # median of each turn

    @abstractmethod
    def reset(self) -> None:
        """Forget the past."""

    @abstractmethod
    def step(self, frame: Frame) -> tuple[float, float]:
        """One frame; seconds to its mask, and to all that is made of it."""

    def turn(self, frames: Sequence[Frame]) -> None:
        """Play some frames from a fresh start."""
        self.reset()
        warm = WARM_SLOW if self.slow else WARM
        times = [self.step(frame) for frame in (frames[: WARM_SLOW + FRAMES_SLOW] if self.slow else frames)][warm:]
        self.mask += [1000 * mask for mask, _ in times]
        self.whole += [1000 * whole for _, whole in times]
        self.rounds.append(1000 * float(np.median([whole for _, whole in times])))

    def figures(self) -> dict[str, Any]:
        """What a result file says of it."""
        whole = combination.percentiles(self.whole)
        return self.said | {
            "input": self.input,
            "frames": len(self.whole),
            "rounds_ms": self.rounds,
            "mask_ms": combination.percentiles(self.mask),
            "end_to_end_ms": whole,
            "fps": 1000 / whole["p50"],
        }


class Network(Contestant):
    """A model with a ModelSpec, through the production pipeline."""

    def __init__(self, model: str, on: str, *, slow: bool = False, note: str = "") -> None:
        self.segmenter = open_segmenter(model, on, 1)
        spec = self.segmenter.spec
        weights = str(spec.provenance.get("weights", "trained"))
        runtime = self.segmenter.backend.name
        super().__init__(spec.name, runtime=runtime, precision=spec.precision, weights=weights, note=note)
        self.slow, self.input = slow, spec.size

    def reset(self) -> None:
        self.segmenter.reset()
        self.summariser = Summariser()

    def step(self, frame: Frame) -> tuple[float, float]:
        began = clock()
        segmentation = self.segmenter.step(frame)
        masked = clock()
        self.summariser.step(segmentation)
        return masked - began, clock() - began


class Classical(Contestant):
    """A baseline: its mask alone, then the record and the Summary of it, as for a network."""

    def __init__(self, name: str) -> None:
        super().__init__(name, runtime="opencv", precision="-", weights="none")
        self.alone, self.piped = BASELINES[name](), BASELINES[name]()

    def reset(self) -> None:
        self.alone.reset()
        self.piped.reset()
        self.summariser = Summariser()

    def step(self, frame: Frame) -> tuple[float, float]:
        self.input = frame.image.shape[1], frame.image.shape[0]
        began = clock()
        self.alone.look(frame)
        masked = clock()
        self.summariser.step(self.piped.step(frame))
        return masked - began, clock() - masked


class Instance(Contestant):
    """A network of another project on OpenVINO: picture in, raw tensors out."""

    def __init__(self, path: Path) -> None:
        self.backend = backend.open(path, "openvino", 1)
        [(self.feed, shape)] = self.backend.inputs.items()
        note = "boxes and masks not decoded"
        name = path.name.removesuffix(".onnx").removesuffix(".int8")
        super().__init__(name, runtime="openvino", precision="int8", weights="random", note=note)
        self.input = shape[3], shape[2]
        self.tensor: Array = np.full(shape, 114 / 255, np.float32)

    def reset(self) -> None:
        """It remembers nothing."""

    def step(self, frame: Frame) -> tuple[float, float]:
        began = clock()
        height, width = frame.image.shape[:2]
        scale = min(self.input[0] / width, self.input[1] / height)
        picture = cv2.resize(frame.image, (round(width * scale), round(height * scale)))
        if picture.ndim == 2:
            picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
        self.tensor[0, :, : picture.shape[0], : picture.shape[1]] = picture.transpose(2, 0, 1) / np.float32(255)
        self.backend.run({self.feed: self.tensor})
        taken = clock() - began
        return taken, taken


def quantised(arguments: Sequence[str]) -> str:
    """What `quantize.peers` prints; a process of its own, since nothing here may load torch. Raises ConfigError."""
    command = [sys.executable, "-m", "quantize.peers", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise ConfigError(f"quantize.peers {arguments[0]}: {reason[0]}; it needs the extra: pip install -e '.[train]'")
    return done.stdout
