"""The device's health where Prometheus can fetch it: http://HOST:PORT/metrics, off by default, loopback by default."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.config import PrometheusSettings

log = logging.getLogger("health")

CAMERA = (  # figure of the health report, metric, help, whether it only ever grows
    ("frames", "fgstp_frames", "Frames that went all the way through", True),
    ("dropped", "fgstp_frames_dropped", "Frames that came while the one before was computed", True),
    ("faults", "fgstp_camera_faults", "Times the camera was lost", True),
    ("downtime_s", "fgstp_downtime_seconds", "Time without valid monitoring that is over", True),
    ("fps", "fgstp_frames_per_second", "Over the recent frames", False),
    ("connected", "fgstp_camera_connected", "1: the camera gives frames", False),
    ("monitored", "fgstp_monitored", "1: monitoring is valid", False),
)


class Health(Collector):
    """Reads one health report, as sent over MQTT, at each scrape; figures that it lacks are left out."""

    def __init__(self, report: Callable[[], Mapping[str, Any]]) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        report = self._report()
        outbox, cameras = report["outbox"], report["cameras"]
        yield _gauge("fgstp_uptime_seconds", "Since the start", report["uptime_s"])
        yield _gauge("fgstp_resident_memory_bytes", "Of this process", report["rss_mb"] * 1e6)
        yield _gauge("fgstp_outbox_messages", "That wait for the broker's confirmation", outbox["depth"])
        yield _gauge("fgstp_outbox_bytes", "Of these messages", outbox["bytes"])
        yield _gauge("fgstp_outbox_oldest_seconds", "Age of the first of them", outbox["oldest_s"] or 0.0)
        yield _gauge("fgstp_outbox_on_disk", "1: what waits survives the process", outbox["on_disk"])
        dropped = CounterMetricFamily("fgstp_outbox_dropped", "For want of space or for their age", labels=["priority"])
        for priority, count in outbox["dropped"].items():
            dropped.add_metric([priority], count)
        yield dropped
        if (sparkplug := report["sparkplug"]) is not None:
            waiting = sparkplug["outbox"]["depth"]
            yield _gauge("fgstp_sparkplug_connected", "1: born and not yet dead", sparkplug["connected"])
            yield _gauge("fgstp_sparkplug_messages", "That wait for a proof of delivery", waiting)
        warmth = GaugeMetricFamily("fgstp_temperature_celsius", "Of this device's thermal zones", labels=["zone"])
        for zone, degrees in (report.get("temperatures_c") or {}).items():
            warmth.add_metric([zone], degrees)
        yield warmth
        yield from _of_cameras(cameras)


def serve(settings: PrometheusSettings, report: Callable[[], Mapping[str, Any]]) -> Callable[[], None]:
    """Answer scrapes from a thread of its own; gives what ends that. A port that is taken stops no monitoring."""
    registry = CollectorRegistry()
    registry.register(Health(report))
    try:
        server, thread = start_http_server(settings.port, settings.host, registry)
    except OSError as error:
        log.error("health.prometheus: cannot listen on %s:%d: %s", settings.host, settings.port, error.strerror)
        return lambda: None

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def _of_cameras(cameras: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    for figure, name, text, grows in CAMERA:
        kind: type[CounterMetricFamily] | type[GaugeMetricFamily] = CounterMetricFamily if grows else GaugeMetricFamily
        metric = kind(name, text, labels=["camera"])
        for camera, report in cameras.items():
            if report.get(figure) is not None:
                metric.add_metric([camera], float(report[figure]))
        yield metric
    latency = GaugeMetricFamily("fgstp_latency_seconds", "Frame in, messages out", labels=["camera", "quantile"])
    quality = GaugeMetricFamily("fgstp_quality", "1 for the present quality", labels=["camera", "quality"])
    for camera, report in cameras.items():
        for quantile, figure in (("0.5", "latency_p50_ms"), ("0.95", "latency_p95_ms")):
            if report[figure] is not None:
                latency.add_metric([camera, quantile], report[figure] / 1000)
        for word in ("good", "uncertain", "bad"):
            quality.add_metric([camera, word], float(report["quality"] == word))
    yield latency
    yield quality


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))
