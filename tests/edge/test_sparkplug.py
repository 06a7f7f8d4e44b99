"""The Sparkplug publisher against a real broker: what is kept, what is replayed, what is given up."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from edge import mqtt
from edge.broker import Broker, free_port, serve
from edge.config import CameraSettings, parse
from edge.errors import ConfigError
from edge.outbox import Outbox
from edge.sparkplug import Publisher, session
from edge.sparkplug.codec import Metric, Type, decode
from edge.sparkplug.table import CAMERA, WRITABLE
from edge.sparkplug.table import NODE as NODE_ROWS
from edge.store import Message, Priority
from edge.uplink import MqttSettings, OutboxSettings, SparkplugSettings
from tests.edge import test_sparkplug_births, test_sparkplug_data, test_sparkplug_sessions
from tests.edge.sparkplug_story import CAMERAS, GROUP, HOST_ID, NODE, Host, alarm, playing
from tests.edge.sparkplug_wire import Packet

STATE = CAMERA[1].number


@pytest.fixture(autouse=True)
def _no_time_to_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RETRY_S", (0.05, 0.1))


def states_told(packets: list[Packet], historical: bool) -> list[object]:
    """What was said of the alarm's state, in order."""
    wanted = [m for p in packets for m in p.payload.metrics if m.alias is not None and m.alias % 256 == STATE]
    return [metric.value for metric in wanted if metric.historical is historical]


