"""From an operator's client to the alarm and back, over a real broker."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from edge import mqtt, payload
from edge.annunciator import Annunciator
from edge.broker import free_port, serve
from edge.mqtt import Publisher
from edge.outbox import Outbox, default_path
from edge.rules import AlarmSettings
from edge.uplink import MqttSettings, OutboxSettings
from tests.conftest import Ear
from tests.edge.summaries import UTC, summary
from tests.edge.test_mqtt import MADE_BY, ONLINE, WILL

TOPIC = "fgstp/box/north/cmd"
BRISK = AlarmSettings(on_delay_s=0.5)


class Desk:
    """What a control room does: send, and listen to the answers."""

    def __init__(self, settings: MqttSettings) -> None:
        self._client = mqtt.subscribe(settings, "desk", ["fgstp/none"], lambda *_: None)

    def send(self, message: bytes, topic: str = TOPIC, *, retain: bool = False) -> None:
        self._client.publish(topic, message, 1, retain).wait_for_publish(10)

    def ask(self, command: str, id_: str, **fields: object) -> None:
        self.send(json.dumps({"command": command, "id": id_, "operator": "Jo", **fields}).encode())

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def until_listening(settings: MqttSettings) -> None:
    """The device's status comes after its subscription, on one connection."""
    heard = threading.Event()
    client = mqtt.subscribe(settings, "probe", ["fgstp/box/status"], lambda *_: heard.set())
    assert heard.wait(15)
    client.disconnect()
    client.loop_stop()


class Device:
    """The wiring that the service does: a queue between paho's thread and the alarm's."""

    def __init__(self, settings: MqttSettings) -> None:
        self.commands: queue.Queue[tuple[str, bytes]] = queue.Queue(100)
        self.publisher = Publisher(settings, "box", will=WILL, on_command=self.put_aside)
        self.annunciator = Annunciator("north", {"": BRISK})
        self.publisher.publish("status", ONLINE)
        self.publisher.start()
        self.say(self.annunciator.restore(self.publisher.saved, UTC))
        until_listening(settings)

    def put_aside(self, camera: str, message: bytes) -> None:
        self.commands.put_nowait((camera, message))

    def say(self, outcome: object) -> None:
        self.publisher.publish_all(payload.messages(outcome, MADE_BY), "north", save=outcome.save)
        if outcome.changed:
            self.publisher.publish("alarm", payload.alarm(self.annunciator.places, "north", UTC), "north")

    def leak(self) -> None:
        for index in range(10):
            self.say(self.annunciator.observe(UTC + index / 10, [summary(index, fps=10)]))

    def obey(self) -> tuple[str, bytes]:
        camera, message = self.commands.get(timeout=10)
        self.say(self.annunciator.act(message, UTC + 2))
        return camera, message


@pytest.fixture
def desk(broker: MqttSettings) -> Iterator[Desk]:
    made = Desk(broker)
    yield made
    made.close()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_an_acknowledgement_is_answered_recorded_and_shown(broker, desk, ear, protocol):
    device = Device(broker.model_copy(update={"protocol": protocol}))
    device.leak()
    raised = ear.message("alarm_event", cause="leak")
    assert ear.message("alarm", alarm_state="unacknowledged")["raised_by"] == raised["event_id"]
    desk.ask("ack", "1", event_id=raised["event_id"])
    device.obey()
    record = ear.message("alarm_event", cause="ack")
    assert (record["operator"], record["command_id"], record["from"], record["to"]) == (
        "Jo",
        "1",
        "unacknowledged",
        "acknowledged",
    )
    assert ear.message("reply", id="1") == {
        "id": "1",
        "command": "ack",
        "accepted": True,
        "reason": None,
        "state": "acknowledged",
        "utc": payload.iso(UTC + 2),
    }
    shown = ear.message("alarm", alarm_state="acknowledged")
    assert (shown["state"], shown["active"]) == ("active", True)
    device.publisher.close(WILL)


