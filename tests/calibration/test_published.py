"""Each published layout, as small as it can be: what is read, how it is divided, what is said when it is absent."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import published
from calibration.clips import Box, Clip, GasFree
from edge.errors import SourceError
from tests.calibration.test_clips import SIZE, image


def scene(path: Path, frames: int = 3) -> None:
    """A scene as FGSTP and JVLGS read it: gas in the second frame, masks of 0 and 1 or 0 and 255."""
    for number in range(1, frames + 1):
        image(path / "images" / f"{number}.jpg", 20 * number)
        image(path / "masks" / f"{number}.png", 0, (2, 3, 5, 6) if number == 2 else None)


def test_scenes_pair_images_with_masks_by_name_in_natural_order(tmp_path: Path) -> None:
    scene(tmp_path / "test" / "MOV_1476", 11)
    scene(tmp_path / "test" / "MOV_226")
    scene(tmp_path / "train" / "MOV_1")
    small, large = published.divided_scenes(tmp_path, "test")
    assert (small.name, large.name) == ("MOV_226", "MOV_1476")
    assert [int(frame.image.flat[0]) for frame in small.frames()] == pytest.approx([20, 40, 60], abs=2)
    covered = [int(np.count_nonzero(large.truth.at(index))) for index in range(11)]
    assert covered == [0, 16, *[0] * 9]
    assert large.truth.at(11) is None
    assert [clip.name for clip in published.divided_scenes(tmp_path, "train")] == ["MOV_1"]


def test_a_scenes_mask_is_what_is_brighter_than_half_its_maximum(tmp_path: Path) -> None:
    scene(tmp_path / "a")
    for name, level in (("1", 1), ("3", 200)):
        picture = np.zeros(SIZE[::-1], np.uint8)
        picture[0, :4] = level
        picture[1, :4] = level // 2
        cv2.imwrite(str(tmp_path / "a" / "masks" / f"{name}.png"), picture)
    (clip,) = published.scenes(tmp_path)
    assert [int(np.count_nonzero(clip.truth.at(index))) for index in range(3)] == [4, 16, 4]


def test_scenes_that_are_absent_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"val: no scenes here"):
        published.divided_scenes(tmp_path, "val")
    (tmp_path / "val").mkdir()
    with pytest.raises(SourceError, match=r"val: no scenes here"):
        published.divided_scenes(tmp_path, "val")


def simgas(*names: str) -> list[Clip]:
    return [Clip(name, Path(name), GasFree((1, 1))) for name in names]


def test_folds_of_simgas_are_seven_then_six_in_natural_order() -> None:
    names = [f"vid{number}" for number in range(1, 32)]
    clips = simgas(*sorted(names))  # vid1, vid10, vid11 … as a folder lists them
    folds = [[clip.name for clip in published.fold(clips, number)] for number in range(1, 6)]
    assert folds[0] == [f"vid{number}" for number in range(1, 8)]
    assert folds[1] == [f"vid{number}" for number in range(8, 14)]
    assert folds[4] == [f"vid{number}" for number in range(26, 32)]
    assert [len(fold) for fold in folds] == [7, 6, 6, 6, 6]
    assert [name for fold in folds for name in fold] == names


def test_some_of_simgas_has_no_folds() -> None:
    with pytest.raises(SourceError, match=r"drawn from all 31 clips and there are 8"):
        published.fold(simgas(*(f"vid{number}" for number in range(8))), 1)


def test_igs_frames_are_clips_of_one_with_class_numbers_for_masks(tmp_path: Path) -> None:
    for part, names in (("val", ("7", "12")), ("train", ("1",))):
        for name in names:
            image(tmp_path / "img_dir" / part / f"{name}.jpg", 90)
            classes = np.zeros(SIZE[::-1], np.uint8)
            classes[4:8, 4:8] = 1
            (tmp_path / "ann_dir" / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "ann_dir" / part / f"{name}.png"), classes)
    clips = published.igs(tmp_path, "val")
    assert [clip.name for clip in clips] == ["7", "12"]
    (frame,) = clips[1].frames()
    assert frame.image.shape[:2] == SIZE[::-1]
    assert np.count_nonzero(clips[1].truth.at(0)) == 16
    assert [clip.name for clip in published.igs(tmp_path, "train")] == ["1"]


def test_an_igs_mask_without_its_frame_is_named(tmp_path: Path) -> None:
    image(tmp_path / "img_dir" / "val" / "1.jpg")
    image(tmp_path / "ann_dir" / "val" / "2.png")
    with pytest.raises(SourceError, match=r"2\.png: no frame of that name"):
        published.igs(tmp_path, "val")


def iod(path: Path, **changes: object) -> None:
    """IOD-Video of three clips: its table, and frames of two."""
    names = [f"TrueLeakedGas/{name}" for name in ("001_wild_static_vague", "002_lab_static_clear", "079_wild_dynamic")]
    for name in names[:2]:
        for number in (1, 2, 3):
            image(path / "Frames" / name / f"{number:05d}.png", 50)
    tubes = {
        names[0]: {0: [np.array([[1, 10.2, 20, 30, 40], [2, 11, 21, 31, 41.6]], np.float32)]},
        names[1]: {0: [np.array([[2, 1, 2, 3, 4]], np.float32), np.array([[2, 2, 1, 8, 3]], np.float32)]},
        names[2]: {0: []},
    }
    table = {
        "labels": ["TrueLeakedGas"],
        "gttubes": tubes,
        "nframes": dict.fromkeys(names, 3),
        "train_videos": [names[1:], names[:1], names[:2]],
        "test_videos": [names[:1], names[1:2], names[2:]],
        "resolution": dict.fromkeys(names, (48, 64)),
    }
    (path / "TrueLeakedGas.pkl").write_bytes(pickle.dumps(table | changes, protocol=2))


def test_iod_video_has_three_splits_and_boxes_from_frame_1(tmp_path: Path) -> None:
    iod(tmp_path)
    (clip,) = published.iod_video(tmp_path, "test1")
    assert (clip.name, clip.onset) == ("001_wild_static_vague", 0)
    assert len(list(clip.frames())) == 3
    assert [clip.truth.at(index) for index in range(3)] == [Box(10, 20, 30, 40), Box(11, 21, 31, 42), None]
    (second,) = published.iod_video(tmp_path, "test2")
    assert second.name == "002_lab_static_clear"
    assert second.truth.at(1) == Box(1, 1, 8, 4), "the box around both"
    assert [clip.name for clip in published.iod_video(tmp_path, "train3")] == [
        "001_wild_static_vague",
        "002_lab_static_clear",
    ]


def test_iod_frames_that_are_absent_are_named(tmp_path: Path) -> None:
    iod(tmp_path)
    with pytest.raises(SourceError, match=r"079_wild_dynamic: the frames that TrueLeakedGas\.pkl labels are missing"):
        published.iod_video(tmp_path, "test3")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("/tmp/never"),)


def test_a_table_that_would_run_something_is_refused(tmp_path: Path) -> None:
    iod(tmp_path, labels=Evil())
    with pytest.raises(SourceError, match=r"TrueLeakedGas\.pkl: not a table of arrays \(it asks for"):
        published.iod_video(tmp_path, "test1")


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"labels": []})])
def test_a_damaged_table_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "TrueLeakedGas.pkl").write_bytes(content)
    with pytest.raises(SourceError, match=r"TrueLeakedGas\.pkl.*copy"):
        published.iod_video(tmp_path, "test1")


def test_an_absent_table_says_which_folder_is_meant(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the folder must be IOD-Video's data/TLGDM"):
        published.iod_video(tmp_path, "test1")