def until(true: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def keep(broker: MqttSettings, *messages: dict[str, Any], **settings: Any) -> None:
    """Alarm messages of a device that finds no broker and is stopped."""
    nowhere = broker.model_copy(update={"port": free_port()})
    cameras = list(dict.fromkeys(message["camera"] for message in messages))
    publisher = Publisher(SparkplugSettings(group_id=GROUP, **settings), nowhere, NODE, cameras)
    publisher.start()
    for message in messages:
        publisher.publish("alarm", message, message["camera"])
    until(lambda: publisher.waiting.depth == len(messages))
    publisher.close()
    assert publisher.waiting.on_disk


def test_paho_still_has_the_methods_that_we_override() -> None:
    """Without them no ping would be counted, and nothing would ever leave the outbox."""
    assert callable(paho.Client._send_pingreq)
    assert callable(paho.Client._handle_pingresp)


def test_changes_without_a_broker_are_replayed_in_order_and_removed_when_proven(broker: MqttSettings) -> None:
    keep(broker, *(alarm("north", n, state=f"s{n}") for n in range(60)))
    with playing(broker) as (publisher, story, _door):
        story.transcript.until(lambda t: len(states_told(t.published("DDATA"), True)) == 60)
        until(lambda: publisher.waiting.depth == 0)
        assert states_told(story.published("DDATA"), True) == [f"s{n}" for n in range(60)]
        births = [p.verb for p in story.published()].index("DDATA")
        assert births == 1 + len(CAMERAS), "after the births"


def test_nothing_leaves_the_disk_before_a_ping_after_it_is_answered(broker: MqttSettings) -> None:
    with playing(broker) as (publisher, story, door):
        story.transcript.until(lambda t: len(t.published("DBIRTH")) == 2)
        door.mute = True
        publisher.publish("alarm", alarm("north"), "north")
        story.transcript.until(lambda t: t.published("DDATA"))
        story.transcript.until(lambda t: [p for p in t.packets if p.kind == "PINGREQ"])
        time.sleep(0.1)  # an answer that was not kept back would be here by now
        assert publisher.waiting.depth == 1
        door.mute = False
        door.cut()
        story.transcript.until(lambda t: states_told(t.published("DDATA", connection=1), True))
        until(lambda: publisher.waiting.depth == 0)
        assert states_told(story.published("DDATA", connection=0), False) == ["normal"]


def test_replay_keeps_to_its_rate_and_news_overtake_it(broker: MqttSettings, tmp_path: Path) -> None:
    outbox = OutboxSettings(path=tmp_path / "slow.db", replay_per_s=10)
    keep(broker, *(alarm("north", n, state=f"s{n}") for n in range(30)), outbox=outbox)
    with playing(broker, outbox=outbox) as (publisher, story, _door):
        story.transcript.until(lambda t: len(t.published("DBIRTH")) == 2)
        publisher.publish("alarm", alarm("north", 99, state="now"), "north")
        story.transcript.until(lambda t: "now" in states_told(t.published("DDATA"), False), 5)
        assert len(states_told(story.published("DDATA"), True)) < 30, "it did not wait for its turn"
        story.transcript.until(lambda t: len(states_told(t.published("DDATA"), True)) == 6)
        old = [packet.at for packet in story.published("DDATA") if states_told([packet], True)]
        assert old[5] - old[0] > 0.45


def test_a_camera_that_is_lost_at_the_birth_is_told_of_and_then_dies(broker: MqttSettings) -> None:
    keep(broker, alarm("north", 1, state="active", active=True))
    with playing(broker) as (publisher, story, _door):
        publisher.publish("alarm", alarm("north", 2, lost=True, state="active", active=True), "north")
        story.transcript.until(lambda t: t.published("DDEATH"))
        publisher.publish("alarm", alarm("north", 3, lost=True, state="returning", active=True), "north")
        until(lambda: publisher.waiting.depth > 0)
        assert not [p for p in story.published("DDATA") if p.at > story.published("DDEATH")[0].at]
        host = Host(broker)
        host.write(f"spBv1.0/{GROUP}/NCMD/{NODE}", Metric(True, Type.BOOLEAN, "Node Control/Rebirth"))
        story.transcript.until(lambda t: len(t.published("DDEATH")) == 2)
        publisher.publish("alarm", alarm("north", 4, state="normal"), "north")
        story.transcript.until(lambda t: "returning" in states_told(t.published("DDATA"), True))
        until(lambda: publisher.waiting.depth == 0)
        host.close()


def test_a_killed_process_is_declared_dead_and_the_next_one_counts_on(
    broker: MqttSettings, state_directory: Path
) -> None:
    program = (
        "import sys, time\nfrom edge.uplink import MqttSettings, SparkplugSettings\n"
        "from edge.sparkplug import Publisher\n"
        "broker = MqttSettings(host='127.0.0.1', port=int(sys.argv[1]))\n"
        "p = Publisher(SparkplugSettings(group_id='g'), broker, 'box', ['a'])\n"
        "p.start()\nwhile not p.connected: time.sleep(0.01)\nprint('alive', flush=True)\ntime.sleep(60)\n"
    )
    deaths: list[bytes] = []
    ear = mqtt.subscribe(broker, "ear", ["spBv1.0/g/NDEATH/box"], lambda topic, body: deaths.append(body))
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", program, str(broker.port)], stdout=subprocess.PIPE) as device:
            assert device.stdout is not None
            assert device.stdout.readline() == b"alive\n"
            device.kill()
    until(lambda: len(deaths) == 2)
    ear.disconnect()
    ear.loop_stop()
    assert [decode(body).metrics[0].value for body in deaths] == [0, 1]
    assert (state_directory / "sparkplug-box.db").is_file()


def test_a_broker_that_falls_silent_is_left_within_one_and_a_half_keepalives(broker: MqttSettings) -> None:
    with playing(broker.model_copy(update={"keepalive_s": 2})) as (publisher, story, door):
        story.transcript.until(lambda t: len(t.published("DBIRTH")) == 2)
        door.mute = True
        began = time.monotonic()
        until(lambda: not publisher.connected, 6)
        assert time.monotonic() - began < 3 + 2, "1.5 x keepalive, and a turn of the thread"
        door.mute = False
        story.transcript.until(lambda t: t.published("NBIRTH", connection=1))


def test_a_refused_login_is_one_line_and_changes_are_kept(a_broker: Broker, tmp_path: Path, caplog) -> None:
    port = free_port()
    config = a_broker.config.replace("allow_anonymous true", "allow_anonymous false")
    closed = Broker(a_broker.name, a_broker.protocol, a_broker.command, config)
    with serve(closed, port):
        publisher = Publisher(SparkplugSettings(group_id=GROUP), closed.settings(port), NODE, CAMERAS)
        publisher.start()
        publisher.publish("alarm", alarm("north"), "north")
        until(lambda: publisher.waiting.depth == 1 and "keeping on trying" in caplog.text)
        time.sleep(0.5)
        publisher.close()
    assert caplog.text.count("keeping on trying") == 1


def test_commands_need_somebody_who_obeys(broker: MqttSettings, caplog: pytest.LogCaptureFixture) -> None:
    publisher = Publisher(SparkplugSettings(group_id=GROUP), broker, NODE, CAMERAS)
    publisher.start()
    until(lambda: publisher.connected)
    host = Host(broker)
    host.write(f"spBv1.0/{GROUP}/DCMD/{NODE}/north", Metric(True, Type.BOOLEAN, "Alarm/Acknowledge"))
    until(lambda: "commands are not enabled" in caplog.text)
    publisher.close()
    host.close()


def test_changes_of_a_camera_that_is_no_longer_ours_are_dropped(broker: MqttSettings, caplog) -> None:
    keep(broker, alarm("west"))
    with playing(broker) as (publisher, _story, _door):
        until(lambda: publisher.connected and publisher.waiting.depth == 0)
    assert "1 changes that were kept" in caplog.text


def test_settings_that_are_not_given_are_mqtts() -> None:
    given = MqttSettings(host="a", port=8883, username="u", protocol="3.1.1", keepalive_s=30)
    assert SparkplugSettings(group_id="g").links(given) == (given,)
    own = {"group_id": "g", "username": "v", "protocol": 5, "brokers": [{"host": "b"}, {"host": "c", "port": 1}]}
    links = SparkplugSettings.model_validate(own).links(given)
    assert [(m.host, m.port, m.username, m.protocol, m.keepalive_s) for m in links] == [
        ("b", 1883, "v", "5", 30),
        ("c", 1, "v", "5", 30),
    ]


def test_ids_of_one_write_end_at_the_last_id(tmp_path: Path) -> None:
    queue = Outbox(tmp_path / "q.db", OutboxSettings())
    assert queue.last_id == 0
    queue.write([Message("a", b"", Priority.ALARM)] * 3)
    queue.write([Message("b", b"", Priority.ALARM)] * 2)
    assert [id_ for id_, _ in queue.first(9, after=queue.last_id - 2)] == [4, 5]
    queue.close()


@pytest.mark.parametrize("bad", ["a/b", "a+", "#", "", "a\n"])
def test_tck_id_topic_structure_namespace_valid_group_id(bad: str) -> None:
    """The format of the Group ID MUST be a valid UTF-8 string with the exception of the reserved characters of +
    (plus), / (forward slash), and # (number sign)."""
    assert SparkplugSettings(group_id="Werk 1, Süd").group_id == "Werk 1, Süd"
    with pytest.raises(ValueError, match="group_id"):
        SparkplugSettings(group_id=bad)


@pytest.mark.parametrize("bad", ["a/b", "a+", "#", ""])
def test_tck_id_topic_structure_namespace_valid_edge_node_id(bad: str) -> None:
    """The format of the edge_node_id MUST be a valid UTF-8 string with the exception of the reserved characters of +
    (plus), / (forward slash), and # (number sign)."""
    with pytest.raises(ValueError, match="edge_node_id"):
        SparkplugSettings(group_id="g", edge_node_id=bad)


@pytest.mark.parametrize("bad", ["a/b", "a+", "#", ""])
def test_tck_id_topic_structure_namespace_valid_device_id(bad: str) -> None:
    """The format of the device_id MUST be a valid UTF-8 string except for the reserved characters of + (plus), /
    (forward slash), and # (number sign)."""
    with pytest.raises(ValueError, match="name"):
        CameraSettings(name=bad, source="clip.mp4")


def test_tck_id_case_sensitivity_sparkplug_ids() -> None:
    """Edge Nodes in a Sparkplug environment SHOULD NOT have Sparkplug IDs (Group, Edge Node, or Device IDs) that when
    converted to lower case match"""
    cameras = "device: box\ncameras:\n  - {name: north, source: a}\n  - {name: North, source: b}\n"
    assert len(parse(cameras).cameras) == 2, "they are no Sparkplug devices"
    with pytest.raises(ConfigError, match=r"config:4: cameras\.1\.name: 'North' is another camera's name"):
        parse(cameras + "sparkplug: {group_id: plant}\n")


def test_tck_id_message_flow_edge_node_birth_publish_phid_wait_timestamp(
    broker: MqttSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """If the Edge Node is configured to wait for a Primary Host Application it MUST validate the timestamp value is
    greater than or equal to the previous STATE message timestamp value in the STATE message payload before considering
    the Primary Host Application to be online and active. If no previous STATE message timestamp value has been received
    by this Edge Node it MUST consider the incoming STATE message to be the latest/valid."""
    host = Host(broker)
    host.state(False, 1000)
    with playing(broker, primary_host=HOST_ID) as (_publisher, story, _door):
        story.transcript.until(lambda t: [p for p in t.packets if not p.out and b"1000" in p.body])
        host.state(True, 999)
        host.write(f"spBv1.0/{GROUP}/NCMD/{NODE}", Metric(True, Type.BOOLEAN, "Node Control/Reboot"))
        until(lambda: "refused a command" in caplog.text)  # and so STATE before it was read
        assert not story.published()
        host.state(True, 1000)
        story.transcript.until(lambda t: t.published("DBIRTH"))
    host.close()


def test_the_documentation_lists_what_is_tested_and_every_metric() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sparkplug.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| ([\w-]+) \|$", text, re.MULTILINE)) - {"---"}
    modules = test_sparkplug_births, test_sparkplug_data, test_sparkplug_sessions
    names = [*globals(), *(name for module in modules for name in vars(module))]
    tests = {name.removeprefix("test_tck_id_").replace("_", "-") for name in names if name.startswith("test_tck_id_")}
    assert listed == tests
    assert f"{len(tests)} of them have a test here" in text
    others = set(re.findall(r"^\| [\w, -]+ \| ([\w-]+) \|$", text, re.MULTILINE)) - {"---"}
    assert others <= tests
    named = [
        part for cell in re.findall(r"^\| ([a-z][^|`]*-[^|`]*) \|", text, re.MULTILINE) for part in cell.split(", ")
    ]
    patterns = [re.search(r"\((\d+)\)$", name) for name in named]
    assert sum(int(pattern[1]) if pattern else 1 for pattern in patterns) == 299, "all of Sparkplug 3.0.0"
    rows = set(re.findall(r"^\| (\d+) \| `([^`]+)`", text, re.MULTILINE))
    assert rows == {(str(row.number), row.name) for row in (*CAMERA, *NODE_ROWS, *WRITABLE)}
