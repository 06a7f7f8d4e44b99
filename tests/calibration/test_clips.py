"""Each loader finds its footage by the layout it has on disk, and says what to do where it does not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import clips
from calibration.clips import Box
from edge.errors import SourceError

SIZE = (64, 48)  # width, height


def image(path: Path, value: int = 90, block: tuple[int, int, int, int] | None = None) -> None:
    """A grey picture, with a white rectangle (x1, y1, x2, y2) where asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full(SIZE[::-1], value, np.uint8)
    if block:
        x1, y1, x2, y2 = block
        picture[y1 : y2 + 1, x1 : x2 + 1] = 255
    cv2.imwrite(str(path), picture)


def video(path: Path, levels: list[int], fps: float = 15.0) -> None:
    """Frames whose left half has the given grey levels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, SIZE, isColor=False)
    for level in levels:
        frame = np.zeros(SIZE[::-1], np.uint8)
        frame[:, : SIZE[0] // 2] = level
        writer.write(frame)
    writer.release()


def table(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def test_simgas_masks_are_where_the_plumes_alpha_is_above_10(tmp_path: Path) -> None:
    video(tmp_path / "simgas" / "simgasvid3.mp4", [90] * 4)
    video(tmp_path / "simgas" / "smoke_only3.mp4", [0, 0, 60, 200])
    (clip,) = clips.simgas(tmp_path)
    frames = list(clip.frames())
    assert clip.name == "simgasvid3"
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert frames[3].captured - frames[0].captured == pytest.approx(3 / 15)
    covered = [np.count_nonzero(clip.truth.at(frame.index)) for frame in frames]
    half = SIZE[0] * SIZE[1] // 2
    assert covered[:2] == [0, 0]
    assert covered[2] == pytest.approx(half, rel=0.05)
    assert covered[3] == pytest.approx(half, rel=0.05)
    assert clip.truth.at(4) is None


def test_simgas_clips_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in ("10", "2", "15_crowd", "16", "15"):
        video(tmp_path / "simgas" / f"simgasvid{number}.mp4", [90])
        video(tmp_path / "simgas" / f"smoke_only{number}.mp4", [0])
    ordered = [f"simgasvid{number}" for number in ("2", "10", "15", "15_crowd", "16")]
    assert [clip.name for clip in clips.simgas(tmp_path)] == ordered


def test_simgas_without_its_alpha_is_named(tmp_path: Path) -> None:
    video(tmp_path / "simgas" / "simgasvid3.mp4", [90])
    with pytest.raises(SourceError, match=r"smoke_only3\.mp4: the plume's alpha for simgasvid3\.mp4 is missing"):
        clips.simgas(tmp_path)


def test_gasvid_knows_only_its_labelled_frames(tmp_path: Path) -> None:
    video(tmp_path / "real" / "gasvid_mov7.mp4", [90] * 3)
    image(tmp_path / "real" / "gasvid_mov7_masks" / "000001.png", 0, (5, 5, 9, 9))
    image(tmp_path / "real" / "gasvid_mov7_masks" / "000002.png", 0)
    (clip,) = clips.gasvid(tmp_path)
    assert clip.truth.at(0) is None
    labelled, empty = clip.truth.at(1), clip.truth.at(2)
    assert isinstance(labelled, np.ndarray)
    assert labelled.dtype == bool
    assert np.argwhere(labelled).min(axis=0).tolist() == [5, 5]
    assert np.count_nonzero(labelled) == 25
    assert isinstance(empty, np.ndarray)
    assert not empty.any()


def test_the_onset_of_a_gasvid_release_is_known_where_somebody_looked(tmp_path: Path) -> None:
    for name in ("mov7", "mov1467"):
        video(tmp_path / "real" / f"gasvid_{name}.mp4", [90])
        image(tmp_path / "real" / f"gasvid_{name}_masks" / "000000.png", 0)
    assert {clip.name: clip.onset for clip in clips.gasvid(tmp_path)} == {"gasvid_mov7": None, "gasvid_mov1467": 300}


def test_a_gasvid_mask_without_a_number_is_named(tmp_path: Path) -> None:
    video(tmp_path / "real" / "gasvid_mov7.mp4", [90])
    image(tmp_path / "real" / "gasvid_mov7_masks" / "last.png")
    with pytest.raises(SourceError, match=r"last\.png: a mask is named by its frame's number"):
        clips.gasvid(tmp_path)


def test_god_boxes_count_frames_from_1_and_clips_from_0(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        image(tmp_path / "real" / "god_007" / f"{number:05d}.png", 40 * number)
    table(tmp_path / "real" / "god_007_boxes.csv", "frame_1based,x1,y1,x2,y2", "1,10,20,30,40", "3,11,21,31,41")
    (clip,) = clips.god(tmp_path)
    frames = list(clip.frames())
    assert [int(frame.image.flat[0]) for frame in frames] == [40, 80, 120]
    assert frames[2].captured - frames[0].captured == pytest.approx(2 / 20)
    assert [clip.truth.at(frame.index) for frame in frames] == [Box(10, 20, 30, 40), None, Box(11, 21, 31, 41)]


def test_god_boxes_without_their_frames_are_named(tmp_path: Path) -> None:
    table(tmp_path / "real" / "god_007_boxes.csv", "frame_1based,x1,y1,x2,y2", "1,10,20,30,40")
    with pytest.raises(SourceError, match=r"god_007: the frames that god_007_boxes\.csv labels are missing"):
        clips.god(tmp_path)


def test_background_clips_are_gas_free_and_come_by_split(tmp_path: Path) -> None:
    folder = tmp_path / "thermal_background"
    header = "file,width,height,frames,fps,max_shift_px_per_s,scene,split"
    table(folder / "index.csv", header, "a.mp4,64,48,2,15,0.1,s1,train", "b.mp4,64,48,2,15,0.1,s2,val")
    video(folder / "a.mp4", [50, 60])
    video(folder / "b.mp4", [70, 80])
    assert [clip.name for clip in clips.thermal_background(tmp_path)] == ["a", "b"]
    (clip,) = clips.thermal_background(tmp_path, "val")
    assert clip.name == "b"
    assert len(list(clip.frames())) == 2
    truth = clip.truth.at(1)
    assert isinstance(truth, np.ndarray)
    assert truth.shape == (48, 64)
    assert not truth.any()


def test_an_index_without_its_columns_is_named(tmp_path: Path) -> None:
    table(tmp_path / "thermal_background" / "index.csv", "file,width,height,split", "a.mp4,64,48,val")
    with pytest.raises(SourceError, match="column 'scene' is missing"):
        clips.thermal_background(tmp_path)


def test_a_still_is_a_gas_free_clip_of_one_frame(tmp_path: Path) -> None:
    folder = tmp_path / "aerial_thermal_stills"
    table(folder / "index.csv", "file,split", "one.jpg,train", "two.jpg,val")
    image(folder / "one.jpg")
    image(folder / "two.jpg")
    (clip,) = clips.aerial_stills(tmp_path, "val")
    (frame,) = clip.frames()
    truth = clip.truth.at(0)
    assert clip.name == "two"
    assert frame.image.shape[:2] == (48, 64)
    assert isinstance(truth, np.ndarray)
    assert truth.shape == (48, 64)


def test_a_plain_folder_pairs_masks_with_frames_by_name(tmp_path: Path) -> None:
    for name in ("f3", "f5", "f9"):
        image(tmp_path / "mine" / "frames" / f"{name}.png")
    image(tmp_path / "mine" / "masks" / "f5.png", 0, (0, 0, 3, 3))
    clip = clips.folder(tmp_path / "mine", fps=10)
    assert clip.name == "mine"
    assert [frame.captured for frame in clip.frames()] == pytest.approx([0.0, 0.1, 0.2])
    labelled = clip.truth.at(1)
    assert isinstance(labelled, np.ndarray)
    assert np.count_nonzero(labelled) == 16
    assert clip.truth.at(0) is None


def test_a_plain_folder_counts_its_frames_as_the_source_does(tmp_path: Path) -> None:
    for value, name in enumerate(("a2", "a10", "b1"), 1):
        image(tmp_path / "mine" / "frames" / f"{name}.png", 50 * value)
        image(tmp_path / "mine" / "masks" / f"{name}.png", 0, (0, 0, value, 0))
    clip = clips.folder(tmp_path / "mine")
    shown = [int(frame.image[0, 0]) // 50 for frame in clip.frames()]
    labelled = [int(np.count_nonzero(clip.truth.at(index))) - 1 for index in range(3)]
    assert shown == labelled == [1, 2, 3]


def test_a_mask_without_its_frame_is_named(tmp_path: Path) -> None:
    image(tmp_path / "mine" / "frames" / "f3.png")
    image(tmp_path / "mine" / "masks" / "f4.png")
    with pytest.raises(SourceError, match=r"f4\.png: no frame of that name"):
        clips.folder(tmp_path / "mine")


@pytest.mark.parametrize("loader", [clips.simgas, clips.gasvid, clips.god, clips.thermal_background])
def test_footage_that_is_absent_says_how_to_name_it(loader, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SourceError, match=r"--data \(or FGSTP_DATA\) must name the folder above it"):
        loader(tmp_path)


def test_the_footage_folder_is_the_argument_else_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("FGSTP_DATA", str(tmp_path))
    assert clips.root() == tmp_path
    assert clips.root(tmp_path / "other") == tmp_path / "other"
    with pytest.raises(SourceError, match="nowhere: no such footage folder"):
        clips.root(tmp_path / "nowhere")
    monkeypatch.delenv("FGSTP_DATA")
    with pytest.raises(SourceError, match="pass --data DIR or set FGSTP_DATA"):
        clips.root()
