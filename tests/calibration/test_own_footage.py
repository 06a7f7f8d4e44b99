"""One's own gas-free clips, without stills, are enough to render over."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.footage import Footage
from calibration.render import Renderer


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A clip for each split, as the model card asks for them."""
    folder = tmp_path / "thermal_background"
    folder.mkdir()
    rows = ["file,width,height,frames,fps,max_shift_px_per_s,scene,split"]
    for number, split in enumerate(("train", "val")):
        name = f"{split}.mp4"
        video = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (128, 96), isColor=False)
        for i in range(80):
            video.write(np.random.default_rng(i).normal(60 + 80 * number, 4, (96, 128)).clip(0, 255).astype(np.uint8))
        video.release()
        rows.append(f"{name},128,96,80,30.0,0,site{number},{split}")
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_clips_are_rendered_over_it(own: Path) -> None:
    renderer = Renderer(3, Footage(own, "train"), (64, 64), 4)
    assert {renderer.clip().frames.shape for _ in range(6)} == {(4, 64, 64)}


def test_flights_are_over_its_frames(own: Path) -> None:
    rng = np.random.default_rng(0)
    view = Footage(own, "val").flight(rng, (48, 48), 5)
    assert view.frames.shape == (5, 48, 48)
    assert 255 * view.frames.mean() == pytest.approx(140, abs=8)
