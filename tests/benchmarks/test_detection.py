"""A leak is detected when the alarm says so in time and in the right place; figures and plot follow from the trials."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import detection, pod_plot
from benchmarks.detection import FPS, ONSET_S, VIEW, Case, Trial
from benchmarks.evaluate import Method
from calibration import clips, result_file
from calibration.release import Release
from edge.records import Array
from edge.rules import AlarmSettings
from tests.edge.fakes import FakeSegmenter

CASE = Case(0, 4.0, 0.05, "still", None)
ONSET = round(ONSET_S * FPS)
GAS = Release(np.zeros(1), np.zeros(1), ONSET, ONSET + 20)
SPOT, ELSEWHERE = np.s_[100:140, 120:180], np.s_[20:60, 20:80]


def played(lit: object, begin: int, truth: object = SPOT) -> Iterator[tuple[Array, Array]]:
    """Ten seconds in which a bright spot, gas to the fake segmenter, comes up at frame `begin`."""
    for i in range(round(9.9 * FPS)):
        image = np.random.default_rng(i).integers(57, 64, VIEW).astype(np.uint8)
        if i >= begin:
            image[lit] = 200 + 4 * (7 * i % 9)  # gas is never still
        opacity = np.zeros(VIEW, np.float32)
        if i >= ONSET:
            opacity[truth] = 1.0
        yield image, opacity


def judge(*how: object, gas: Release | None = GAS, case: Case = CASE) -> Trial:
    return detection.judge(case, played(*how), FakeSegmenter(), gas)


def test_an_alarm_on_the_plume_in_time_is_a_detection() -> None:
    trial = judge(SPOT, ONSET + 15)
    assert trial.detected
    assert trial.delay_s == pytest.approx(1.0 + AlarmSettings().on_delay_s, abs=0.15)
    assert trial.false_events == 0
    assert trial.believable_s == pytest.approx(9.9, abs=0.1)


def test_an_alarm_beside_the_plume_is_a_false_one() -> None:
    trial = judge(ELSEWHERE, ONSET + 15)
    assert (trial.detected, trial.delay_s, trial.false_events) == (False, None, 1)


def test_an_alarm_before_the_onset_is_a_false_one_and_hides_the_leak() -> None:
    trial = judge(SPOT, 3)
    assert (trial.detected, trial.false_events) == (False, 1)


def test_an_alarm_too_late_is_a_miss() -> None:
    trial = judge(SPOT, ONSET + round(3.2 * FPS))
    assert not trial.detected
    assert trial.delay_s == pytest.approx(3.2 + AlarmSettings().on_delay_s, abs=0.15)


def test_without_gas_every_alarm_is_false() -> None:
    trial = judge(SPOT, 30, gas=None, case=Case(0, 0.0, 0.0, "still", None))
    assert (trial.detected, trial.false_events) == (False, 1)


def test_every_combination_is_planned_and_each_view_without_gas() -> None:
    views = [clips.Clip(name, Path(name), clips.GasFree((1, 1))) for name in "abc"]
    cases = detection.plan(4, (1.0, 2.0), (0.01,), ("still", "pan"), views, seed=3)
    gassy = [case for case in cases if case.cnr]
    free = [case for case in cases if not case.cnr]
    assert len(gassy) == 2 * 1 * 2 * 4
    assert {(case.motion, case.clip) for case in free} == set(itertools.product(("still", "pan"), views))
    assert len({case.number for case in cases}) == len(cases)
    counts = [sum(case.clip == view for case in gassy) for view in views]
    assert max(counts) - min(counts) <= 1
    assert cases == detection.plan(4, (1.0, 2.0), (0.01,), ("still", "pan"), views, seed=3)


def trials() -> list[Trial]:
    made = [
        Trial(cnr, size, motion, "a", cnr * size > 0.03, 2.0 if cnr * size > 0.03 else None, 0, 9.9)
        for motion in ("pan", "still")
        for size in (0.05, 0.01)
        for cnr in (1.0, 2.0, 4.0, 8.0)
        for _ in range(4)
    ]
    return made + [Trial(0.0, 0.0, motion, "a", False, None, motion == "pan", 9.9) for motion in ("still", "pan")]


def test_figures_are_those_of_the_trials() -> None:
    report = detection.summarise(trials())
    assert [(curve["motion"], curve["size"]) for curve in report["curves"]] == [
        ("still", 0.01), ("still", 0.05), ("pan", 0.01), ("pan", 0.05),
    ]  # fmt: skip
    still = report["curves"][0]
    assert [(one["cnr"], one["detected"], one["trials"]) for one in still["rates"]] == [
        (1.0, 0, 4), (2.0, 0, 4), (4.0, 4, 4), (8.0, 4, 4),
    ]  # fmt: skip
    assert still["rates"][0]["median_delay_s"] is None
    assert still["rates"][3]["median_delay_s"] == 2.0
    assert 2.0 < still["points"]["50"][0] < 4.0
    assert report["false_alarms"]["all"]["events"] == 1
    assert report["false_alarms"]["still"]["events"] == 0
    assert report["false_alarms"]["still"]["high_per_hour"] == pytest.approx(2.996 / (9.9 / 3600), rel=1e-3)


def test_the_plot_is_drawn_from_the_written_file(tmp_path: Path) -> None:
    file = tmp_path / "detection.json"
    result_file.write(file, detection.summarise(trials()))
    pod_plot.draw(json.loads(file.read_text()), tmp_path / "pod.png")
    assert (tmp_path / "pod.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_strong_leak_over_a_procedural_scene_is_told_by_the_shipped_model(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("FGSTP_DATA", raising=False)
    method = Method("student.int8", "onnxruntime")
    found = [detection.attempt(Case(number, 12.0, 0.05, "still", None), method, 1) for number in (0, 1, 0)]
    assert any(trial.detected for trial in found)
    assert found[0] == found[2]
    file = tmp_path / "d.json"
    options = ["--trials", "1", "--cnr", "8", "--size", "0.05", "--motion", "still", "--jobs", "1"]
    assert detection.main([*options, "--backend", "onnxruntime", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert report["views"] == "procedural"
    assert report["curves"][0]["rates"][0]["trials"] == 1


def test_held_out_views_are_of_fixed_cameras(footage: Path) -> None:
    names = {clip.name for clip in detection.held_out(footage)}
    rows = {Path(row["file"]).stem: row for row in clips.index(footage)}
    assert len(names) > 40
    assert all(rows[name]["split"] == "val" and float(rows[name]["max_shift_px_per_s"]) <= 3 for name in names)


def test_footage_that_is_absent_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert detection.main(["--data", "/nowhere", "--backend", "onnxruntime"]) == 3
    assert capsys.readouterr().err.count("\n") == 1
