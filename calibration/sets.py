"""Footage by name, for whatever scores or trains on it: the sets of the footage folder, and published ones anywhere.

simgas                        a set of the footage folder (`calibration.clips`)
gasvid:test=/data/GasVid      a published set, one of its parts, and where it lies (`calibration.published`)
folder=/data/mine             one's own clip, frames/ and masks/, or a folder of such clips
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from calibration import aloft, clips, published
from calibration.aloft import Flown
from calibration.clips import Clip
from calibration.flight import FLIGHTS
from calibration.flight import Kind as Motion
from edge.errors import ConfigError

Kind = Literal["masks", "boxes", "gas_free"]
DIVIDED = ("test", "val", "train")


@dataclass(frozen=True, slots=True)
class Footage:
    """Clips that are scored alike and reported together."""

    name: str
    kind: Kind  # what is known of them
    clips: list[Clip]
    simgas: bool = False  # a test set: every look at it is logged
    motion: Motion | None = None  # of a virtual camera over the clips

    def flown(self, motion: Motion, seed: int) -> Footage:
        """The same clips as a virtual camera sees them; called "NAME@MOTION". Raises SourceError."""
        members: list[Clip] = [Flown.over(clip, FLIGHTS[motion], seed) for clip in self.clips]
        return replace(self, name=f"{self.name}@{motion}", clips=members, motion=motion)


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read a set. `load(path, part)` raises SourceError."""

    kind: Kind
    load: Callable[[Path, str], list[Clip]]
    parts: tuple[str, ...] = ("all",)  # the first is taken where none is named
    simgas: bool = False


def own_clips(path: Path, part: str) -> list[Clip]:
    """A folder with `frames/` and `masks/`, or one that holds such folders."""
    if (path / "frames").is_dir():
        return [clips.folder(path)]
    members = sorted(member.parent for member in path.glob("*/frames"))
    if not members:
        raise ConfigError(
            f"{path}: neither frames/ and masks/ nor folders that have them; see calibration.clips.folder"
        )
    return [clips.folder(member) for member in members]


def _folds(load: Callable[[Path], list[Clip]]) -> Callable[[Path, str], list[Clip]]:
    """All SimGas clips of a folder, or one fold of them."""

    def chosen(path: Path, part: str) -> list[Clip]:
        members = load(path)
        return members if part == "all" else published.fold(members, int(part.removeprefix("fold")))

    return chosen


SIMGAS_PARTS = ("all", *(f"fold{number}" for number in range(1, len(published.FOLDS) + 1)))
IN_FOLDER: dict[str, tuple[Kind, Callable[[Path], list[Clip]]]] = {
    "simgas": ("masks", clips.simgas),
    "gasvid": ("masks", clips.gasvid),
    "god": ("boxes", clips.god),
    "background": ("gas_free", partial(clips.thermal_background, split="val")),
    "flights": ("gas_free", aloft.flights),
}
USUAL = ("simgas", "gasvid", "god", "background")  # of the folder, where nobody says which
ANYWHERE: dict[str, Layout] = {
    "simgas": Layout("masks", _folds(clips.simgas_videos), SIMGAS_PARTS, simgas=True),
    "simgas-frames": Layout("masks", _folds(published.scenes), SIMGAS_PARTS, simgas=True),
    "gasvid": Layout("masks", published.divided_scenes, DIVIDED),
    "igs": Layout("masks", published.igs, ("val", "train")),
    "igs-few": Layout("masks", published.divided_scenes, DIVIDED),
    "iod": Layout("boxes", published.iod_video, tuple(f"{part}{n}" for part in ("test", "train") for n in (1, 2, 3))),
    "folder": Layout("masks", own_clips),
}


def of_folder(name: str, data: Path) -> Footage:
    """A set of the footage folder. Raises SourceError."""
    kind, load = IN_FOLDER[name]
    return Footage(name, kind, load(data), simgas=name == "simgas")


def anywhere(text: str) -> Footage:
    """A set from "NAME[:PART]=PATH"; it is then called "NAME:PART". Raises ConfigError, SourceError."""
    what, equals, path = text.partition("=")
    name, _, part = what.partition(":")
    if not equals or not path or name not in ANYWHERE:
        raise ConfigError(f"{text}: a set is given as NAME[:PART]=PATH; NAME is one of {', '.join(ANYWHERE)}")
    layout = ANYWHERE[name]
    part = part or layout.parts[0]
    if part not in layout.parts:
        raise ConfigError(f"{text}: {name} has no part '{part}'; there are {', '.join(layout.parts)}")
    members = layout.load(Path(path), part)
    simgas = layout.simgas or any(clip.name.startswith("simgasvid") for clip in members)
    return Footage(f"{name}:{part}", layout.kind, members, simgas)
