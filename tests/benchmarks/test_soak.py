"""The soak test: what grows is seen, and the real service can be looked at."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import soak
from edge import broker
from edge.errors import FgstpError

SAMPLE = soak.Sample(0.0, 250.0, 9, 12, 0, 0, 15.0, 40.0, 0)


def test_growth_counts_from_when_the_service_has_settled() -> None:
    early = [replace(SAMPLE, uptime_s=10.0 * n, rss_mb=100.0 + n) for n in range(60)]
    late = [replace(SAMPLE, uptime_s=600.0 + 10 * n, rss_mb=250.0 + 0.5 * n / 360, frames=n) for n in range(720)]
    late[-1] = replace(late[-1], fds=11, latency_p95_ms=None)
    found = soak.verdict([*early, *late], 600.0)
    assert found["slope_mb_per_h"] == pytest.approx(0.5)
    assert found["rss_mb"]["first"] == 250.0
    assert found["fds"] == {"first": 9, "last": 11}
    assert found["frames"] == 719
    assert found["latency_p95_ms_worst"] == 40.0
    assert found["hours"] == pytest.approx(7790 / 3600)


def test_a_run_that_is_too_short_says_nothing() -> None:
    with pytest.raises(FgstpError, match="give more --minutes or less --settle"):
        soak.verdict([SAMPLE], 600.0)


@pytest.mark.skipif(broker.find() is None, reason="no MQTT broker on this machine: install mosquitto")
def test_the_real_service_is_looked_at_with_two_cameras(tmp_path: Path, footage_video: Path) -> None:
    file = tmp_path / "soak.json"
    options = ["--source", str(footage_video), "--cameras", "2", "--backend", "onnxruntime", "--skip-self-test"]
    short = ["--minutes", "0.04", "--settle", "0", "--every", "0.5"]
    assert soak.main([*options, *short, "--json", str(file)]) == 0
    written = json.loads(file.read_text())
    assert written["cameras"] == 2
    assert written["frames"] > 10
    assert written["fds"]["first"] > 3
    assert written["threads"]["first"] > 3
    assert 40 < written["rss_mb"]["first"] <= written["rss_mb"]["peak"] < 1000
    assert len(written["samples"]) >= 2
