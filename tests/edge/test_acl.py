"""The rights that docs/mosquitto.acl gives, at a real mosquitto: each user may do what it needs and nothing else."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge import mqtt
from edge.broker import Broker, free_port, serve
from edge.errors import TransportError
from edge.homeassistant import discovery
from edge.mqtt import TOPICS, Publisher
from edge.sparkplug import Publisher as Sparkplug
from edge.uplink import MqttSettings, SparkplugSettings
from tests.edge.test_mqtt import STOPPED, WILL

ACL = Path(__file__).parents[2] / "docs" / "mosquitto.acl"
USERS = re.findall(r"^user (\S+)$", ACL.read_text(), re.MULTILINE)
NODE_SAYS = {f"spBv1.0/plant/{verb}/box-1" for verb in ("NBIRTH", "NDATA", "NDEATH")} | {
    f"spBv1.0/plant/{verb}/box-1/north" for verb in ("DBIRTH", "DDATA", "DDEATH")
}
NODE_OBEYS = {"spBv1.0/plant/NCMD/box-1", "spBv1.0/plant/DCMD/box-1/north"}
SAID = [kind for kind in TOPICS if kind != "cmd"]  # by the device
HIDDEN = {"reply", "refusal", "evidence"}  # from viewers

Login = Callable[[str], MqttSettings]


@pytest.fixture(scope="module")
def login(a_broker: Broker) -> Iterator[Login]:
    """A broker with these rights; gives how each user reaches it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        rights, passwords = Path(folder) / "rights", Path(folder) / "passwords"
        rights.write_text(ACL.read_text())
        passwords.write_text("".join(f"{user}:{user}-secret\n" for user in USERS))
        subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
        for user in USERS:
            (Path(folder) / user).write_text(f"{user}-secret\n")
        for path in (Path(folder), rights, passwords):
            path.chmod(0o755)  # mosquitto reads them as its own user
        config = (
            f"listener {port} 127.0.0.1\nlog_dest none\nallow_anonymous false\n"
            f"password_file {passwords}\nacl_file {rights}\n"
        )
        with serve(Broker("mosquitto", "5", a_broker.command, config), port):
            yield lambda user: MqttSettings(
                host="127.0.0.1", port=port, username=user, password_file=Path(folder) / user, required_at_start=True
            )


class Heard:
    """What one user hears of what it has asked for."""

    def __init__(self, settings: MqttSettings, *topics: str) -> None:
        self._arrived: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.topics: list[str] = []
        self._client = mqtt.subscribe(settings, "", list(topics), lambda *message: self._arrived.put(message))

    def until(self, enough: Callable[[set[str]], bool], seconds: float = 15.0) -> set[str]:
        """The topics heard so far, once they are enough; fails after `seconds`."""
        deadline = time.monotonic() + seconds
        while not enough(set(self.topics)):
            try:
                self.topics.append(self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))[0])
            except queue.Empty:
                pytest.fail(f"only heard {sorted(set(self.topics))}")
        return set(self.topics)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def may_publish(settings: MqttSettings, *topics: str) -> set[str]:
    """Those among these topics that the broker takes from this user: its answer to each QoS 1 message tells."""
    client, answers = mqtt.client(settings, ""), {}
    client.on_publish = lambda _client, _data, mid, reason, _properties: answers.update({mid: not reason.is_failure})
    mqtt.connect(client, settings)
    client.loop_start()
    sent = {client.publish(topic, b"{}", 1).mid: topic for topic in topics}
    until(lambda: len(answers) == len(sent))
    client.disconnect()
    client.loop_stop()
    return {topic for mid, topic in sent.items() if answers[mid]}


def every_topic(device: str) -> list[str]:
    return sorted({topic.path(device, "north") for topic in TOPICS.values()})


@pytest.fixture
def device(login: Login) -> Iterator[tuple[Publisher, list[tuple[str, bytes]]]]:
    """One that logs in as box-1, with the commands that it got."""
    commands: list[tuple[str, bytes]] = []
    publisher = Publisher(login("box-1"), "box-1", will=WILL, on_command=lambda *command: commands.append(command))
    publisher.announce(discovery("homeassistant", "box-1", ["north"]))
    publisher.start()
    yield publisher, commands
    publisher.close(STOPPED)


def say_all(publisher: Publisher) -> None:
    for kind in SAID:
        publisher.publish(kind, {"kind": kind}, "north")


def test_a_device_says_all_it_has_to_say_and_an_operator_hears_and_commands_it(login, device):
    publisher, commands = device
    operator = Heard(login("operator"), "fgstp/#")
    say_all(publisher)
    operator.until(lambda heard: heard == {TOPICS[kind].path("box-1", "north") for kind in SAID})
    asked = TOPICS["cmd"].path("box-1", "north")
    assert may_publish(login("operator"), *every_topic("box-1"), "fgstp/box-1/north", "other") == {asked}
    until(lambda: commands == [("north", b"{}")])
    until(lambda: not publisher.waiting.depth)  # the broker took all of it
    operator.close()


