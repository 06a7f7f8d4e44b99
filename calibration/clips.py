"""Footage with what is known of it: SimGas, GasVid, GOD, gas-free thermal clips and stills, or a folder of one's own.

    python -m calibration.clips --data ../shared/data

A `Clip` is a place and a truth, cheap to make and to send to another process; frames are decoded when asked for, by the
same `edge.capture` that reads a camera. The footage is not part of this project: it is read in place.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

import edge.capture
from edge.capture.images import natural
from edge.errors import SourceError
from edge.records import Array, Frame

ALPHA_FLOOR = 10  # SimGas: a plume's alpha above this, of 255, counts as gas
ONSETS = {"gasvid_mov1467": 300}  # frame in which gas is first seen, by eye: the labelled frames say "270 to 320"


class Box(NamedTuple):
    """A rectangle that holds the plume, px; both corners belong to it."""

    x1: int
    y1: int
    x2: int
    y2: int


class Truth(Protocol):
    """What is known of a frame, by its index from 0: a boolean mask (H, W), a box, or None where nobody has looked."""

    def at(self, index: int) -> Array | Box | None: ...


@dataclass(frozen=True, slots=True)
class AlphaVideo:
    """Masks drawn from a video of the plume's alpha, frame for frame."""

    path: Path

    def at(self, index: int) -> Array | None:
        masks = _alpha_masks(self.path)
        return masks[index] if index < len(masks) else None


@dataclass(frozen=True, slots=True)
class MaskFiles:
    """One image per labelled frame; what is brighter than `floor` of its brightest pixel is gas."""

    files: dict[int, Path]
    floor: float = 0.0

    def at(self, index: int) -> Array | None:
        if index not in self.files:
            return None
        image = _grey(self.files[index])
        mask: Array = image > self.floor * image.max()
        return mask


@dataclass(frozen=True, slots=True)
class Boxes:
    """One box per labelled frame."""

    boxes: dict[int, Box]

    def at(self, index: int) -> Box | None:
        return self.boxes.get(index)


@dataclass(frozen=True, slots=True)
class GasFree:
    """No gas in any frame of this height and width."""

    shape: tuple[int, int]

    def at(self, index: int) -> Array:
        return np.zeros(self.shape, bool)


@dataclass(frozen=True, slots=True)
class Clip:
    """One stretch of footage. `source` is a video, a folder of images or one image."""

    name: str
    source: Path
    truth: Truth
    fps: float | None = None  # None: the file says
    onset: int | None = None  # frame from which gas is seen; None: the first whose truth has any

    def frames(self) -> Iterator[Frame]:
        """Decode from the beginning. Raises SourceError."""
        with edge.capture.open(str(self.source), edge.capture.SourceOptions(self.fps)) as source:
            yield from source


def root(data: str | Path | None = None) -> Path:
    """The footage folder: `data`, else $FGSTP_DATA. Raises SourceError."""
    chosen = data or os.environ.get("FGSTP_DATA")
    if not chosen:
        raise SourceError("no footage folder given; pass --data DIR or set FGSTP_DATA")
    if not Path(chosen).is_dir():
        raise SourceError(f"{chosen}: no such footage folder; pass --data DIR or set FGSTP_DATA to the right one")
    return Path(chosen)


def simgas(data: Path) -> list[Clip]:
    """The SimGas clips of a footage folder, `simgas/`. A test set: training never sees it, every look is logged."""
    return simgas_videos(data / "simgas")


def simgas_videos(path: Path) -> list[Clip]:
    """SimGas (LangGas, arXiv 2503.02910), rendered plumes on real footage: `simgasvidN.mp4`, `smoke_onlyN.mp4`.

    LangGas itself cuts the alpha at 20 and scores each fifth frame; here every frame counts, and gas from 10 on.
    """
    clips = []
    for video in _some(path, "simgasvid*.mp4"):
        alpha = video.with_name(video.name.replace("simgasvid", "smoke_only"))
        if not alpha.is_file():
            raise SourceError(f"{alpha}: the plume's alpha for {video.name} is missing; copy SimGas' file there")
        clips.append(Clip(video.stem, video, AlphaVideo(alpha)))
    return clips


def gasvid(data: Path) -> list[Clip]:
    """GasVid releases `real/gasvid_NAME.mp4`; labelled frames are `real/gasvid_NAME_masks/NNNNNN.png`, from 0."""
    clips = []
    for video in _some(data / "real", "gasvid_*.mp4"):
        masks = MaskFiles(_numbered(video.with_name(f"{video.stem}_masks")))
        clips.append(Clip(video.stem, video, masks, onset=ONSETS.get(video.stem)))
    return clips


