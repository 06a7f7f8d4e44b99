"""Evidence on disk: a folder for each leak or snapshot, each file whole or absent, never more bytes than allowed.

    ROOT/CAMERA/20260131T120000.000Z-EVENT_ID/event.json snapshot.jpg overlay.jpg clip.avi events.jsonl

Over the cap, or with too little space left for others on the disk, the oldest folder goes first, that of an open leak
never. One thread at a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from edge.errors import StorageError

_UNFINISHED = ".unfinished-"  # begins the name of a file that is being written


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is on the disk for good."""

    path: Path
    bytes: int
    sha256: str


class Archive:
    """The folders under `root`. Every failure is a StorageError."""

    def __init__(self, root: Path, max_bytes: int, min_free_bytes: int) -> None:
        self._root, self._max_bytes, self._min_free_bytes = root, max_bytes, min_free_bytes
        self._sizes: dict[str, int] | None = None  # CAMERA/TIME-ID -> bytes; None: not looked at yet
        self.bytes = 0  # of all files; may be read from other threads

    def keep(self, folder: str, name: str, write: Callable[[Path], None], size: int, spared: Collection[str]) -> Kept:
        """Let `write` make a file of about `size` bytes; folders whose name ends in one of `spared` are not touched."""
        final = self._root / folder / name
        unfinished = final.with_name(_UNFINISHED + name)
        try:
            sizes = self._known()
            final.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(folder, size, spared)
            try:
                write(unfinished)
                kept = _settle(unfinished, final)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"{error.filename or final}: cannot write: {error.strerror}; check space and rights"
            ) from error
        sizes[folder] = sizes.get(folder, 0) + kept.bytes
        self.bytes += kept.bytes
        return kept

    def _known(self) -> dict[str, int]:
        """What is there, at the first use; what a crash left unfinished goes."""
        if self._sizes is None:
            self._root.mkdir(parents=True, exist_ok=True)
            for leftover in self._root.glob(f"*/*/{_UNFINISHED}*"):
                leftover.unlink()
            folders = sorted(self._root.glob("*/*/"), key=lambda path: path.name)
            self._sizes = {
                str(folder.relative_to(self._root)): sum(file.stat().st_size for file in folder.iterdir())
                for folder in folders
            }
            self.bytes = sum(self._sizes.values())
        return self._sizes

    def _make_room(self, folder: str, size: int, spared: Collection[str]) -> None:
        sizes = self._known()
        while self.bytes + size > self._max_bytes or self._free() - size < self._min_free_bytes:
            oldest = min(
                (old for old in sizes if old != folder and not old.endswith(tuple(spared))),
                key=lambda old: old.rsplit("/", 1)[-1],
                default=None,
            )
            if oldest is None:
                raise StorageError(f"{self._root}: no room for {folder}; give evidence.max_bytes or the disk more")
            with contextlib.suppress(FileNotFoundError):  # somebody has tidied up
                shutil.rmtree(self._root / oldest)
            self.bytes -= sizes.pop(oldest)

    def _free(self) -> int:
        disk = os.statvfs(self._root)
        return disk.f_bavail * disk.f_frsize


def _settle(unfinished: Path, final: Path) -> Kept:
    """On the disk with all its bytes before it gets its name, which is on the disk before we go on."""
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
        digest, size = hashlib.sha256(), 0
        while part := file.read(1 << 20):
            digest.update(part)
            size += len(part)
    os.replace(unfinished, final)
    folder = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return Kept(final, size, digest.hexdigest())