def test_a_device_speaks_for_no_other_and_gives_no_commands(login):
    own = set(every_topic("box-1")) - {TOPICS["cmd"].path("box-1", "north")}
    foreign = {topic.replace("box-1", "box-2") for topic in NODE_SAYS}
    topics = {*every_topic("box-1"), *every_topic("box-2"), *NODE_SAYS, *NODE_OBEYS, *foreign, "spBv1.0/STATE/scada"}
    assert may_publish(login("box-1"), *topics) == own | NODE_SAYS


def test_a_device_hears_nothing_but_commands_to_itself(login, device):
    publisher, _ = device
    ours = Heard(login("box-1"), "#")
    say_all(publisher)
    foreign = {topic.replace("box-1", "box-2") for topic in NODE_OBEYS}
    assert may_publish(login("scada"), *foreign, *NODE_OBEYS) == foreign | NODE_OBEYS
    both = [TOPICS["cmd"].path(name, "north") for name in ("box-2", "box-1")]
    assert may_publish(login("operator"), *both) == set(both)
    assert ours.until(lambda heard: both[1] in heard) == {both[1], *NODE_OBEYS}  # that was sent last of all
    ours.close()


def test_a_viewer_sees_alarms_and_health_but_no_pictures_and_says_nothing(login, device):
    publisher, _ = device
    viewer = Heard(login("viewer"), "#")
    say_all(publisher)
    wanted = {TOPICS[kind].path("box-1", "north") for kind in SAID if kind not in HIDDEN}
    viewer.until(lambda heard: heard >= wanted)
    hidden = TOPICS["evidence"]
    operator = Heard(login("operator"), hidden.path("box-1", "north"))
    publisher.publish("evidence", {}, "north")
    operator.until(bool)  # the evidence, sent last of all, is out
    publisher.publish("status", {"last": True})
    count = viewer.topics.count("fgstp/box-1/status")
    viewer.until(lambda _: viewer.topics.count("fgstp/box-1/status") > count)
    assert set(viewer.topics) == wanted
    assert may_publish(login("viewer"), *every_topic("box-1"), "fgstp/viewer/x/event", "other") == set()
    for end in (viewer, operator):
        end.close()


def test_what_is_retained_is_there_for_who_comes_late(login, device):
    publisher, _ = device
    say_all(publisher)
    operator = Heard(login("operator"), "fgstp/#")
    operator.until(lambda heard: heard >= {"fgstp/box-1/status", "fgstp/box-1/north/alarm"})
    viewer = Heard(login("viewer"), "fgstp/+/status", "fgstp/+/+/alarm")
    viewer.until(lambda heard: heard == {"fgstp/box-1/status", "fgstp/box-1/north/alarm"})
    for end in (viewer, operator):
        end.close()


def test_home_assistant_is_told_of_the_cameras_and_hears_what_they_refer_to(login, device):
    publisher, _ = device
    home = Heard(login("home-assistant"), "#")
    say_all(publisher)
    said = dict(discovery("homeassistant", "box-1", ["north"]))
    wanted = {*said, *(entity["state_topic"] for entity in said.values()), TOPICS["status"].path("box-1")}
    assert home.until(lambda heard: heard >= wanted) == wanted
    assert may_publish(login("home-assistant"), *every_topic("box-1"), *said) == set()
    home.close()


def test_a_sparkplug_node_is_born_once_its_host_is_there_and_dies_heard(login):
    host = Heard(login("scada"), "spBv1.0/#")
    settings = SparkplugSettings(group_id="plant", primary_host="scada")
    node = Sparkplug(settings, login("box-1"), "box-1", ["north"])
    node.start()
    client = mqtt.subscribe(login("scada"), "", ["none"], lambda *_: None)
    state = {"online": True, "timestamp": int(time.time() * 1000)}
    client.publish("spBv1.0/STATE/scada", json.dumps(state), 1, retain=True).wait_for_publish(10)
    births = {"spBv1.0/plant/NBIRTH/box-1", "spBv1.0/plant/DBIRTH/box-1/north"}
    host.until(lambda heard: heard >= births)
    assert may_publish(login("scada"), *NODE_SAYS, *NODE_OBEYS, "fgstp/box-1/north/cmd") == NODE_OBEYS
    client.publish("spBv1.0/STATE/scada", b"", 1, retain=True).wait_for_publish(10)
    node.close()
    host.until(lambda heard: "spBv1.0/plant/NDEATH/box-1" in heard)
    host.close()
    client.disconnect()
    client.loop_stop()


def test_nobody_gets_in_without_a_name(login):
    settings = login("viewer").model_copy(update={"username": None, "password_file": None})
    with pytest.raises(TransportError, match="refuses us: Not authorized"):
        mqtt.subscribe(settings, "", ["fgstp/#"], lambda *_: None)
