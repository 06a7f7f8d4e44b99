"""Memory is read from the kernel, and its growth is a line through what was read."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import memory
from edge import broker


def test_growth_is_in_kilobytes_per_thousand_frames() -> None:
    points = [(1000 * k, 150.0 + 0.25 * k) for k in range(10)]
    assert memory.slope(points) == pytest.approx(250)
    assert memory.slope([(0, 150.0), (9000, 150.0)]) == pytest.approx(0)
    assert math.isnan(memory.slope([(500, 150.0)]))


def test_thinning_keeps_both_ends() -> None:
    points = [(k, float(k)) for k in range(1000)]
    kept = memory.thinned(points, 50)
    assert len(kept) == 50
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert memory.thinned(points[:3], 50) == points[:3]


def test_resident_memory_follows_what_a_process_holds() -> None:
    before = memory.resident(os.getpid(), "VmRSS")
    held = np.ones(50_000_000, np.uint8)
    grown = memory.resident(os.getpid(), "VmRSS") - before
    assert 45 < grown < 60
    assert memory.resident(os.getpid(), "VmHWM") >= before + held.nbytes / 1e6 - 5


@pytest.mark.skipif(broker.find() is None, reason="no MQTT broker on this machine: install mosquitto")
def test_the_real_service_is_measured_until_it_has_seen_enough_frames(tmp_path: Path, footage_video: Path) -> None:
    file = tmp_path / "memory.json"
    options = ["--source", str(footage_video), "--frames", "50", "--backend", "onnxruntime", "--skip-self-test"]
    assert memory.main([*options, "--json", str(file)]) == 0
    written = json.loads(file.read_text())
    assert written["frames"] >= 50
    assert written["backend"] == "onnxruntime"
    assert 40 < written["rss_mb"]["first"] <= written["rss_mb"]["peak"] < 1000
    assert written["points"][-1] == [written["frames"], written["rss_mb"]["last"]]


@pytest.mark.skipif(broker.find() is None, reason="no MQTT broker on this machine: install mosquitto")
def test_a_service_that_does_not_start_is_no_measurement(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--source", str(tmp_path / "absent.mp4"), "--frames", "50", "--backend", "onnxruntime"]
    assert memory.main([*options, "--skip-self-test"]) != 0
    assert "fgstp-edge run stopped with exit code 3" in capfd.readouterr().err
