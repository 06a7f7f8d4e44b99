"""The real footage, where it is: every clip is found, and its truth is what its README says."""

import os
from pathlib import Path

import numpy as np
import pytest

from calibration import clips

DATA = Path(os.environ.get("FGSTP_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="footage absent: set FGSTP_DATA")


def test_simgas_has_a_mask_for_every_frame() -> None:
    found = clips.simgas(DATA)
    assert len(found) == 8
    clip = next(clip for clip in found if clip.name == "simgasvid16")
    frames = list(clip.frames())
    masks = [clip.truth.at(frame.index) for frame in frames]
    assert len(frames) == 250
    assert clip.truth.at(250) is None
    assert all(isinstance(mask, np.ndarray) and mask.shape == (240, 320) and mask.sum() >= 16 for mask in masks)
    assert frames[-1].captured - frames[0].captured == pytest.approx(249 / 14.9167, rel=1e-3)


def test_gasvid_has_26_labelled_frames_of_which_9_are_empty() -> None:
    (clip,) = clips.gasvid(DATA)
    labelled = [mask for index in range(2208) if (mask := clip.truth.at(index)) is not None]
    assert clip.name == "gasvid_mov1467"
    assert len(labelled) == 26
    assert sum(not np.any(mask) for mask in labelled) == 9


def test_god_has_a_box_for_every_frame() -> None:
    (clip,) = clips.god(DATA)
    frames = list(clip.frames())
    assert len(frames) == 250
    assert all(isinstance(clip.truth.at(frame.index), clips.Box) for frame in frames)
    assert clip.truth.at(250) is None
    assert frames[20].captured == pytest.approx(1.0)


def test_gas_free_scenes_are_wholly_in_one_split() -> None:
    validation, training = clips.index(DATA, "val"), clips.index(DATA, "train")
    assert len(validation) == 84
    assert len(validation) + len(training) == len(clips.thermal_background(DATA)) == 320
    assert not {row["scene"] for row in validation} & {row["scene"] for row in training}


def test_stills_are_gas_free_pictures_of_the_drone() -> None:
    stills = clips.aerial_stills(DATA)
    (frame,) = stills[0].frames()
    assert len(stills) == 240
    assert frame.image.shape[:2] == (512, 640)
