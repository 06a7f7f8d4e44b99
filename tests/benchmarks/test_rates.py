"""What a camera says is counted by kind, and a fleet is worked out from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import rates
from benchmarks.rates import Count
from edge import broker


def test_a_topic_says_what_it_is_and_whose() -> None:
    assert rates.kind("fgstp/box/north/event") == ("event", True)
    assert rates.kind("fgstp/box/north/cmd/reply") == ("cmd/reply", True)
    assert rates.kind("fgstp/box/health") == ("health", False)
    assert rates.kind("spBv1.0/plant/DDATA/box/north") == ("sparkplug DDATA", True)
    assert rates.kind("spBv1.0/plant/NBIRTH/box") == ("sparkplug NBIRTH", False)


def test_bytes_are_those_of_the_packets() -> None:
    assert rates.wire("a/b", 10, 0) == 1 + 1 + 2 + 3 + 1 + 10
    assert rates.wire("a/b", 10, 1) == rates.wire("a/b", 10, 0) + 2 + 4
    assert rates.wire("a/b", 200, 0) == 1 + 2 + 2 + 3 + 1 + 200  # the length takes a second byte


def test_a_fleet_is_its_cameras_and_its_devices() -> None:
    found = {("summary", True): Count(200, 40_000), ("health", False): Count(10, 5_000)}
    quiet = rates.rates(found, 10.0, 2)
    assert quiet["camera"] == {"messages_per_s": 10.0, "bytes_per_s": 2000.0}
    assert quiet["device"] == {"messages_per_s": 1.0, "bytes_per_s": 500.0}
    assert quiet["kinds"]["summary"] == {"per": "camera", "messages_per_s": 10.0, "bytes_per_s": 2000.0}
    leaking = rates.rates({("summary", True): Count(200, 1), ("event", True): Count(200, 1)}, 10.0, 2)
    fleet = rates.fleet({"quiet": quiet, "leaking": leaking}, 800)
    assert fleet["devices"] == 100
    assert fleet["all"]["messages_per_s"] == pytest.approx(800 * (0.99 * 10 + 0.01 * 20) + 100)
    assert fleet["without_summaries"]["messages_per_s"] == pytest.approx(800 * 0.01 * 10 + 100)


@pytest.mark.skipif(broker.find() is None, reason="no MQTT broker on this machine: install mosquitto")
def test_the_real_service_is_heard_in_both_languages(tmp_path: Path) -> None:
    file = tmp_path / "rates.json"
    options = ["--cameras", "1", "--seconds", "2", "--backend", "onnxruntime", "--skip-self-test", "--json", str(file)]
    assert rates.main(options) == 0
    written = json.loads(file.read_text())
    for view in written["views"].values():
        assert view["kinds"]["summary"]["messages_per_s"] > 0
        assert any(name.startswith("sparkplug D") for name in view["kinds"])
    assert written["fleet"]["all"]["messages_per_s"] > 1000
