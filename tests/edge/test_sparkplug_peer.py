"""A host application by others (npm's mqtt and sparkplug-payload) understands us, and we obey it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from edge.sparkplug.table import CAMERA, NODE, WRITABLE
from edge.uplink import MqttSettings
from tests.edge.sparkplug_story import EVENT, GROUP, HEALTH, HOST_ID, STATUS, alarm, playing
from tests.edge.sparkplug_story import NODE as NAME

PEER = Path(__file__).parent / "sparkplug_peer"


@pytest.fixture
def peer(broker: MqttSettings) -> Any:
    """The running host; it ends by itself after the rebirth."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: apt-get install nodejs npm")
    if not (PEER / "node_modules" / "sparkplug-payload").is_dir():
        pytest.skip(f"npm install --prefix {PEER.name} was not run: ./dev test does")
    command = [node, str(PEER / "peer.cjs"), str(broker.port), HOST_ID, GROUP, NAME]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


@pytest.mark.parametrize("typed", [False, True])
def test_an_independent_host_decodes_us_and_is_obeyed(peer: Any, broker: MqttSettings, typed: bool) -> None:
    with playing(broker, primary_host=HOST_ID, typed_data=typed) as (publisher, story, _door):
        publisher.publish("status", STATUS)
        publisher.publish("health", HEALTH)
        deadline = time.monotonic() + 20
        while not publisher.connected:  # not before the peer's STATE
            assert time.monotonic() < deadline
            time.sleep(0.02)
        publisher.publish("event", EVENT, "north")
        publisher.publish("alarm", alarm("north", 1, state="active", active=True, event_id=EVENT["event_id"]), "north")
        lines, _ = peer.communicate(timeout=20)
        story.transcript.until(lambda _: story.commands)
    heard = [json.loads(line) for line in lines.splitlines()]
    [birth, again] = [said for said in heard if said["verb"] == "NBIRTH"]
    assert birth["seq"] == again["seq"] == 0
    assert {m["name"] for m in birth["metrics"]} == {"bdSeq", "Node Control/Rebirth", *(row.name for row in NODE)}
    values = {m["name"]: m["value"] for m in again["metrics"]}
    assert values["Node Control/Rebirth"] is False
    assert values["Properties/Model"] == "student.int8"
    assert values["Outbox/Waiting"] == 3

    [north, *_] = [said for said in heard if said["verb"] == "DBIRTH" and said["device"] == "north"]
    assert {m["name"] for m in north["metrics"]} == {row.name for row in (*CAMERA, *WRITABLE)}
    assert {m["quality"]["value"] for m in north["metrics"] if m.get("quality")} == {192, 500}
    told: dict[str, Any] = {}
    for said in heard[: heard.index(again)]:
        if said["verb"] == "DDATA":
            told |= {m["name"]: m for m in said["metrics"]}
    assert told["Event/Id"]["value"] == EVENT["event_id"]
    assert told["Event/Area px"]["value"] == 1200
    assert told["Event/Origin x px"]["value"] == 12.5
    assert told["Alarm/Active"]["value"] is True
    assert told["Alarm/Active"]["quality"] == {"type": "Int32", "value": 192}
    assert [(c.camera, c.verb) for c in story.commands] == [("north", "ack")]
    numbers = [said["seq"] for said in heard if said["verb"] != "NDEATH"]
    assert numbers[: heard.index(again)] == list(range(heard.index(again))), "nothing is missing before the rebirth"
