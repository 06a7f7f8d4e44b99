"""The bench runs the production pipeline and reports every backend with every shipped model."""

from __future__ import annotations

import json

import pytest

import edge.backend
from edge import bench, contract


def test_every_backend_and_model_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(0.2, 1) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in (*contract.shipped(), *edge.backend.available()))
    assert len(text.splitlines()) == 2 + len(contract.shipped()) * len(edge.backend.available())


def test_figures_hang_together() -> None:
    for speed in bench.measure(0.2):
        assert speed.frames >= bench.TURN
        assert 0 < speed.p50 <= speed.p95 <= speed.p99
        assert speed.fps == pytest.approx(1000 / speed.p50, rel=0.8)


def test_json_has_one_object_for_each_model_and_backend(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(edge.backend, "available", lambda: ("onnxruntime",))
    assert bench.main(0.05, 1, as_json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["model"] for one in said] == contract.shipped()
    for one in said:
        assert set(one) == {"model", "precision", "backend", "threads", "stage_ms", "end_to_end_ms", "fps"}
        assert one["model"].endswith(one["precision"])
        assert set(one["stage_ms"]) == set(bench.STAGES)
        assert all(value > 0 for value in one["stage_ms"].values())
        assert 0.5 < sum(one["stage_ms"].values()) / one["end_to_end_ms"]["p50"] < 1.5


def test_only_what_is_named_is_measured() -> None:
    [speed] = bench.measure(0.05, 1, ["student.int8"], ["onnxruntime"])
    assert (speed.model, speed.precision, speed.backend) == ("student.int8", "int8", "onnxruntime")
