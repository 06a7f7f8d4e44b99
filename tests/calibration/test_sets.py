"""Footage by name: what "NAME:PART=PATH" means, and what is said of a name that means nothing."""

from pathlib import Path

import pytest

from calibration import sets
from edge.errors import ConfigError, SourceError
from tests.calibration.test_clips import image, table, video
from tests.calibration.test_published import iod, scene


def simgas(path: Path, count: int) -> None:
    for number in range(1, count + 1):
        video(path / f"simgasvid{number}.mp4", [90])
        video(path / f"smoke_only{number}.mp4", [0])


def test_a_set_of_the_footage_folder_knows_its_truth(tmp_path: Path) -> None:
    simgas(tmp_path / "simgas", 2)
    footage = sets.of_folder("simgas", tmp_path)
    assert (footage.name, footage.kind, footage.simgas, len(footage.clips)) == ("simgas", "masks", True, 2)
    header = "file,width,height,frames,fps,max_shift_px_per_s,scene,split"
    table(
        tmp_path / "thermal_background" / "index.csv", header, "a.mp4,64,48,2,15,0,s,train", "b.mp4,64,48,2,15,0,s,val"
    )
    footage = sets.of_folder("background", tmp_path)
    assert (footage.kind, footage.simgas, [clip.name for clip in footage.clips]) == ("gas_free", False, ["b"])


def test_each_published_set_is_read_by_its_name(tmp_path: Path) -> None:
    scene(tmp_path / "gasvid" / "val" / "one")
    iod(tmp_path / "iod")
    scene(tmp_path / "frames" / "one")
    image(tmp_path / "igs" / "img_dir" / "val" / "1.png")
    image(tmp_path / "igs" / "ann_dir" / "val" / "1.png")
    found = [
        sets.anywhere(f"{what}={tmp_path}/{folder}")
        for what, folder in (
            ("gasvid:val", "gasvid"),
            ("igs-few:val", "gasvid"),
            ("iod", "iod"),
            ("iod:test2", "iod"),
            ("igs", "igs"),
            ("simgas-frames", "frames"),
        )
    ]
    assert [footage.name for footage in found] == [
        "gasvid:val",
        "igs-few:val",
        "iod:test1",
        "iod:test2",
        "igs:val",
        "simgas-frames:all",
    ]
    assert [footage.kind for footage in found] == ["masks", "masks", "boxes", "boxes", "masks", "masks"]
    assert [footage.simgas for footage in found] == [False, False, False, False, False, True]
    assert all(len(footage.clips) == 1 for footage in found)


def test_a_fold_of_simgas_is_a_part(tmp_path: Path) -> None:
    simgas(tmp_path, 31)
    footage = sets.anywhere(f"simgas:fold2={tmp_path}")
    assert [clip.name for clip in footage.clips] == [f"simgasvid{number}" for number in range(8, 14)]
    assert footage.simgas
    assert len(sets.anywhere(f"simgas={tmp_path}").clips) == 31


def test_ones_own_clips_are_one_folder_or_many(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for kind in ("frames", "masks"):
            image(tmp_path / name / kind / "1.png")
    assert [clip.name for clip in sets.anywhere(f"folder={tmp_path}").clips] == ["a", "b"]
    assert [clip.name for clip in sets.anywhere(f"folder={tmp_path}/a").clips] == ["a"]
    with pytest.raises(ConfigError, match=r"nowhere: neither frames/ and masks/ nor folders that have them"):
        sets.anywhere(f"folder={tmp_path}/nowhere")


def test_simgas_under_another_name_is_still_simgas(tmp_path: Path) -> None:
    for kind in ("frames", "masks"):
        image(tmp_path / "simgasvid3" / kind / "1.png")
    assert sets.anywhere(f"folder={tmp_path}").simgas


@pytest.mark.parametrize("text", ["gasvid", "gasvid=", "=path", "gasvids=path", "gasvids:test=path"])
def test_a_set_that_means_nothing_says_what_would(text: str) -> None:
    with pytest.raises(ConfigError, match=r"NAME\[:PART\]=PATH; NAME is one of simgas, .*iod, folder"):
        sets.anywhere(text)


def test_an_unknown_part_says_which_there_are() -> None:
    with pytest.raises(ConfigError, match=r"gasvid has no part 'fold1'; there are test, val, train"):
        sets.anywhere("gasvid:fold1=path")


def test_absent_footage_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        sets.anywhere(f"simgas={tmp_path}")
