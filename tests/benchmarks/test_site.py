"""What the site benchmark counts: recall where gas is, events where none is, the same leaks before and after."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import site
from benchmarks.evaluate import Method
from benchmarks.site import Tally
from calibration.clips import Clip, GasFree
from calibration.noise import NoiseBank
from edge import contract
from edge.records import Frame
from edge.rules import AlarmSettings
from tests.edge.fakes import FakeSegmenter, picture

FPS = 30.0


def frames(count: int, gas_from: int) -> list[Frame]:
    shots = (cv2.cvtColor(picture(i >= gas_from, i), cv2.COLOR_GRAY2BGR) for i in range(count))
    return [Frame(image, i, i / FPS, i / FPS) for i, image in enumerate(shots)]


def test_frames_events_and_recall_are_counted() -> None:
    truth = picture(True) > 128
    wider = cv2.dilate(truth.astype(np.uint8), np.ones((1, 61), np.uint8)) > 0
    leak = [(frame, wider if i >= 60 else None) for i, frame in enumerate(frames(150, gas_from=30))]
    found = site.tally(frames(130, gas_from=20), [leak, leak], FakeSegmenter(), AlarmSettings())  # type: ignore[arg-type]
    assert (found.frames, found.lit, found.events) == (130, 110, 1)
    assert found.hours == pytest.approx(129 / FPS / 3600)
    assert found.found_px / found.gas_px == pytest.approx(0.5)
    assert (found.leaks, found.told) == (2, 2)


def test_tallies_add_up() -> None:
    whole = Tally()
    for _ in range(2):
        whole.add(Tally(frames=10, lit=4, events=1, hours=0.5, gas_px=8, found_px=6, leaks=2, told=1))
    figures = whole.figures()
    assert (figures["lit"], figures["events_per_hour"], figures["recall"]) == (0.4, 2.0, 0.75)
    assert figures["low_per_hour"] == pytest.approx(0.242, abs=1e-3)


def test_a_leak_is_put_into_the_frames_and_known() -> None:
    rng = np.random.default_rng(0)
    clean = frames(90, gas_from=90)
    leaking = site.leaking(clean, 0.03, rng, NoiseBank(rng, count=4))
    assert [frame.captured for frame, _ in leaking] == [frame.captured for frame in clean]
    (last, truth), before = leaking[-1], clean[-1].image[..., 0].astype(int)
    assert truth is not None
    assert truth.mean() > 0.005
    assert abs((last.image.astype(int) - before)[truth].mean()) > 3
    assert leaking[0][1] is None
    np.testing.assert_array_equal(leaking[5][0].image, clean[5].image[..., 0])


def test_views_are_fixed_and_alike(footage: Path) -> None:
    found = site.scenes(footage)
    assert len(found["s068"]) == 5
    assert all(len(members) > 1 for members in found.values())
    counts = [len(members) for members in found.values()]
    assert counts == sorted(counts, reverse=True)


@pytest.mark.slow
def test_a_lamp_raises_no_more_alarms_once_calibrated(tmp_path: Path) -> None:
    """The whole measurement with the shipped model, over pictures in which a place glows up again and again."""
    rng = np.random.default_rng(2)
    view = cv2.resize(rng.uniform(40, 120, (6, 8)).astype(np.float32), (320, 240), interpolation=cv2.INTER_CUBIC)
    for name, i in itertools.product("ab", range(200)):
        shot = view + rng.normal(0, 1.0, view.shape)
        glow = max(0.0, np.sin(2 * np.pi * i / 45))
        yy, xx = np.mgrid[:240, :320]
        shot += 25 * glow * np.exp(-((xx - 200 + 0.2 * (i % 45)) ** 2 + (yy - 90) ** 2) / (2 * 14**2))
        (tmp_path / name).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name / f"{i:06d}.png"), shot.clip(0, 255).astype(np.uint8))
    clips = [Clip(name, tmp_path / name, GasFree((240, 320)), fps=15.0) for name in "ab"]
    outcome = site.measure("lamp", clips, Method("student.int8", "onnxruntime"), 0.1, 1, 1)
    assert outcome.made.model_sha256 == contract.load("student.int8")[0].sha256
    assert outcome.before.lit > 0
    assert outcome.after.lit < 0.2 * outcome.before.lit
    assert outcome.after.leaks == outcome.before.leaks == 2
