"""The stopwatch of alarms, and one short run of the real service under it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import latency
from edge import broker


def test_an_alarm_is_timed_from_its_frame_to_its_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.03, 10.04, 10.09, 10.15])
    monkeypatch.setattr(latency.time, "monotonic", lambda: next(now))
    watch = latency.Stopwatch()
    watch.arrived = 10.0
    watch.said(b"start")
    watch.said(b"leak")
    watch.sent(b"start", 1)
    watch.confirmed(2)  # the broker may be faster than the thread that sends
    watch.sent(b"leak", 2)
    watch.sent(b"downtime", 3)
    watch.confirmed(1)
    assert watch.total == pytest.approx([0.09, 0.15])
    assert watch.from_decision == pytest.approx([0.05, 0.12])


@pytest.mark.skipif(broker.find() is None, reason="no MQTT broker on this machine: install mosquitto")
def test_the_real_service_is_timed(tmp_path: Path, footage_video: Path) -> None:
    file = tmp_path / "latency.json"
    options = ["--source", str(footage_video), "--cameras", "1", "--seconds", "3", "--backend", "onnxruntime"]
    assert latency.main([*options, "--json", str(file)]) == 0
    written = json.loads(file.read_text())
    assert written["messages"] >= 2
    assert 0 < written["from_decision_ms"]["p50"] < written["total_ms"]["p50"]
    assert written["total_ms"]["p50"] <= written["total_ms"]["p95"] <= written["total_ms"]["p99"]
