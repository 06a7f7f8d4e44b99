"""A virtual camera over clips: the truth goes where the picture goes, and a name and a seed make one flight."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import aloft, sets
from calibration.aloft import Flown, flights
from calibration.clips import Box, Boxes, Clip, GasFree, MaskFiles
from calibration.flight import FLIGHTS, Flight
from edge.records import Array

WIDTH, HEIGHT, FRAMES = 160, 120, 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright block before a dark, plain view; its mask, its box."""
    root = tmp_path_factory.mktemp("clip")
    block = np.zeros((HEIGHT, WIDTH), np.uint8)
    block[40:80, 60:100] = 200
    for kind in ("frames", "masks"):
        (root / kind).mkdir()
        for at in range(FRAMES):
            cv2.imwrite(str(root / kind / f"{at:03}.png"), block)
    return root


def clip(folder: Path) -> Clip:
    files = {at: folder / "masks" / f"{at:03}.png" for at in range(FRAMES)}
    return Clip("block", folder / "frames", MaskFiles(files), fps=15.0, onset=3)


def images(flown: Clip) -> list[Array]:
    return [frame.image if frame.image.ndim == 2 else frame.image[..., 0] for frame in flown.frames()]


@pytest.mark.parametrize("motion", [*FLIGHTS])
def test_the_mask_goes_where_the_picture_goes(folder: Path, motion: str) -> None:
    flown = Flown.over(clip(folder), FLIGHTS[motion], seed=1)
    pictures = images(flown)
    for at, picture in enumerate(pictures):
        mask = flown.truth.at(at)
        assert picture.shape == mask.shape == (84, 112)
        assert (mask ^ (picture > 100)).mean() < 0.01
    moved = any(not np.array_equal(one, pictures[0]) for one in pictures)
    assert moved == (motion != "still")
    assert (flown.name, flown.onset, flown.fps) == ("block", 3, 15.0)


def test_a_box_is_moved_along_and_lost_with_the_view(folder: Path) -> None:
    boxed = Clip("block", folder / "frames", Boxes({at: Box(60, 40, 99, 79) for at in range(FRAMES)}), fps=15.0)
    flown = Flown.over(boxed, Flight(pan=2.0), seed=0)
    for at, picture in enumerate(images(flown)):
        x, y, width, height = cv2.boundingRect((picture > 100).astype(np.uint8))
        assert flown.truth.at(at) == Box(x, y, x + width - 1, y + height - 1)
    gone = Clip("block", folder / "frames", Boxes({0: Box(0, 0, 5, 5)}), fps=15.0)
    assert Flown.over(gone, FLIGHTS["still"], seed=0).truth.at(0) is None
    assert Flown.over(gone, FLIGHTS["still"], seed=0).truth.at(1) is None


def test_a_rolling_shutter_leans_picture_and_mask_alike(folder: Path) -> None:
    flown = Flown.over(clip(folder), Flight(pan=6.0, readout=0.9), seed=1)
    for at, picture in enumerate(images(flown)):
        assert (flown.truth.at(at) ^ (picture > 100)).mean() < 0.01
    colours = np.repeat(cv2.imread(str(folder / "frames" / "000.png"), 0)[..., None], 3, axis=2)
    assert np.array_equal(flown.way.window(colours, 7)[..., 1], flown.way.window(colours[..., 1], 7))


def test_a_seed_is_a_flight_in_every_process(folder: Path) -> None:
    one = Flown.over(clip(folder), FLIGHTS["shake"], seed=1)
    again = pickle.loads(pickle.dumps(one))
    other = Flown.over(clip(folder), FLIGHTS["shake"], seed=2)
    assert all(map(np.array_equal, images(one), images(again)))
    assert not all(map(np.array_equal, images(one), images(other)))


def test_a_long_flight_begins_as_a_short_one(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    way = Flown.over(clip(folder), FLIGHTS["shake"], seed=1).way
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH)).astype(np.uint8)
    early = way.window(picture, 5)
    monkeypatch.setattr(aloft, "BLOCK", 16)
    aloft._course.cache_clear()
    assert np.array_equal(way.window(picture, 5), early)
    way.window(picture, 40)
    assert np.array_equal(way.window(picture, 5), early)
    aloft._course.cache_clear()


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of a still camera, one of a moving one and a still, all val; more in train."""
    root = tmp_path_factory.mktemp("footage")
    field = np.random.default_rng(0).uniform(60, 180, (512, 640))
    picture = cv2.GaussianBlur(field, (0, 0), 3).astype(np.uint8)
    for name in ("thermal_background", "aerial_thermal_stills"):
        (root / name).mkdir()
    lines = ["file,width,height,frames,fps,max_shift_px_per_s,scene,split"]
    for name, shift, split in (("a", 0.1, "val"), ("b", 40, "val"), ("c", 40, "train")):
        path = root / "thermal_background" / f"{name}.mp4"
        video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (320, 256), isColor=False)
        for at in range(8):
            video.write(picture[:256, 5 * at : 5 * at + 320].copy())
        video.release()
        lines.append(f"{name}.mp4,320,256,8,30,{shift},s{name},{split}")
    (root / "thermal_background" / "index.csv").write_text("\n".join(lines))
    cv2.imwrite(str(root / "aerial_thermal_stills" / "d.jpg"), picture)
    cv2.imwrite(str(root / "aerial_thermal_stills" / "e.jpg"), picture)
    (root / "aerial_thermal_stills" / "index.csv").write_text("file,split\nd.jpg,val\ne.jpg,train\n")
    return root


def test_flights_are_of_three_parts_and_of_what_training_does_not_see(footage: Path) -> None:
    assert [one.name for one in flights(footage)] == ["moved/b", "film/a.0", "film/a.1", "still/d"]
    found = sets.of_folder("flights", footage)
    assert (found.kind, found.motion, found.simgas) == ("gas_free", None, False)
    assert all(isinstance(one.truth, GasFree) for one in found.clips)
    for one in found.clips[1:]:
        seen = [one.way.window(np.indices(one.way.whole)[1].astype(np.float32), at) for at in range(0, 90, 5)]
        assert np.ptp(seen, axis=0).mean() > 1, "every virtual flight moves"
    assert "flights" not in sets.USUAL


def test_a_survey_flies_over_a_still_with_the_noise_of_a_camera(footage: Path) -> None:
    survey = flights(footage)[-1]
    frames = []
    for frame in survey.frames():
        frames.append(frame)
        if len(frames) == 20:
            break
    assert all(frame.image.shape == aloft.STILL_SIZE and frame.image.dtype == np.uint8 for frame in frames)
    assert frames[15].captured == pytest.approx(1.0)
    rough = frames[0].image.astype(float) - cv2.GaussianBlur(frames[0].image.astype(float), (0, 0), 2)
    assert 0.5 < rough.std() < 2.0
    assert not np.array_equal(frames[0].image, frames[1].image)


def test_sets_are_named_by_how_the_camera_moves(folder: Path) -> None:
    still = sets.anywhere(f"folder={folder}")
    flown = still.flown("pan", seed=3)
    assert (flown.name, flown.motion, flown.kind) == ("folder:all@pan", "pan", "masks")
    assert isinstance(flown.clips[0], Flown)
