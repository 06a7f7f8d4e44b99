"""What one box carries: figures between two looks, a line through sizes, and the real service once."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from benchmarks import fit, scale
from benchmarks.scale import Look
from edge import broker


def test_a_line_and_its_exponent() -> None:
    found = fit.line([100.0, 200.0, 400.0], [1.5, 2.5, 4.5])
    assert (found.base, found.slope, found.r2) == pytest.approx((0.5, 0.01, 1.0))
    assert fit.line([1.0, 2.0, 4.0], [3.0, 12.0, 48.0]).exponent == pytest.approx(2.0)
    assert fit.line([1.0, 2.0, 3.0], [1.0, 9.0, 2.0]).r2 < 0.1
    with pytest.raises(ValueError, match="two different points"):
        fit.line([1.0, 1.0], [1.0, 2.0])


def test_throughput_is_of_all_cameras_and_fairness_of_the_poorest() -> None:
    first = Look(10.0, 200.0, (100, 100), (0, 1), (5.0, 5.0), (9.0, 9.0))
    last = Look(14.0, 210.0, (300, 260), (0, 1), (6.0, 7.0), (11.0, 10.0))
    found = scale.figures(first, last)
    assert found["fps"] == pytest.approx(90)
    assert found["fairness"] == pytest.approx(0.8)
    assert (found["latency_p50_ms"], found["latency_p95_ms"], found["rss_mb"]) == (7.0, 11.0, 210.0)


def test_a_camera_that_gets_nothing_is_seen() -> None:
    first, last = (Look(at, 1.0, (0, at), (0, 0), (1.0, 1.0), (1.0, 1.0)) for at in (10, 20))
    assert scale.figures(first, last)["fairness"] == 0


def test_memory_of_a_camera_is_the_slope_over_the_runs_with_as_many_threads() -> None:
    rows = [{"threads": 1, "cameras": n, "rss_mb": 200 + 3.0 * n} for n in (1, 2, 8)]
    rows.append({"threads": 2, "cameras": 16, "rss_mb": 9999.0})
    assert scale.per_camera(rows) == pytest.approx(3.0)
    assert scale.per_camera(rows[:1]) is None


def test_cameras_are_compared_within_a_round() -> None:
    def rounds(*fps: tuple[float, float]) -> list[list[dict[str, float]]]:
        return [[{"threads": 1, "cameras": n, "fps": one} for n, one in zip((1, 2), pair, strict=True)] for pair in fps]

    alone, both = scale.typical(rounds((200.0, 180.0), (100.0, 95.0), (150.0, 150.0)))
    assert (alone["fps"], both["fps"]) == (150.0, 150.0)
    assert (alone["against_fewest"], both["against_fewest"]) == (1.0, pytest.approx(0.95))
    assert both["rounds"] == 3


def test_only_what_is_started_inside_is_held_to_a_core() -> None:
    mine = os.sched_getaffinity(0)
    with scale.held_to(1):
        assert os.sched_getaffinity(0) == {max(mine)}
    assert os.sched_getaffinity(0) == mine


@pytest.mark.skipif(broker.find() is None, reason="no MQTT broker on this machine: install mosquitto")
def test_the_real_service_is_measured_with_two_cameras(
    tmp_path: Path, footage_video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "FULL", 5)
    file = tmp_path / "scale.json"
    options = ["--only", "cameras", "--cameras", "2", "--threads", "1", "--seconds", "1", "--rounds", "1"]
    options += ["--backend", "onnxruntime"]
    assert scale.main([*options, "--source", str(footage_video), "--skip-self-test", "--json", str(file)]) == 0
    [row] = json.loads(file.read_text())["cameras"]["rows"]
    assert (row["cameras"], row["threads"], row["backend"]) == (2, 1, "onnxruntime")
    assert row["fps"] > 0
    assert 0 < row["fairness"] <= 1
    assert not math.isnan(row["latency_p95_ms"])
