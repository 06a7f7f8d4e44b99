"""Brokers that come and go, links that only look alive, and what the broker is told about time."""

from __future__ import annotations

import contextlib
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge import courier, link, mqtt
from edge.broker import HOST, Broker, free_port, serve
from edge.mqtt import Publisher
from edge.sparkplug import link as sparkplug_link
from edge.uplink import BrokerAddress, MqttSettings, TlsSettings
from tests.conftest import Ear
from tests.edge.test_mqtt import ONLINE, STOPPED, WILL, events_of_a_leak, until_connected

KEEPALIVE = 5
SHORT = 100  # bytes: no more than pings and acknowledgements


class Proxy:
    """A network cable between a client and a broker: it can be plugged into nothing without anybody noticing."""

    def __init__(self, to: int) -> None:
        self.port, self.to = free_port(), to
        self.unplugged = False  # nobody gets a new connection
        self.blackhole = False
        self.cutting = False  # the client's next packet breaks in the middle, and the connection with it
        self.from_client = b""  # what came from the first client to connect
        self._server = socket.create_server((HOST, self.port))
        self._ends: list[socket.socket] = [self._server]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._server.accept()
                try:
                    if self.unplugged:
                        raise ConnectionRefusedError
                    there = socket.create_connection((HOST, self.to))
                except OSError:
                    here.close()
                    continue
                self._ends += [here, there]
                for ends in ((here, there), (there, here)):
                    self._threads.append(threading.Thread(target=self._pump, args=ends, daemon=True))
                    self._threads[-1].start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if source is self._ends[1]:
                    self.from_client += data
                from_client = source.getsockname()[1] == self.port
                if self.cutting and from_client and len(data) > SHORT:
                    sink.sendall(data[: len(data) // 2])
                    self.cutting = False
                    break
                if not self.blackhole:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def proxy(broker: MqttSettings) -> Iterator[Proxy]:
    made = Proxy(broker.port)
    yield made
    made.close()


def until(true: Callable[[], Any], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not within the time given"
        time.sleep(0.02)


def test_a_half_open_link_is_noticed_within_one_and_a_half_keepalives_and_a_quiet_one_is_left_alone(ear, proxy):
    settings = MqttSettings(host=HOST, port=proxy.port, keepalive_s=KEEPALIVE)
    publisher = Publisher(settings, "box", will=WILL)
    publisher.start()
    until_connected(publisher)
    quiet = publisher._client.heard
    until(lambda: publisher._client.heard - quiet >= KEEPALIVE)  # the answer to a ping, for want of anything else
    assert publisher.connected
    proxy.blackhole = True
    began = time.monotonic()
    for event in events_of_a_leak():
        publisher.publish("event", event, "north")
    until(lambda: not publisher.connected)
    assert time.monotonic() - began <= 1.5 * KEEPALIVE
    proxy.blackhole = False
    ear.message("event", type="update", sequence=len(events_of_a_leak()) - 1)
    until(lambda: publisher.waiting.depth == 0)
    publisher.close(STOPPED)


def test_the_next_broker_takes_over_and_the_first_has_us_back(a_broker, monkeypatch, caplog):
    monkeypatch.setattr(link, "RETURN_S", (0.3, 3600.0))
    monkeypatch.setattr(mqtt.random, "uniform", lambda low, high: 0.5)
    first, second = free_port(), free_port()
    fallback = (BrokerAddress(host=HOST, port=free_port()), BrokerAddress(host=HOST, port=second))
    settings = MqttSettings(host=HOST, port=first, fallback=fallback)
    publisher = Publisher(settings, "box", will=WILL)
    publisher.publish("status", ONLINE)
    with serve(a_broker, second):
        there = Ear(a_broker.settings(second))
        publisher.start()
        there.message("status", state="online")
        assert publisher.connected
        with serve(a_broker, first):
            here = Ear(a_broker.settings(first))
            here.message("status", state="online")
            assert there.message("status", state="offline")["reason"] == "connection_lost"
            publisher.publish("event", events_of_a_leak()[0], "north")
            here.message("event", type="start")
            here.close()
        there.until(lambda heard: [said.get("state") for _, said in heard][-1] == "online")
        there.close()
        publisher.close(STOPPED)
    assert f"no broker at 127.0.0.1:{first}: Connection refused; keeping on trying" in caplog.text


def test_a_broker_that_must_be_there_at_the_start_may_be_any_of_them(broker):
    there = BrokerAddress(host=broker.host, port=broker.port)
    settings = MqttSettings(host=HOST, port=free_port(), fallback=(there,), required_at_start=True)
    publisher = Publisher(settings, "box", will=WILL)
    publisher.start()
    assert publisher.connected
    assert publisher._link.where == there
    publisher.close(STOPPED)


@pytest.mark.parametrize(("protocol", "told"), [("5", True), ("3.1.1", False)])
def test_the_broker_keeps_our_session_for_as_long_as_it_is_told(proxy, protocol, told):
    settings = MqttSettings(host=HOST, port=proxy.port, protocol=protocol, session_expiry_s=0x12345)
    publisher = Publisher(settings, "box", will=WILL)
    publisher.start()
    until_connected(publisher)
    publisher.close(STOPPED)
    assert (b"\x11\x00\x01\x23\x45" in proxy.from_client) == told  # property 0x11, MQTT 5 section 3.1.2.11.2


def test_only_telemetry_expires(broker):
    arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client = Client(CallbackAPIVersion.VERSION2, "reader", protocol=MQTTProtocolVersion.MQTTv5)
    client.on_connect = lambda *_: client.subscribe("fgstp/#", 1)
    client.on_subscribe = lambda *_: arrived.put(None)
    client.on_message = lambda _client, _data, message: arrived.put(message)
    client.connect(broker.host, broker.port)
    client.loop_start()
    assert arrived.get(timeout=10) is None
    publisher = Publisher(broker, "box", will=WILL)
    publisher.publish("status", ONLINE)
    publisher.start()
    until_connected(publisher)
    start, update = events_of_a_leak()[:2]
    publisher.publish("summary", {}, "north")
    publisher.publish("event", start, "north")
    publisher.publish("update", update, "north")
    expiry = {}
    while len(expiry) < 4:
        message = arrived.get(timeout=10)
        kind = message.topic.split("/")[-1] + (b'"update"' in message.payload) * " update"
        expiry[kind] = getattr(message.properties, "MessageExpiryInterval", None)
    assert expiry == {"status": None, "summary": mqtt.STALE_S, "event": None, "event update": mqtt.UPDATE_S}
    publisher.close(STOPPED)
    client.disconnect()
    client.loop_stop()


class Authority:
    """A certificate authority with its own folder, which mosquitto may read."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self.ca = folder, folder / "ca.pem"
        self._openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=site-ca -keyout ca.key -out ca.pem")

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate and its key."""
        (self._folder / "san").write_text(f"subjectAltName=DNS:{name}")
        self._openssl(f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr")
        sign = f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out {name}.pem"
        self._openssl(sign)
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def _openssl(self, arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], cwd=self._folder, check=True, capture_output=True)
        for path in (self._folder, *self._folder.iterdir()):
            path.chmod(0o755)  # mosquitto reads them as its own user

    def broker(self, plain: Broker, more: str = "") -> Broker:
        certificate, key = self.issue("localhost")
        secure = f"cafile {self.ca}\ncertfile {certificate}\nkeyfile {key}\n{more}"
        return Broker(plain.name, "5", plain.command, plain.config + secure)


@pytest.fixture
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that mosquitto's own user can reach."""
    folder = tmp_path_factory.mktemp("shared")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    return folder


def test_a_broker_that_wants_certificates_knows_us_by_ours(a_broker, shared_folder, monkeypatch, caplog):
    site, port = Authority(shared_folder / "site"), free_port()
    certificate, key = site.issue("box-1")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    ours = TlsSettings(ca_file=site.ca, cert_file=certificate, key_file=Path(key.name))
    rights = shared_folder / "rights"
    rights.write_text("user box-1\ntopic readwrite fgstp/#\n")
    rights.chmod(0o644)
    mutual = f"require_certificate true\nuse_identity_as_username true\nacl_file {rights}\n"
    with serve(site.broker(a_broker, mutual), port):
        known = MqttSettings(host="localhost", port=port, tls=ours)
        ear = Ear(known)
        publisher = Publisher(known, "box", will=WILL)
        publisher.publish("status", ONLINE)
        publisher.start()
        ear.message("status", state="online")
        publisher.close(STOPPED)
        ear.close()
        nobody = known.model_copy(update={"tls": TlsSettings(ca_file=site.ca)})
        publisher = Publisher(nobody, "box", will=WILL)
        publisher.start()
        until(lambda: "hung up before it let us in; check mqtt.tls and protocol; keeping on trying" in caplog.text)
        assert not publisher.connected
        publisher.close(STOPPED)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves the refused socket open
def test_a_broker_with_a_wrong_certificate_is_named_and_believed_once_it_has_the_right_one(
    a_broker, shared_folder, monkeypatch, caplog
):
    monkeypatch.setattr(mqtt.random, "uniform", lambda low, high: 0.5)
    site, stranger, port = Authority(shared_folder / "site"), Authority(shared_folder / "stranger"), free_port()
    settings = MqttSettings(host="localhost", port=port, tls=TlsSettings(ca_file=site.ca))
    publisher = Publisher(settings, "box", will=WILL)
    with serve(stranger.broker(a_broker), port):
        publisher.start()
        until(lambda: f"the broker at localhost:{port} is not the one we trust: " in caplog.text)
        assert "; check mqtt.tls; keeping on trying" in caplog.text
        assert not publisher.connected
    with serve(site.broker(a_broker), port):
        ear = Ear(settings)
        publisher.publish("event", events_of_a_leak()[0], "north")
        ear.message("event", type="start")
        publisher.close(STOPPED)
        ear.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves the refused socket open
def test_a_stranger_in_the_place_of_the_broker_that_was_lost_is_named_once(
    a_broker, shared_folder, monkeypatch, caplog
):
    monkeypatch.setattr(mqtt.random, "uniform", lambda low, high: 0.1)
    site, stranger, port = Authority(shared_folder / "site"), Authority(shared_folder / "stranger"), free_port()
    publisher = Publisher(MqttSettings(host="localhost", port=port, tls=TlsSettings(ca_file=site.ca)), "box", will=WILL)
    with serve(site.broker(a_broker), port):
        publisher.start()
        until_connected(publisher)
    until(lambda: "lost the broker" in caplog.text)
    attempts = []
    monkeypatch.setattr(publisher._link, "down", lambda down=publisher._link.down: (attempts.append(1), down()))
    with serve(stranger.broker(a_broker), port):
        until(lambda: "is not the one we trust" in caplog.text)
        seen = len(attempts)
        until(lambda: len(attempts) >= seen + 2)
    publisher.close(STOPPED)
    assert caplog.text.count("is not the one we trust") == 1


def test_events_wait_while_our_rights_are_revoked(a_broker, shared_folder, monkeypatch, caplog):
    monkeypatch.setattr(courier, "REFUSED_S", 0.2)
    port, rights = free_port(), shared_folder / "rights"

    def grant(text: str) -> None:
        rights.write_text(text)
        rights.chmod(0o644)

    grant("topic readwrite fgstp/#\n")
    events = events_of_a_leak()
    strict = Broker(a_broker.name, "5", a_broker.command, a_broker.config + f"acl_file {rights}\n")
    with serve(strict, port) as process:
        ear = Ear(a_broker.settings(port))
        publisher = Publisher(a_broker.settings(port), "box", will=WILL)
        publisher.start()
        publisher.publish("event", events[0], "north")
        ear.message("event", sequence=0)
        grant("topic read fgstp/#\n")
        process.send_signal(signal.SIGHUP)
        for event in events[1:]:
            publisher.publish("event", event, "north")
            time.sleep(0.05)  # mosquitto takes a moment to read it
        until(lambda: "refuses fgstp/box/north/event" in caplog.text)
        assert publisher.connected
        assert publisher.waiting.depth > 0
        grant("topic readwrite fgstp/#\n")
        process.send_signal(signal.SIGHUP)
        ear.message("event", sequence=len(events) - 1)
        heard = [said["sequence"] for topic, said in ear.heard if topic.endswith("/event")]
        assert list(dict.fromkeys(heard)) == list(range(len(events)))
        publisher.close(STOPPED)
        ear.close()


def test_a_link_to_nobody_is_said_in_words():
    made = link.Link(mqtt.client(MqttSettings(), "box"), MqttSettings())
    assert made.why(ConnectionRefusedError(111, "Connection refused")) == (
        "no broker at localhost:1883: Connection refused"
    )
    assert made.why(None) == "no broker at localhost:1883: no answer"


@pytest.mark.parametrize("kind", [link.Client, sparkplug_link.Client])
def test_nothing_small_waits_in_the_kernel(broker, monkeypatch, kind):
    asked: list[str] = []
    at_once = link.Client._at_once
    monkeypatch.setattr(link.Client, "_at_once", lambda client, option: (asked.append(option), at_once(client, option)))
    client = mqtt.client(broker, "in-haste", kind)
    with closing_link(client):
        mqtt.connect(client, broker)
        client.loop_start()
        until(client.is_connected)
        assert client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert asked[:2] == ["TCP_NODELAY", "TCP_QUICKACK"]


@contextlib.contextmanager
def closing_link(client: Client) -> Iterator[None]:
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()
