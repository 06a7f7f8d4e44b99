"""Does this device compute the masks that it should? A short golden clip, and for each model the masks it must give.

    edge/golden/golden.json    {"clip": {"file": "clip.npz", "sha256": …, "fps": 15.0},
                                "models": {"student.int8": {"model_sha256": …, "masks": "student.int8.npz",
                                                            "sha256": …, "min_iou": 0.99}, …}}
    edge/golden/clip.npz       frames: (N, H, W) uint8, as a camera would give them
    edge/golden/MODEL.npz      masks: (N, H, ceil(W / 8)) uint8, rows packed by numpy.packbits; width: W

The masks are made where the model is made (see `write`), in FP32, so a runtime, a processor or a driver that computes
something else is found out before it watches a plant. The clip plays once, from a fresh start.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edge.backend
import edge.segmenter
from edge import contract
from edge.errors import FgstpError, SelfTestError
from edge.records import Array, Frame
from edge.segmenter import Segmenter

GOLDEN = Path(__file__).parent / "golden"
MIN_IOU = 0.99


@dataclass(frozen=True, slots=True)
class Clip:
    """The golden clip."""

    frames: Array  # (N, H, W) uint8
    fps: float


@dataclass(frozen=True, slots=True)
class Result:
    """How well one model and backend did."""

    model: str
    backend: str
    iou: float  # mean over the frames with a mask in either, of intersection over union
    required: float


def golden(folder: Path = GOLDEN) -> Clip:
    """The clip. Raises SelfTestError where it is missing or damaged."""
    entry = index(folder)["clip"]
    return Clip(array(folder, entry["file"], entry["sha256"], "frames"), float(entry["fps"]))


def check(model: str, backend: str = "auto", threads: int = 1, folder: Path = GOLDEN) -> Result:
    """Load a model and run the golden clip through it. Raises as `verify`, ModelError, ConfigError."""
    return verify(edge.segmenter.open_segmenter(model, backend, threads), folder)


def verify(segmenter: Segmenter, folder: Path = GOLDEN) -> Result:
    """Run the golden clip. Raises SelfTestError on drift, or when there are no masks for this model."""
    spec = segmenter.spec
    entry = index(folder)["models"].get(spec.name)
    if entry is None or entry["model_sha256"] != spec.sha256:
        state = "has no golden masks" if entry is None else "is not the file that the golden masks were made for"
        raise SelfTestError(f"{spec.name}: {state}; write them with the export, or set self_test: false")
    truth = np.unpackbits(array(folder, entry["masks"], entry["sha256"], "masks"), axis=2)
    clip = golden(folder)
    iou = mean_iou(masks(segmenter, clip), truth[:, :, : clip.frames.shape[2]])
    result = Result(spec.name, segmenter.backend.name, iou, float(entry["min_iou"]))
    if not iou >= result.required:
        raise SelfTestError(
            f"{spec.name} on {result.backend}: IoU with the golden masks is {iou:.4f}, it must be {result.required:g};"
            " another --backend may do, and a bug report helps"
        )
    return result


def masks(segmenter: Segmenter, clip: Clip) -> Array:
    """What the production pipeline makes of the clip: (N, H, W) bool."""
    segmenter.reset()
    steps = (Frame(image, i, i / clip.fps, i / clip.fps) for i, image in enumerate(clip.frames))
    return np.stack([segmenter.step(frame).mask > 0 for frame in steps])


def mean_iou(a: Array, b: Array) -> float:
    """Mean over the frames of intersection over union of two stacks of masks; frames empty in both do not count.

    1 where all frames are: a golden clip without gas is refused when it is written.
    """
    a, b = a.astype(bool), b.astype(bool)
    union = (a | b).sum(axis=(1, 2))
    shared = (a & b).sum(axis=(1, 2))
    return float((shared[union > 0] / union[union > 0]).mean()) if union.any() else 1.0


def write(folder: Path, clip: Clip, truth: dict[str, Array], required: dict[str, float] | None = None) -> None:
    """Make the golden files: `truth` has masks (N, H, W) by the name of a shipped model or the path of its ONNX file.

    `required` gives the least IoU of a model where that is not 0.99. Entries of other models stay while the clip is the
    same. Raises SelfTestError where the masks could hide a drift: none lit, or not of the clip's shape.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digest = store(folder / "clip.npz", frames=clip.frames)
    entry = {"file": "clip.npz", "sha256": digest, "fps": clip.fps}
    old: dict[str, Any] = index(folder) if (folder / "golden.json").exists() else {}
    models = dict(old["models"]) if old.get("clip") == entry else {}
    for model, stack in truth.items():
        spec, _ = contract.load(model)
        if stack.shape != clip.frames.shape or not stack.any():
            raise SelfTestError(
                f"{model}: golden masks are {stack.shape} and {int(stack.sum())} px; a clip with gas is needed"
            )
        file = f"{spec.name}.npz"
        digest = store(folder / file, masks=np.packbits(stack.astype(bool), axis=2))
        least = (required or {}).get(model, MIN_IOU)
        models[spec.name] = {"model_sha256": spec.sha256, "masks": file, "sha256": digest, "min_iou": least}
    content = json.dumps({"clip": entry, "models": models}, indent=1)
    (folder / "golden.json").write_text(content + "\n", encoding="utf-8")


def index(folder: Path) -> dict[str, Any]:
    """golden.json. Raises SelfTestError."""
    path = folder / "golden.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["clip"]["file"], content["models"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SelfTestError(f"{path}: missing or damaged; install the package again") from error
    return dict(content)


def array(folder: Path, file: str, sha256: str, name: str) -> Array:
    """One array of a golden file whose digest must be as recorded. Raises SelfTestError."""
    path = folder / file
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise SelfTestError(
                f"{path}: not the file that golden.json names (sha256 differs); install the package again"
            )
        with np.load(path, allow_pickle=False) as content:
            return np.asarray(content[name])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SelfTestError(f"{path}: missing or damaged; install the package again") from error


def store(path: Path, **arrays: Array) -> str:
    """Write an .npz; its sha256."""
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(model: str = "student.int8", backend: str = "auto", threads: int = 1, folder: Path = GOLDEN) -> int:
    """`fgstp-edge selftest`: one model on one backend (auto: on each one here). The exit code is that of the worst."""
    worst = 0
    for running in edge.backend.available() if backend == "auto" else (backend,):
        try:
            result = check(model, running, threads, folder)
            print(f"ok      {result.model} on {result.backend}: IoU {result.iou:.4f} (at least {result.required:g})")
        except FgstpError as error:
            print(f"FAILED  {error}")
            worst = max(worst, error.exit_code)
    return worst
