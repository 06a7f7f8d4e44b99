"""Footage as its publishers lay it out, divided as they divide it: SimGas, GasVid's masks, IGS, IGS-Few, IOD/GOD-Video.

Where a rule could be read in the authors' code or notes, the loader says where; where none could be found, it says so
and takes the folders as they come. The masks and boxes of these sets are given out on request: nothing here was run on
the full sets, only on small folders in their layout.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import edge.capture
from calibration.clips import Box, Boxes, Clip, MaskFiles, paired
from edge.capture.images import natural
from edge.errors import SourceError
from edge.records import Array

FOLDS = (7, 6, 6, 6, 6)  # clips of SimGas a fold
HALF = 0.5  # the authors call gas what is brighter than half of a mask's maximum
IOD_FPS = 20.0


def fold(clips: Sequence[Clip], number: int) -> list[Clip]:
    """The clips that fold `number`, 1 to 5, of SimGas is tested on; the other folds' clips train for it.

    The rule of FGSTP and JVLGS (`dataloaders/__init__.py` in both repositories): all 31 clips in natural order of their
    names, the first seven, then six each. Their names are not published, so a fold of fewer clips cannot be told.
    """
    if len(clips) != sum(FOLDS):
        raise SourceError(
            f"SimGas' folds are drawn from all {sum(FOLDS)} clips and there are {len(clips)}; complete the set or take "
            "the part 'all'"
        )
    start = sum(FOLDS[: number - 1])
    return sorted(clips, key=lambda clip: natural(Path(clip.name)))[start : start + FOLDS[number - 1]]


def scenes(path: Path, fps: float = edge.capture.DEFAULT_FPS) -> list[Clip]:
    """`SCENE/images/NAME.jpg` and `SCENE/masks/NAME.png`, a clip a scene: what FGSTP and JVLGS read all footage from.

    Frame rates are not published: `fps` is a guess.
    """
    folders = sorted((file for file in path.iterdir() if file.is_dir()), key=natural) if path.is_dir() else []
    if not folders:
        raise SourceError(f"{path}: no scenes here; it must hold a folder with images/ and masks/ for each")
    return [
        Clip(scene.name, scene / "images", MaskFiles(paired(scene / "images", scene / "masks"), HALF), fps=fps)
        for scene in folders
    ]


def divided_scenes(path: Path, part: str) -> list[Clip]:
    """`PART/SCENE/…`: GasVid with FGSTP's masks, and IGS-Few; the parts are "train", "val" and "test".

    Which clips are in which part is decided by the folders that the authors give out, and listed nowhere else. FGSTP's
    README shows results on 1467, 1476, 2559, 2563 and 2566, which are then presumably test clips.
    """
    return scenes(path / part)


def igs(path: Path, part: str) -> list[Clip]:
    """IGS (GasSeg): single frames, each a clip of one, `img_dir/PART/NAME` and `ann_dir/PART/NAME.png`.

    The parts "train" and "val" are folders of the download (`configs/_base_/datasets/gas_dataset.py`); GasSeg tests on
    "val", and so do its published figures. Masks hold class numbers: 0 is background, all else is taken for gas. Single
    frames show no motion, so a model that compares frames can only lose here.
    """
    images, masks = path / "img_dir" / part, path / "ann_dir" / part
    files = paired(images, masks)
    shown = sorted((file for file in images.iterdir() if file.suffix.lower() in edge.capture.IMAGES), key=natural)
    return [Clip(shown[position].stem, shown[position], MaskFiles({0: mask})) for position, mask in files.items()]


def iod_video(path: Path, part: str) -> list[Clip]:
    """IOD-Video, also called GOD-Video: `TrueLeakedGas.pkl`, and frames in `Frames/TrueLeakedGas/CLIP/00001.png`.

    The 600 clips are divided three times, two thirds to train and one to test, and a figure is the mean over the three
    (`readme/Dataset.md`, `readme/Evaluation.md` in the authors' repository). The parts "test1" to "test3" and "train1"
    to "train3" are lists in the table (`src_IOD/datasets/dataset/base_dataset.py`). Boxes count frames from 1; where a
    frame has several, the box around them all is taken. The authors score boxes with a confidence by average precision,
    which masks do not have. The frame rate is that of the one clip at hand.
    """
    table = _table(path / "TrueLeakedGas.pkl")
    try:
        names = table["test_videos" if part.startswith("test") else "train_videos"][int(part[-1]) - 1]
        return [_boxed(path / "Frames" / name, table["gttubes"][name]) for name in sorted(names)]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise SourceError(f"{path / 'TrueLeakedGas.pkl'}: not IOD-Video's table ({error!r}); copy it again") from error


def _boxed(frames: Path, tubes: dict[Any, list[Array]]) -> Clip:
    """One clip of IOD-Video: its tubes are arrays (N, 5) of frame, x1, y1, x2, y2, by class."""
    if not frames.is_dir():
        raise SourceError(f"{frames}: the frames that TrueLeakedGas.pkl labels are missing; unpack Frames.zip there")
    boxes: dict[int, Box] = {}
    for frame, *corners in (row for label in tubes.values() for tube in label for row in np.asarray(tube)):
        box = Box(*(round(float(corner)) for corner in corners))
        known = boxes.get(int(frame) - 1, box)
        low, high = np.minimum(known, box), np.maximum(known, box)
        boxes[int(frame) - 1] = Box(int(low[0]), int(low[1]), int(high[2]), int(high[3]))
    return Clip(frames.name, frames, Boxes(boxes), fps=IOD_FPS, onset=min(boxes, default=None))


class _Tables(pickle.Unpickler):
    """Reads arrays in plain containers, and nothing that could run."""

    ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "scalar"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy._core.numeric", "_frombuffer"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _table(path: Path) -> dict[str, Any]:
    """A pickled table, written by Python 2 or 3. Raises SourceError."""
    try:
        with path.open("rb") as file:
            table = _Tables(file, encoding="latin1").load()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read; the folder must be IOD-Video's data/TLGDM") from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise SourceError(f"{path}: not a table of arrays ({error}); copy the file again") from error
    if not isinstance(table, dict):
        raise SourceError(f"{path}: holds a {type(table).__name__}, not IOD-Video's table; copy the file again")
    return table
