"""The running service by its other ways out: evidence, downtime, Sparkplug, Home Assistant, Prometheus."""

from __future__ import annotations

import hashlib
import json
import queue
import re
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from edge import mqtt
from edge.broker import free_port
from edge.config import CameraSettings, EvidenceSettings, HealthSettings, PrometheusSettings
from edge.sparkplug.codec import Metric, Payload, Type, decode, encode
from edge.uplink import HomeAssistantSettings, SparkplugSettings
from tests.edge.fakes import write_clip
from tests.edge.test_service import config_for, running, segmenter

__all__ = ["running", "segmenter"]  # fixtures


def listen(broker: Any, topic: str) -> tuple[Any, queue.Queue[tuple[str, bytes]]]:
    heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
    return mqtt.subscribe(broker, f"ear-{topic[:4]}", [topic], lambda *message: heard.put(message)), heard


def test_a_leak_leaves_a_still_and_a_clip_with_the_hash_that_the_event_names(broker, ear, running, tmp_path):
    config = config_for(broker, str(write_clip(tmp_path / "clip", 90, plume_from=15, plume_until=45)))
    folder = tmp_path / "evidence"
    evidence = EvidenceSettings(path=folder, before_s=0.5, after_s=0.5, min_free_bytes=0)
    running(config.model_copy(update={"evidence": evidence}))
    start = ear.message("event", type="start")
    still = ear.message("evidence", kind="snapshot")
    clip = ear.message("evidence", kind="clip")
    assert start["snapshot_sha256"] == still["sha256"]
    for said in (still, clip):
        assert hashlib.sha256((folder / said["file"]).read_bytes()).hexdigest() == said["sha256"]
        assert said["event_id"] == start["event_id"]


def test_a_camera_that_is_away_is_down_on_record(broker, ear, running, tmp_path):
    config = config_for(broker, str(write_clip(tmp_path / "clip", 30)), repeat="pingpong")
    absent = CameraSettings(name="absent", source="rtsp://127.0.0.1:1/none")
    running(config.model_copy(update={"cameras": (*config.cameras, absent)}))
    down = ear.message("downtime", camera="absent", seconds=40)
    assert (down["state"], down["reasons"]) == ("open", ["camera_lost"])
    assert not ear.message("health")["cameras"]["absent"]["monitored"] or ear.until(
        lambda heard: [s for t, s in heard if t.endswith("/health") and not s["cameras"]["absent"]["monitored"]]
    )


def test_sparkplug_tells_the_leak_and_obeys_its_host(broker, ear, running, tmp_path):
    config = config_for(broker, str(write_clip(tmp_path / "clip", 10)), repeat="pingpong")
    host, heard = listen(broker, "spBv1.0/#")
    stop = running(config.model_copy(update={"sparkplug": SparkplugSettings(group_id="plant")}))
    names: dict[int, str] = {}

    def until(name: str, value: Any, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            topic, body = heard.get(timeout=max(0.1, deadline - time.monotonic()))
            if not topic.endswith("/north"):
                continue
            for metric in decode(body).metrics:
                if metric.name and metric.alias is not None:
                    names[metric.alias] = metric.name
                if names.get(metric.alias or -1) == name and metric.value == value:
                    return

    until("Alarm/ISA state", "unacknowledged")
    ack = Payload(metrics=(Metric(True, Type.BOOLEAN, "Alarm/Acknowledge"),), timestamp=1)
    host.publish("spBv1.0/plant/DCMD/box/north", encode(ack, typed=True))
    assert ear.message("alarm_event", cause="ack")["operator"] == "Sparkplug host"
    until("Alarm/Acknowledged", True)
    stop.set()
    host.disconnect()
    host.loop_stop()


def test_home_assistant_and_prometheus_find_the_camera(broker, running, tmp_path):
    port = free_port()
    config = config_for(broker, str(write_clip(tmp_path / "clip", 10)), repeat="pingpong")
    settings = {
        "mqtt": config.mqtt.model_copy(update={"home_assistant": HomeAssistantSettings()}),
        "health": HealthSettings(every_s=0.3, prometheus=PrometheusSettings(port=port)),
    }
    client, heard = listen(broker, "homeassistant/#")
    stop = running(config.model_copy(update=settings))
    topics = {heard.get(timeout=20)[0] for _ in range(3)}
    assert {topic.split("/")[1] for topic in topics} == {"binary_sensor", "sensor"}

    deadline, text = time.monotonic() + 20, ""
    while not (frames := re.search(r'^fgstp_frames_total{camera="north"} (\S+)', text, re.M)) or float(frames[1]) == 0:
        assert time.monotonic() < deadline, text
        threading.Event().wait(0.2)
        try:
            text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        except urllib.error.URLError:
            continue  # the endpoint opens a little after the broker has us
    stop.set()
    client.disconnect()
    client.loop_stop()


def test_a_snapshot_is_taken_when_an_operator_asks(broker, ear, running, tmp_path: Path):
    config = config_for(broker, str(write_clip(tmp_path / "clip", 10, plume_until=0)), repeat="pingpong")
    evidence = EvidenceSettings(path=tmp_path / "evidence", min_free_bytes=0)
    running(config.model_copy(update={"evidence": evidence}))
    ear.message("summary")
    client = mqtt.subscribe(broker, "hmi", ["none"], lambda *_: None)
    client.publish("fgstp/box/north/cmd", json.dumps({"command": "snapshot", "id": "s-1", "operator": "J. Doe"}), qos=1)
    assert ear.message("reply", id="s-1")["accepted"]
    assert ear.message("evidence", kind="snapshot")["event_id"] is None
    client.disconnect()
    client.loop_stop()
