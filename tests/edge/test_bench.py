"""The bench runs the production pipeline and reports every backend with every shipped model."""

from __future__ import annotations

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
