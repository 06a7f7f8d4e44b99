"""Figures of the device, and the datagrams that systemd waits for."""

from __future__ import annotations

import socket

import pytest

from edge.health import CameraHealth, Heartbeat, clock_synchronised, rss_mb, temperatures
from edge.records import Quality


def test_speed_and_delay_are_those_of_the_recent_frames():
    health = CameraHealth()
    for n in range(2000):
        health.done(now=n / 25, delay_s=0.010 if n % 10 else 0.030, quality=Quality.GOOD)
    report = health.report(now=1999 / 25)
    assert report["frames"] == 2000
    assert report["fps"] == pytest.approx(25)
    assert report["latency_p50_ms"] == pytest.approx(10)
    assert report["latency_p95_ms"] == pytest.approx(30)


def test_a_camera_that_has_gone_slows_down_to_nothing():
    health = CameraHealth()
    for n in range(500):
        health.done(now=n / 25, delay_s=0.010, quality=Quality.GOOD)
    assert health.fps(now=20.0) == pytest.approx(25, rel=0.01)
    assert health.fps(now=25.0) == pytest.approx(12.5, rel=0.02)
    assert health.fps(now=31.0) == 0


def test_a_camera_without_frames_has_no_delays():
    report = CameraHealth().report(now=1.0)
    assert report["fps"] == 0
    assert report["latency_p50_ms"] is None


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_that_we_are_ready_alive_and_going(tmp_path, monkeypatch, abstract):
    address = f"@fgstp-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        heartbeat = Heartbeat()
        heartbeat.ready()
        heartbeat.beat()
        heartbeat.beat()  # too soon for another
        heartbeat.stopping()
        assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_supervisor_that_went_away_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Heartbeat().ready()


def test_memory_is_plausible_and_the_clock_can_be_asked():
    assert 10 < rss_mb() < 10_000
    assert clock_synchronised() in (True, False, None)


def test_temperatures_are_those_of_the_zones_that_answer(tmp_path):
    assert temperatures(tmp_path / "absent") is None
    for number, (kind, degrees) in enumerate(
        [("cpu", "45500"), ("cpu", "46000"), ("gpu", "not a number"), ("soc", None)]
    ):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(kind + "\n")
        if degrees is not None:
            (zone / "temp").write_text(degrees + "\n")
    assert temperatures(tmp_path) == {"cpu": 45.5, "cpu_1": 46.0}
    assert temperatures() is None or all(-60 < degrees < 150 for degrees in temperatures().values())