def test_rubbish_is_answered_and_kept_nowhere(broker, desk):
    device = Device(broker)
    answers: queue.Queue[dict[str, object]] = queue.Queue()
    client = mqtt.subscribe(broker, "ear", [TOPIC + "/reply"], lambda _, said: answers.put(json.loads(said)))
    for message in (b"", b"\xff", b"[" * 2000, b"x" * 100_000):
        desk.send(message)
        assert len(device.obey()[1]) <= 4097
        assert answers.get(timeout=10)["accepted"] is False
    assert device.publisher.waiting.depth == 0
    client.disconnect()
    client.loop_stop()
    device.publisher.close(WILL)


def test_a_retained_command_is_not_obeyed_at_every_start(broker, desk, caplog):
    desk.send(json.dumps({"command": "suppress", "id": "old", "operator": "Jo"}).encode(), retain=True)
    device = Device(broker)
    desk.ask("snapshot", "new")
    assert b'"new"' in device.obey()[1]
    assert device.commands.empty()
    assert "a retained command is not obeyed" in caplog.text
    desk.send(b"", retain=True)
    device.publisher.close(WILL)


def test_commands_are_taken_again_after_a_broken_connection(a_broker):
    port = free_port()
    settings = a_broker.settings(port)
    with serve(a_broker, port):
        device = Device(settings)
    while device.publisher.connected:
        time.sleep(0.02)
    with serve(a_broker, port):
        until_listening(settings)
        ear, desk = Ear(settings), Desk(settings)
        desk.ask("out_of_service", "1")
        assert device.obey()[0] == "north"
        assert ear.message("reply", id="1")["state"] == "out_of_service"
        for each in (ear, desk):
            each.close()
        device.publisher.close(WILL)


def test_an_action_its_record_and_its_answer_survive_a_kill_together(a_broker):
    """The broker is gone when the operator's last command is obeyed, and the process is killed right after."""
    port = free_port()
    settings = a_broker.settings(port)
    program = (
        "import json, os, signal, sys, time\nfrom edge import payload\nfrom edge.uplink import MqttSettings\n"
        "from tests.edge.test_commands_over_mqtt import Annunciator, BRISK, MADE_BY, Publisher, UTC, WILL\n"
        "p = Publisher(MqttSettings(host='127.0.0.1', port=int(sys.argv[1])), 'box', will=WILL)\n"
        "p.start()\na = Annunciator('north', {'': BRISK})\n"
        "o = a.act(json.dumps({'command': 'suppress', 'id': '1', 'operator': 'Jo'}).encode(), UTC)\n"
        "p.publish_all(payload.messages(o, MADE_BY), 'north', save=o.save)\n"
        "while p.waiting.depth < 2: time.sleep(0.01)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    gone = subprocess.run([sys.executable, "-c", program, str(port)], check=False)
    assert gone.returncode == -signal.SIGKILL
    with serve(a_broker, port):
        ear = Ear(settings)
        device = Device(settings)
        assert ear.message("alarm_event", cause="suppress")["to"] == "suppressed_by_design"
        assert ear.message("reply", id="1")["accepted"]
        assert ear.message("alarm")["alarm_state"] == "suppressed_by_design"
        before = device.annunciator.places
        again = device.annunciator.act(b'{"command": "unsuppress", "id": "1", "operator": "Jo"}', UTC + 9)
        assert (again.reply.command, device.annunciator.places) == ("suppress", before)
        ear.close()
        device.publisher.close(WILL)


def test_messages_and_states_that_belong_together_are_one_transaction(state_directory):
    publisher = Publisher(MqttSettings(host="127.0.0.1", port=free_port()), "box", will=WILL)
    annunciator = Annunciator("north", {"": BRISK})
    outcome = annunciator.act(b'{"command": "suppress", "id": "1", "operator": "Jo"}', UTC)
    publisher.publish_all(payload.messages(outcome, MADE_BY), "north", save=outcome.save)
    publisher.start()
    publisher.close(WILL)
    queue_ = Outbox(default_path("box"), OutboxSettings())
    kept = [message.topic.partition("north/")[2] for _, message in queue_.first(10)]
    assert kept == ["alarm_event", "cmd/reply"]
    assert set(queue_.states()) == {"north", "north/cmd"}
    queue_.close()
