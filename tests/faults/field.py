"""A device in the field: two scripted cameras, the real service in a process of its own, a real broker that keeps its
sessions on disk, a cable between them, and somebody at the broker who writes down everything.

    with Field(folder, mosquitto) as field:
        field.outlast(lambda: ...)    # a fault; until the cameras have shown more leaks
        field.check()                 # every leak was told as it must be
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import yaml
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.broker import HOST, Broker, free_port, serve
from tests.conftest import validate
from tests.edge.test_link import Authority, Proxy, until
from tests.faults.camera import ScriptedCamera
from tests.faults.record import Heard, violations

ROOT = Path(__file__).parents[2]
KEEPALIVE_S = 2
DEVICE = "box"
MOSQUITTO = """
user root
listener {port} 127.0.0.1
listener DOOR 127.0.0.1
allow_anonymous true
acl_file FOLDER/rights
persistence true
persistence_location FOLDER/
autosave_on_changes true
autosave_interval 1
log_dest none
"""
ALL_RIGHTS = "topic readwrite fgstp/#\n"
NO_RIGHTS = "topic read fgstp/#\n"  # the recorder may go on to listen


class Recorder:
    """Hears everything at QoS 1 in a session that the broker keeps while it, or the recorder, is away."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "recorder", protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(0.2, 0.2)
        self._listening = False
        self._client.on_connect = lambda client, *_: client.subscribe("fgstp/#", 1)
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_message = lambda _client, _data, message: self._write_down(message)

    def listen(self, port: int) -> None:
        """Until it is subscribed: for the first time, or again."""
        if not self._listening:
            self._listening = True
            kept = Properties(PacketTypes.CONNECT)
            kept.SessionExpiryInterval = 0xFFFF_FFFF  # for ever: mosquitto ends any other one when it is killed
            self._client.connect(HOST, port, clean_start=False, properties=kept)
            self._client.loop_start()
        assert self.subscribed.wait(15)

    def _write_down(self, message: paho.MQTTMessage) -> None:
        self.heard.append((message.topic, validate(message.topic, message.payload)))

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Field:
    """See above. `site`: the authority whose certificates the device trusts; None: no TLS."""

    def __init__(self, folder: Path, mosquitto: Broker, site: Authority | None = None) -> None:
        self.folder, self._mosquitto, self._site = folder, mosquitto, site
        self.state = folder / "state"
        self.outbox = self.state / f"outbox-{DEVICE}.db"
        self.cameras = [ScriptedCamera("north", 1), ScriptedCamera("south", 2)]
        self.faults = 0
        self._ports = free_port(), free_port()  # of the broker: for the device, for the recorder
        self._serving = contextlib.ExitStack()
        self.cable = Proxy(self._ports[0])
        self.recorder = Recorder()
        self.broker: subprocess.Popen[bytes]
        self.device: subprocess.Popen[bytes]

    def __enter__(self) -> Field:
        self.state.mkdir(parents=True)
        self.grant(ALL_RIGHTS)
        self._write_config()
        self.start_broker()
        self.start_device()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_device()
        for camera in self.cameras:
            camera.close()
        self.cable.close()
        self.recorder.close()
        self._serving.close()

    def outlast(self, leaks: int = 1) -> None:
        """Wait until each camera has shown so many leaks more."""
        target = [camera.leaks + leaks for camera in self.cameras]
        until(lambda: all(c.leaks >= n for c, n in zip(self.cameras, target, strict=True)), 60)

    def check(self, seconds: float = 60.0) -> None:
        """Let the cameras rest; whatever they have shown must then be told, and nothing else. They go on afterwards."""
        for camera in self.cameras:
            camera.rest()
        deadline = time.monotonic() + seconds
        while (wrong := self.violations()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not wrong, "\n".join(wrong)
        for camera in self.cameras:
            camera.go_on()

    def violations(self) -> list[str]:
        """What is wrong with the record as it stands."""
        return violations(list(self.recorder.heard), {camera.name: camera.leaks for camera in self.cameras})

    def count(self) -> str:
        """What it went through."""
        record = list(self.recorder.heard)
        told = {str(said) for topic, said in record if topic.endswith(("/event", "/alarm_event"))}
        leaks = sum(camera.leaks for camera in self.cameras)
        return f"{self.faults} faults, {leaks} leaks, {len(told)} events and alarm transitions"

    def heard(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """The messages of a kind with these fields, so far."""
        record = list(self.recorder.heard)
        return [s for t, s in record if t.endswith("/" + kind) and all(s[k] == v for k, v in fields.items())]

    def soon(self, kind: str, **fields: Any) -> Callable[[], bool]:
        """Whether one more such message was heard since this call."""
        before = len(self.heard(kind, **fields))
        return lambda: len(self.heard(kind, **fields)) > before

    def grant(self, rights: str) -> None:
        """What clients of the broker may do from its next SIGHUP on."""
        (self.folder / "rights").write_text(rights)

    def start_broker(self, trusted_by: Authority | None = None) -> None:
        """With a certificate of this authority; None: of the site's own. The recorder is the first to be let in: not
        every mosquitto finds its session again, and what came before it would be heard by nobody."""
        self.cable.unplugged = True
        config = MOSQUITTO.replace("FOLDER", str(self.folder))
        authority = trusted_by or self._site
        if authority is not None:
            certificate, key = authority.issue("localhost")
            secure = f"certfile {certificate}\nkeyfile {key}\n"
            config = config.replace("listener DOOR", f"{secure}listener DOOR")
        config = config.replace("DOOR", str(self._ports[1]))
        plain = self._mosquitto
        self.broker = self._serving.enter_context(
            serve(Broker(plain.name, plain.protocol, plain.command, config), self._ports[0])
        )
        self.recorder.listen(self._ports[1])
        self.cable.unplugged = False

    def stop_broker(self) -> None:
        """In good order, unless it was killed before."""
        self._serving.close()
        self.recorder.subscribed.clear()

    def start_device(self) -> None:
        """From the state that the one before left."""
        before = [camera.connections for camera in self.cameras]
        command = [sys.executable, "-m", "tests.faults.device", str(self.folder / "config.yaml"), str(KEEPALIVE_S)]
        with (self.folder / "device.log").open("ab") as log:
            self.device = subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=log)
        until(self._watched(before), 60)

    def _watched(self, before: list[int]) -> Callable[[], bool]:
        def watched() -> bool:
            assert self.device.poll() is None, (self.folder / "device.log").read_text()
            return all(c.connections > n for c, n in zip(self.cameras, before, strict=True))

        return watched

    def kill_device(self) -> None:
        """As a power cut does, but for the disk."""
        self.device.kill()
        self.device.wait()

    @contextlib.contextmanager
    def fault(self) -> Iterator[None]:
        """Counts it."""
        self.faults += 1
        yield

    def _write_config(self) -> None:
        tls = {} if self._site is None else {"tls": {"ca_file": str(self._site.ca)}}
        config = {
            "device": DEVICE,
            "cameras": [{"name": camera.name, "source": camera.source} for camera in self.cameras],
            "alarm": {"on_delay_s": 0.3, "off_delay_s": 0.5, "update_every_s": 0.2},
            "mqtt": {"host": "localhost", "port": self.cable.port, **tls},
            "outbox": {"path": str(self.outbox)},
            "evidence": {"enabled": False},
            "health": {"every_s": 0.5},
            "self_test": False,
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))
