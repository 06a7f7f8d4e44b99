"""A throw-away MQTT broker on this machine, for the demo and the tests: mosquitto, else amqtt (MQTT 3.1.1 only)."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.errors import TransportError
from edge.uplink import MqttSettings

HOST = "127.0.0.1"
PATIENCE_S = 15.0
MOSQUITTO = "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n"
AMQTT = """
listeners: {{default: {{type: tcp, bind: "127.0.0.1:{port}"}}}}
plugins: {{amqtt.plugins.authentication.AnonymousAuthPlugin: {{allow_anonymous: true}}}}
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """Which program serves, and where."""

    name: str
    protocol: Literal["5", "3.1.1"]
    command: tuple[str, ...]  # the path of a configuration file is appended
    config: str

    def settings(self, port: int) -> MqttSettings:
        """How a client reaches it."""
        return MqttSettings(host=HOST, port=port, protocol=self.protocol)


def find() -> Broker | None:
    """The broker that this machine has; None where it has neither."""
    mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") or shutil.which(
        "mosquitto"
    )
    if mosquitto:
        return Broker("mosquitto", "5", (mosquitto, "-c"), MOSQUITTO)
    if importlib.util.find_spec("amqtt"):
        start = "import sys; from amqtt.scripts.broker_script import main; sys.argv[0] = 'amqtt'; main()"
        return Broker("amqtt", "3.1.1", (sys.executable, "-c", start, "-c"), AMQTT)
    return None


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serve(broker: Broker, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A running broker that answers on `port`, for as long as the block lasts. Raises TransportError."""
    with tempfile.TemporaryDirectory(prefix="fgstp-broker-") as folder:
        config = Path(folder) / "broker.conf"
        config.write_text(broker.config.format(port=port), encoding="utf-8")
        process = subprocess.Popen(
            [*broker.command, str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _await(process, broker.name, port)
            yield process
        finally:
            stop(process, 5)


def stop(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Ask a process to end, and end it where it has not after `patience_s` seconds."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await(process: subprocess.Popen[bytes], name: str, port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    raise TransportError(f"{name} did not come up on {HOST}:{port}; start a broker yourself and use --host and --port")
