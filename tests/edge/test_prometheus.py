"""What a Prometheus scrape reads."""

from __future__ import annotations

import socket
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge import health
from edge.broker import free_port
from edge.config import PrometheusSettings
from edge.prometheus import serve
from edge.records import Quality

OUTBOX = {
    "depth": 3,
    "bytes": 4096,
    "oldest_s": None,
    "dropped": {"alarm": 0, "state": 0, "telemetry": 7, "snapshot": 0},
    "on_disk": True,
    "fault": None,
}


def report() -> dict:
    north = health.CameraHealth()
    for n in range(100):
        north.done(now=n / 25, delay_s=0.02, quality=Quality.DARK)
    cameras = {
        "north": {**north.report(99 / 25), "monitored": False, "downtime_s": 12.5},
        "south": health.CameraHealth().report(4.0),
    }
    return {
        "device": "box",
        "uptime_s": 60.0,
        "rss_mb": 150.0,
        "outbox": OUTBOX,
        "sparkplug": {"connected": True, "outbox": OUTBOX},
        "temperatures_c": {"cpu": 45.5},
        "cameras": cameras,
    }


def scrape(port: int) -> dict[tuple[str, ...], float]:
    """Every sample by its name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_a_scrape_reads_the_health_report_of_that_moment():
    settings, now = PrometheusSettings(port=free_port()), report()
    stop = serve(settings, lambda: now)
    found = scrape(settings.port)
    assert found["fgstp_outbox_messages",] == 3
    assert found["fgstp_outbox_dropped_total", "telemetry"] == 7
    assert found["fgstp_sparkplug_connected",] == 1
    assert found["fgstp_sparkplug_messages",] == 3
    assert found["fgstp_temperature_celsius", "cpu"] == 45.5
    assert found["fgstp_frames_total", "north"] == 100
    assert found["fgstp_frames_per_second", "north"] == pytest.approx(25)
    assert found["fgstp_latency_seconds", "north", "0.95"] == pytest.approx(0.02)
    assert (found["fgstp_quality", "north", "bad"], found["fgstp_quality", "north", "good"]) == (1, 0)
    assert (found["fgstp_monitored", "north"], found["fgstp_downtime_seconds_total", "north"]) == (0, 12.5)
    assert ("fgstp_monitored", "south") not in found
    now["outbox"] = {**OUTBOX, "depth": 4}
    assert scrape(settings.port)["fgstp_outbox_messages",] == 4
    stop()


def test_a_device_without_thermal_zones_can_be_scraped():
    settings = PrometheusSettings(port=free_port())
    stop = serve(settings, lambda: {**report(), "temperatures_c": None})
    assert not [key for key in scrape(settings.port) if key[0] == "fgstp_temperature_celsius"]
    stop()


def test_a_port_that_is_taken_is_said_and_stops_nothing(caplog):
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = PrometheusSettings(port=other.getsockname()[1])
        serve(settings, report)()
    assert "health.prometheus: cannot listen on 127.0.0.1:" in caplog.text


def test_the_port_is_free_again_afterwards():
    settings = PrometheusSettings(port=free_port())
    serve(settings, report)()
    stop = serve(settings, report)
    assert scrape(settings.port)
    stop()
