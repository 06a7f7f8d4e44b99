"""Footage that the tests make themselves."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import simgas_log


@pytest.fixture(autouse=True)
def a_log_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes to the committed log of looks at SimGas, not even one that forgets to name another."""
    monkeypatch.setattr(simgas_log, "LOG", tmp_path / "simgas_log.jsonl")


@pytest.fixture(scope="session")
def footage_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few noisy frames, 320x240, as a video file."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    random = np.random.default_rng(0)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15.0, (320, 240), isColor=False)
    for _ in range(20):
        video.write(random.normal(100, 5, (240, 320)).clip(0, 255).astype(np.uint8))
    video.release()
    return path
