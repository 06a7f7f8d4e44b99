"""Evidence on disk: whole files, bounded, the oldest first, that of an open leak never."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from edge.archive import Archive
from edge.errors import StorageError


def of(size: int):
    def write(path: Path) -> None:
        path.write_bytes(b"x" * size)

    return write


def folders(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.glob("*/*"))


def keep(archive: Archive, folder: str, size: int = 400, spared=(), name: str = "snapshot.jpg"):
    return archive.keep(folder, name, of(size), size, spared)


def test_a_file_is_kept_under_its_name_with_its_hash(tmp_path):
    kept = keep(Archive(tmp_path / "new", 1000, 0), "north/1-a")
    assert kept.path == tmp_path / "new" / "north" / "1-a" / "snapshot.jpg"
    assert kept.path.read_bytes() == b"x" * 400
    assert (kept.bytes, kept.sha256) == (400, hashlib.sha256(b"x" * 400).hexdigest())
    assert [path.name for path in kept.path.parent.iterdir()] == ["snapshot.jpg"]


def test_the_oldest_goes_first_whatever_its_camera(tmp_path):
    archive = Archive(tmp_path, 1000, 0)
    for folder in ("south/1-a", "north/2-b", "north/3-c", "south/4-d"):
        keep(archive, folder)
        assert archive.bytes <= 1000
    assert folders(tmp_path) == ["north/3-c", "south/4-d"]


def test_an_open_leak_s_evidence_stays_and_nothing_is_kept_beside_it_where_there_is_no_room(tmp_path):
    archive = Archive(tmp_path, 1000, 0)
    keep(archive, "north/1-a", spared={"a"})
    keep(archive, "north/2-b", spared={"a"})
    keep(archive, "north/3-c", spared={"a"})
    assert folders(tmp_path) == ["north/1-a", "north/3-c"]
    with pytest.raises(StorageError, match=r"no room for north/4-d; give evidence\.max_bytes or the disk more"):
        keep(archive, "north/4-d", spared={"a", "c"})
    keep(archive, "north/4-d", spared={"c"})
    assert [name for name in folders(tmp_path) if any((tmp_path / name).iterdir())] == ["north/3-c", "north/4-d"]


def test_what_was_there_before_the_start_counts(tmp_path):
    first = Archive(tmp_path, 1000, 0)
    keep(first, "north/1-a")
    keep(first, "north/1-a", name="overlay.jpg")
    again = Archive(tmp_path, 1000, 0)
    keep(again, "north/2-b")
    assert folders(tmp_path) == ["north/2-b"]
    assert again.bytes == 400


def test_what_a_crash_left_unfinished_goes_at_the_next_start(tmp_path):
    class Killed(BaseException):
        pass

    def dies(path: Path) -> None:
        path.write_bytes(b"half")
        (tmp_path / "seen").write_text(path.name)
        shutil.copy(path, path.with_name(path.name + "2"))  # what the end of a killed process would not tidy up
        raise Killed

    with pytest.raises(Killed):
        Archive(tmp_path, 1000, 0).keep("north/1-a", "clip.avi", dies, 4, ())
    assert not (tmp_path / "north" / "1-a" / "clip.avi").exists()
    assert (tmp_path / "seen").read_text().startswith(".unfinished-")
    keep(Archive(tmp_path, 1000, 0), "north/1-a")
    assert [path.name for path in (tmp_path / "north" / "1-a").iterdir()] == ["snapshot.jpg"]


def test_space_is_left_to_others(tmp_path, monkeypatch):
    archive = Archive(tmp_path, 10_000, 2000)
    real = os.statvfs(tmp_path)

    class Disk:
        f_frsize = 1

        @property
        def f_bavail(self) -> int:
            return 3000 - sum(path.stat().st_size for path in tmp_path.glob("*/*/*"))

    assert real.f_frsize > 0
    monkeypatch.setattr(os, "statvfs", lambda _path: Disk())
    for folder in ("north/1-a", "north/2-b", "north/3-c"):
        keep(archive, folder)
    assert folders(tmp_path) == ["north/2-b", "north/3-c"]
    with pytest.raises(StorageError, match="no room"):
        keep(archive, "north/4-d", size=1200)


def test_a_full_disk_is_an_error_that_leaves_nothing_behind_and_may_pass(tmp_path, monkeypatch):
    archive = Archive(tmp_path, 1000, 0)

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"snapshot\.jpg: cannot write: No space left on device; check space"):
            keep(archive, "north/1-a")
    assert list(tmp_path.glob("*/*/*")) == []
    assert archive.bytes == 0
    keep(archive, "north/1-a")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file/evidence: cannot write: Not a directory"):
        keep(Archive(tmp_path / "file" / "evidence", 1000, 0), "north/1-a")


def test_a_folder_that_somebody_removed_is_not_missed(tmp_path):
    archive = Archive(tmp_path, 1000, 0)
    keep(archive, "north/1-a")
    keep(archive, "north/2-b")
    shutil.rmtree(tmp_path / "north" / "1-a")
    keep(archive, "north/3-c")
    assert folders(tmp_path) == ["north/2-b", "north/3-c"]
