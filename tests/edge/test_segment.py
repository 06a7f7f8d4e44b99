"""`segment` writes what the pipeline says, replaces what was there, and keeps what a broken source gave."""

from __future__ import annotations

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import segment as module
from edge.errors import BrokenSource, ConfigError, StorageError
from edge.segment import segment
from tests.conftest import check
from tests.edge.calibrations import calibration
from tests.edge.fakes import FPS, FakeSegmenter, picture, write_clip


@pytest.fixture(autouse=True)
def _fake(monkeypatch):
    monkeypatch.setattr(module, "open_segmenter", lambda *_args, **_options: FakeSegmenter())


@pytest.fixture
def clip(tmp_path) -> str:
    return str(write_clip(tmp_path / "clip", 120, plume_from=10))


def lines(file: Path, kind: str) -> list[dict]:
    return [check(kind, line) for line in file.read_text().splitlines()]


def test_masks_summaries_events_and_overlay_are_written(clip, tmp_path):
    out = tmp_path / "out"
    outcome = segment(clip, out, fps=FPS, with_overlay=True)
    assert (outcome.frames, outcome.leaks) == (120, 1)
    masks = sorted(out.glob("masks/*.png"))
    assert [mask.name for mask in masks] == [f"{n:06d}.png" for n in range(120)]
    mask = cv2.imread(str(masks[50]), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(mask, np.where(picture(True, 50) > 128, 255, 0))
    assert not cv2.imread(str(masks[0]), cv2.IMREAD_UNCHANGED).any()
    summaries = lines(out / "summaries.jsonl", "summary")
    assert [said["frame"] for said in summaries] == list(range(120))
    assert summaries[50]["area_px"] == 40 * 60
    events = lines(out / "events.jsonl", "event")
    assert events[0]["type"] == "start"
    assert events[0]["provenance"]["model"] == "student.int8"
    video = cv2.VideoCapture(str(out / "overlay.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 120
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(FPS)


def test_an_earlier_result_leaves_nothing_behind(clip, tmp_path):
    out = tmp_path / "out"
    segment(clip, out, fps=FPS, with_overlay=True)
    (out / "notes.txt").write_text("mine")
    segment(str(write_clip(tmp_path / "short", 3)), out, fps=FPS)
    assert len(list(out.glob("masks/*.png"))) == 3
    assert len(lines(out / "summaries.jsonl", "summary")) == 3
    assert lines(out / "events.jsonl", "event") == []
    assert not (out / "overlay.mp4").exists()
    assert (out / "notes.txt").read_text() == "mine"


def test_the_camera_file_sets_the_smallest_plume_and_marks_the_events(clip, tmp_path):
    share = 40 * 60 / (320 * 240)
    plain, small = tmp_path / "plain", tmp_path / "small"
    segment(clip, plain, fps=FPS)
    segment(clip, small, fps=FPS, calibration=calibration(min_area_share=0.9 * share))
    hashes = [lines(out / "events.jsonl", "event")[0]["provenance"]["config_hash"] for out in (plain, small)]
    assert hashes[0] != hashes[1]
    assert segment(clip, small, fps=FPS, calibration=calibration(min_area_share=1.1 * share)).leaks == 0


def test_a_camera_file_of_another_size_is_refused_before_anything_is_replaced(clip, tmp_path):
    out = tmp_path / "out"
    segment(clip, out, fps=FPS)
    with pytest.raises(ConfigError, match="made for pictures of 640x480, but the source gives 320x240"):
        segment(clip, out, fps=FPS, calibration=calibration(size=(640, 480)))
    assert len(list(out.glob("masks/*.png"))) == 120


def test_what_came_before_a_break_is_kept(clip, tmp_path):
    (Path(clip) / "000110.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    with pytest.raises(BrokenSource, match=r"000110\.png.*; the 110 frames before it are kept in .*out"):
        segment(clip, out, fps=FPS, with_overlay=True)
    assert len(list(out.glob("masks/*.png"))) == 110
    assert len(lines(out / "summaries.jsonl", "summary")) == 110
    assert lines(out / "events.jsonl", "event")[0]["type"] == "start"
    assert int(cv2.VideoCapture(str(out / "overlay.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)) == 110


def test_a_place_that_cannot_be_written_is_named(clip, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file.*: cannot write: Not a directory; free some space or choose another"):
        segment(clip, tmp_path / "file" / "out", fps=FPS)


def test_a_full_disk_is_named(clip, tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "000005.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match=r"000005\.png: cannot write: No space left on device"):
        segment(clip, tmp_path / "out", fps=FPS)
    assert len(lines(tmp_path / "out" / "summaries.jsonl", "summary")) == 5
