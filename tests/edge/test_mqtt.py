"""The publisher against a real broker: retained state, last will, reconnect, credentials."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from edge import courier, login, mqtt, payload
from edge.alarm import Alarm
from edge.annunciator import Place
from edge.broker import Broker, free_port, serve
from edge.condition import Condition, step
from edge.errors import ConfigError, TransportError
from edge.login import credentials
from edge.mqtt import Publisher
from edge.records import Provenance
from edge.rules import AlarmSettings
from edge.store import Priority
from edge.uplink import MqttSettings, TlsSettings
from tests.conftest import Ear
from tests.edge.summaries import UTC, summary

MADE_BY = Provenance("student.int8", "0" * 64, "f" * 64, "0.1.0", True)
ONLINE = payload.status("box", "online", None, UTC, MADE_BY)
STOPPED = payload.status("box", "offline", "stopped", UTC, MADE_BY)
WILL = payload.status("box", "offline", "connection_lost", None, MADE_BY)
STANDING = payload.alarm([Place(Alarm("north"))], "north", UTC)


def events_of_a_leak() -> list[payload.Payload]:
    state, events = Condition(), []
    for index in range(195):
        state, new = step(state, summary(index), AlarmSettings(), camera="north")
        events += [payload.event(event) for event in new]
    return events


def until_connected(publisher: Publisher, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not publisher.connected:
        assert time.monotonic() < deadline, "not connected"
        time.sleep(0.02)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_messages_arrive_on_their_topics_and_state_stays(broker, ear, protocol):
    publisher = Publisher(broker.model_copy(update={"protocol": protocol}), "box", will=WILL)
    publisher.publish("status", ONLINE)
    publisher.publish("alarm", STANDING, "north")
    publisher.start()
    until_connected(publisher)
    publisher.publish("summary", payload.summary(summary(1), "north"), "north")
    for event in events_of_a_leak():
        publisher.publish("event", event, "north")
    ear.message("event", type="update", sequence=3)
    assert ear.message("status")["state"] == "online"
    late = Ear(broker)
    assert late.message("alarm")["state"] == "normal"
    assert late.message("status")["state"] == "online"
    publisher.close(STOPPED)
    assert ear.message("status", state="offline")["reason"] == "stopped"
    assert {topic for topic, _ in ear.heard} == {
        "fgstp/box/status",
        "fgstp/box/north/alarm",
        "fgstp/box/north/summary",
        "fgstp/box/north/event",
    }
    late.close()


def test_a_killed_device_is_declared_offline_by_its_last_will(broker, ear):
    program = (
        "import sys, time\nfrom edge.uplink import MqttSettings\nfrom edge.mqtt import Publisher\n"
        "from tests.edge.test_mqtt import ONLINE, WILL\n"
        "p = Publisher(MqttSettings(host='127.0.0.1', port=int(sys.argv[1])), 'box', will=WILL)\n"
        "p.publish('status', ONLINE)\np.start()\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(broker.port)]) as device:
        ear.message("status", state="online")
        device.send_signal(signal.SIGKILL)
        assert ear.message("status", state="offline")["reason"] == "connection_lost"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_nothing_that_matters_is_lost_when_the_broker_restarts(a_broker, protocol, caplog, monkeypatch):
    monkeypatch.setattr(mqtt.random, "uniform", lambda low, high: 2.0)  # the ear must be back before the publisher
    port = free_port()
    settings = a_broker.settings(port).model_copy(update={"protocol": protocol})
    publisher = Publisher(settings, "box", will=WILL)
    publisher.publish("status", ONLINE)
    publisher.publish("alarm", STANDING, "north")
    caplog.set_level(logging.INFO)
    with serve(a_broker, port):
        publisher.start()
        until_connected(publisher)
    while publisher.connected:
        time.sleep(0.02)
    events = events_of_a_leak()
    for event in events:
        publisher.publish("event", event, "north")
    changed = {**STANDING, "quality": "bad", "held": True, "reasons": ["camera_lost"]}
    publisher.publish("alarm", changed, "north")
    with serve(a_broker, port):
        ear = Ear(settings)  # the restarted broker has forgotten everything
        ear.message("event", sequence=len(events) - 1)
        heard = [said for topic, said in ear.heard if topic.endswith("/event")]
        assert [said["sequence"] for said in heard] == list(range(len(events)))
        assert ear.message("status")["state"] == "online"
        assert ear.message("alarm")["quality"] == "bad"
        ear.close()
        publisher.close(STOPPED)
    losses = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(losses) == 1, "one line per loss, not one per attempt"


def test_an_absent_broker_holds_nobody_up_and_its_events_wait(caplog):
    settings = MqttSettings(host="127.0.0.1", port=free_port())
    publisher = Publisher(settings, "box", will=WILL)
    publisher.start()
    began = time.monotonic()
    for event in events_of_a_leak():
        publisher.publish("event", event, "north")
    publisher.publish("summary", payload.summary(summary(1), "north"), "north")
    assert time.monotonic() - began < 1
    while "no broker at 127.0.0.1" not in caplog.text:
        time.sleep(0.02)
    publisher.close(STOPPED)
    assert publisher.waiting.depth == len(events_of_a_leak())
    assert publisher.waiting.on_disk


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_events_of_a_killed_process_arrive_once_it_is_back(a_broker, protocol):
    port = free_port()
    settings = a_broker.settings(port).model_copy(update={"protocol": protocol})
    events = events_of_a_leak()
    program = (
        "import os, signal, sys, time\nfrom edge.uplink import MqttSettings\nfrom edge.mqtt import Publisher\n"
        "from tests.edge.test_mqtt import WILL, events_of_a_leak\n"
        "p = Publisher(MqttSettings(host='127.0.0.1', port=int(sys.argv[1])), 'box', will=WILL)\n"
        "p.start()\n"
        "for n, e in enumerate(events_of_a_leak()): p.publish('event', e, 'north', save={'north': f'after {n}'})\n"
        "while p.waiting.depth < len(events_of_a_leak()): time.sleep(0.01)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    gone = subprocess.run([sys.executable, "-c", program, str(port)], check=False)
    assert gone.returncode == -signal.SIGKILL
    with serve(a_broker, port):
        ear = Ear(settings)
        publisher = Publisher(settings, "box", will=WILL)
        assert publisher.saved == {"north": f"after {len(events) - 1}"}
        assert publisher.waiting.depth == len(events)
        publisher.start()
        ear.message("event", sequence=len(events) - 1)
        publisher.close(STOPPED)
        assert publisher.waiting.depth == 0
        heard = [said for topic, said in ear.heard if topic.endswith("/event")]
        assert [said["sequence"] for said in heard] == list(range(len(events)))
        ear.close()
    nothing = Publisher(settings, "box", will=WILL)
    assert nothing.waiting.depth == 0
    nothing.close(STOPPED)


def test_what_the_broker_refuses_to_take_is_kept_until_it_may_be_sent(a_broker, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(courier, "REFUSED_S", 0.2)
    monkeypatch.setattr(mqtt.random, "uniform", lambda low, high: 2.0)  # the ear must be back before the publisher
    port = free_port()
    settings = a_broker.settings(port)
    events = events_of_a_leak()
    publisher = Publisher(settings, "box", will=WILL)
    with tempfile.TemporaryDirectory() as folder:
        rights = Path(folder) / "rights"
        rights.write_text("topic readwrite fgstp/box/status\n")
        Path(folder).chmod(0o755)  # mosquitto reads it as its own user
        rights.chmod(0o644)
        strict = Broker(a_broker.name, "5", a_broker.command, a_broker.config + f"acl_file {rights}\n")
        with serve(strict, port):
            publisher.start()
            until_connected(publisher)
            for event in events:
                publisher.publish("event", event, "north")
            while "refuses fgstp/box/north/" not in caplog.text:
                time.sleep(0.02)
            assert publisher.waiting.depth == len(events)
    with serve(a_broker, port):
        ear = Ear(settings)
        ear.message("event", sequence=len(events) - 1)
        publisher.close(STOPPED)
        assert publisher.waiting.depth == 0
        ear.close()


def test_an_update_is_worth_less_than_a_start_or_an_end():
    assert mqtt.TOPICS["update"].path("box", "north") == mqtt.TOPICS["event"].path("box", "north")
    assert mqtt.TOPICS["update"].kept < mqtt.TOPICS["event"].kept == Priority.ALARM


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_required_broker_that_is_absent_is_an_error(host):
    settings = MqttSettings(host=host, port=free_port(), required_at_start=True)
    with pytest.raises(TransportError, match=rf"cannot reach the MQTT broker at {host}:\d+: "):
        Publisher(settings, "box", will=WILL).start()


LOCKED = Broker("mosquitto", "5", (), "listener {port} 127.0.0.1\nallow_anonymous false\nlog_dest none\n")


def test_a_broker_that_refuses_us_is_named(a_broker):
    port = free_port()
    locked = Broker(a_broker.name, "5", a_broker.command, LOCKED.config)
    settings = MqttSettings(host="127.0.0.1", port=port, required_at_start=True)
    with serve(locked, port):
        with pytest.raises(TransportError, match="refuses us: Not authorized; check user name, password"):
            Publisher(settings, "box", will=WILL).start()
        with pytest.raises(TransportError, match="refuses us"):
            mqtt.subscribe(settings, "ear", ["fgstp/#"], lambda topic, said: None)


def test_a_password_file_lets_us_in(a_broker, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    port = free_port()
    settings = MqttSettings(host="127.0.0.1", port=port, username="box", password_file=secret, required_at_start=True)
    with tempfile.TemporaryDirectory() as folder:
        users = Path(folder) / "users"
        subprocess.run(["mosquitto_passwd", "-c", "-b", str(users), "box", "s3cret"], check=True, capture_output=True)
        Path(folder).chmod(0o755)  # mosquitto reads it as its own user
        users.chmod(0o644)
        guarded = Broker(a_broker.name, "5", a_broker.command, LOCKED.config + f"password_file {users}\n")
        with serve(guarded, port):
            publisher = Publisher(settings, "box", will=WILL)
            publisher.start()
            assert publisher.connected
            publisher.close(STOPPED)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves the refused socket open
def test_an_encrypted_broker_is_believed_by_its_certificate_only(a_broker):
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        ca, key = Path(folder) / "ca.pem", Path(folder) / "key.pem"
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
        subprocess.run([*new, "-keyout", key, "-out", ca], check=True, capture_output=True)
        for path in (Path(folder), ca, key):
            path.chmod(0o755)  # mosquitto reads them as its own user
        secure = a_broker.config + f"cafile {ca}\ncertfile {ca}\nkeyfile {key}\n"
        with serve(Broker(a_broker.name, "5", a_broker.command, secure), port):
            known = MqttSettings(host="localhost", port=port, tls=TlsSettings(ca_file=ca), required_at_start=True)
            publisher = Publisher(known, "box", will=WILL)
            publisher.start()
            assert publisher.connected
            publisher.close(STOPPED)
            unknown = known.model_copy(update={"tls": TlsSettings()})
            with pytest.raises(TransportError, match="certificate verify failed"):
                Publisher(unknown, "box", will=WILL).start()


def test_credentials_come_from_the_file_then_from_the_environment(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("from file\n")
    environ = {"FGSTP_MQTT_USERNAME": "env-user", "FGSTP_MQTT_PASSWORD": "from env"}
    assert credentials(MqttSettings(), {}) == (None, None)
    assert credentials(MqttSettings(), environ) == ("env-user", "from env")
    assert credentials(MqttSettings(username="me", password_file=secret), environ) == ("me", "from file")


def test_systemd_credentials_go_before_the_environment_and_behind_what_is_configured(tmp_path):
    (tmp_path / "mqtt-username").write_text("box\n")
    (tmp_path / "mqtt-password").write_text("from systemd\n")
    (tmp_path / "other").write_text("by name\n")
    environ = {
        "CREDENTIALS_DIRECTORY": str(tmp_path),
        "FGSTP_MQTT_USERNAME": "env-user",
        "FGSTP_MQTT_PASSWORD": "from env",
    }
    assert credentials(MqttSettings(), environ) == ("box", "from systemd")
    assert credentials(MqttSettings(password_file=Path("other")), environ) == ("box", "by name")
    assert login.located(Path("other"), environ) == tmp_path / "other"
    assert login.located(Path("/etc/other"), environ) == Path("/etc/other")
    assert login.located(Path("absent"), environ) == Path("absent")
    for blank in "mqtt-username", "mqtt-password":  # what our units hand out where the administrator left no file
        (tmp_path / blank).write_text("\n")
    assert credentials(MqttSettings(), environ) == ("env-user", "from env")
    (tmp_path / "mqtt-password").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="the credential mqtt-password: cannot read"):
        credentials(MqttSettings(), environ)


def test_unreadable_secrets_and_certificates_are_configuration_errors(tmp_path):
    with pytest.raises(ConfigError, match=r"mqtt\.password_file: cannot read .*/absent"):
        credentials(MqttSettings(username="me", password_file=tmp_path / "absent"), {})
    with pytest.raises(ConfigError, match=r"mqtt\.username: a password needs a user name"):
        credentials(MqttSettings(), {"FGSTP_MQTT_PASSWORD": "x"})
    with pytest.raises(ConfigError, match=r"mqtt\.tls: the certificates cannot be used"):
        mqtt.client(MqttSettings(tls=TlsSettings(ca_file=tmp_path / "absent.pem")), "box")


def test_topics_name_device_and_camera():
    assert mqtt.TOPICS["event"].path("box", "north") == "fgstp/box/north/event"
    assert mqtt.TOPICS["status"].path("box") == "fgstp/box/status"
    assert mqtt.TOPICS["event"].qos == 1
    assert {kind for kind, topic in mqtt.TOPICS.items() if topic.retain} == {"alarm", "status"}