def god(data: Path, fps: float = 20.0) -> list[Clip]:
    """GOD-Video leaks, `real/god_NAME/` of images with `real/god_NAME_boxes.csv` (frame_1based, x1, y1, x2, y2)."""
    tables = _some(data / "real", "god_*_boxes.csv")
    clips = []
    for table in tables:
        rows = _rows(table, ("frame_1based", "x1", "y1", "x2", "y2"))
        boxes = {int(row["frame_1based"]) - 1: Box(*(int(float(row[key])) for key in Box._fields)) for row in rows}
        folder = table.with_name(table.stem.removesuffix("_boxes"))
        if not folder.is_dir():
            raise SourceError(f"{folder}: the frames that {table.name} labels are missing; copy them there")
        clips.append(Clip(folder.name, folder, Boxes(boxes), fps=fps))
    return clips


def thermal_background(data: Path, split: str | None = None) -> list[Clip]:
    """Gas-free thermal clips that `thermal_background/index.csv` lists, of one split ("train", "val") or all."""
    clips = []
    for row in index(data, split):
        video = data / "thermal_background" / row["file"]
        clips.append(Clip(video.stem, video, GasFree((int(row["height"]), int(row["width"])))))
    return clips


def index(data: Path, split: str | None = None) -> list[dict[str, str]]:
    """Rows of `thermal_background/index.csv`: file, width, height, frames, fps, max_shift_px_per_s, scene, split."""
    rows = _rows(data / "thermal_background" / "index.csv", ("file", "width", "height", "scene", "split"))
    return [row for row in rows if split in (None, row["split"])]


def aerial_stills(data: Path, split: str | None = None) -> list[Clip]:
    """Gas-free thermal stills from a drone (HIT-UAV), each a clip of one frame."""
    folder = data / "aerial_thermal_stills"
    rows = _rows(folder / "index.csv", ("file", "split"))
    paths = [folder / row["file"] for row in rows if split in (None, row["split"])]
    return [Clip(path.stem, path, GasFree(_grey(path).shape)) for path in paths]


def folder(path: Path, fps: float = edge.capture.DEFAULT_FPS) -> Clip:
    """One's own clip: images in `frames/`, and in `masks/` one of the same name for each labelled frame."""
    return Clip(path.resolve().name, path / "frames", MaskFiles(paired(path / "frames", path / "masks")), fps=fps)


def paired(frames: Path, masks: Path) -> dict[int, Path]:
    """Mask files by the position of the frame of the same name, suffix aside. Raises SourceError."""
    shown = sorted((file for file in _some(frames, "*") if file.suffix.lower() in edge.capture.IMAGES), key=natural)
    positions = {file.stem: position for position, file in enumerate(shown)}
    files = {}
    for mask in _some(masks, "*"):
        if mask.stem not in positions:
            raise SourceError(f"{mask}: no frame of that name in {frames}; name each mask like its frame")
        files[positions[mask.stem]] = mask
    return files


def _some(path: Path, pattern: str) -> list[Path]:
    """The files of a folder in natural order ("vid2" before "vid10"); SourceError when there are none."""
    files = sorted(path.glob(pattern), key=natural) if path.is_dir() else []
    if not files:
        raise SourceError(f"{path / pattern}: no such footage; --data (or FGSTP_DATA) must name the folder above it")
    return files


def _numbered(path: Path) -> dict[int, Path]:
    files = _some(path, "*.png")
    strange = next((file for file in files if not file.stem.isdigit()), None)
    if strange:
        raise SourceError(f"{strange}: a mask is named by its frame's number, as in 000320.png; rename or remove it")
    return {int(file.stem): file for file in files}


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read; --data (or FGSTP_DATA) must name the folder above it") from error
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise SourceError(f"{path}: column '{missing[0]}' is missing or the table is empty; copy the file again")
    return rows


def _grey(path: Path) -> Array:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise SourceError(f"{path}: not an image that OpenCV can read; copy the file again")
    return image


@lru_cache(maxsize=1)
def _alpha_masks(path: Path) -> Array:
    """All masks of an alpha video, (N, H, W) bool: a few hundred small frames, asked for one after another."""
    with edge.capture.open(str(path)) as source:
        frames = [frame.image if frame.image.ndim == 2 else frame.image[..., 0] for frame in source]
    return np.stack(frames) > ALPHA_FLOOR


def main() -> None:
    """List what a footage folder holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="footage folder (default: $FGSTP_DATA)")
    data = root(parser.parse_args().data)
    for loader in (simgas, gasvid, god, thermal_background, aerial_stills):
        try:
            clips = loader(data)
        except SourceError as error:
            print(f"{loader.__name__:20} absent: {error}")
        else:
            print(f"{loader.__name__:20} {len(clips):4} clips, {clips[0].name} … {clips[-1].name}")


if __name__ == "__main__":
    main()
