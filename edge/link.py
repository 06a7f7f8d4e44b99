"""Which broker we talk to, and whether it still listens.

Brokers are tried in the order of the configuration: after each failure the next one, after a lost connection from the
first one again. On a fallback we look every minute whether an earlier one is back and then return to it, since that is
where the control room listens; when it takes us not after all, the next look comes after twice that time.

A half-open link (a dead switch, a stopped broker) looks alive until somebody waits for an answer. paho asks after
`keepalive_s` without a byte and gives up after as long again; we give up after 1.5 times `keepalive_s`.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.uplink import BrokerAddress, MqttSettings

log = logging.getLogger("mqtt")

SILENCE = 1.4  # keepalives without a byte from the broker: the link is dead; with CHECK below 1.5
CHECK = 0.05  # keepalives between two looks
RETURN_S = 60.0, 3600.0  # on a fallback: first and longest time between two looks at the brokers before it
PROBE_S = 2.0  # for an earlier broker to accept a connection


class Client(paho.Client):  # type: ignore[misc]  # paho is not typed for mypy's strict mode
    """A paho client that knows when it last heard from its broker, and lets nothing small wait in the kernel.

    TCP holds a small packet back until the one before it is acknowledged, and the acknowledgement for 40 ms: of two
    alarms, or of the broker's two PUBACKs for them, the second would come that much later.
    """

    heard = 0.0  # time.monotonic()

    def loop_read(self, max_packets: int = 1) -> Any:
        """Called whenever the socket has something to read."""
        self.heard = time.monotonic()
        read = super().loop_read(max_packets)
        self._at_once("TCP_QUICKACK")  # the kernel forgets it again and again; Linux alone has it
        return read

    def _call_socket_open(self, sock: Any) -> None:
        super()._call_socket_open(sock)
        self._at_once("TCP_NODELAY")

    def _at_once(self, option: str) -> None:
        sock = self.socket()
        if sock is not None and hasattr(socket, option):
            with contextlib.suppress(OSError):  # it is gone by now
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), 1)


class Link:
    """Aims `client` at one broker after the other, from its callbacks, and cuts a connection that went silent."""

    def __init__(self, client: Client, settings: MqttSettings) -> None:
        self._client, self._settings = client, settings
        self._at = 0  # which of settings.brokers
        self._up_since: float | None = None  # time.monotonic(); None: no broker has accepted us
        self._return_s, self._next_return = RETURN_S[0], 0.0  # time.monotonic()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="link", daemon=True)

    @property
    def where(self) -> BrokerAddress:
        """The broker that we are at, or try."""
        return self._settings.brokers[self._at]

    def start(self) -> None:
        """Connect to the first broker from paho's thread, and begin to watch."""
        self._aim(0)
        self._client.loop_start()
        self._thread.start()

    def started(self) -> None:
        """`connect` has connected already: go on from there."""
        here = BrokerAddress(host=self._client.host, port=self._client.port)
        self._at = self._settings.brokers.index(here)
        self._client.loop_start()
        self._thread.start()

    def stop(self) -> None:
        """Leave the broker; a cut connection is not taken up again."""
        self._leaving.set()
        self._client.disconnect()
        self._client.loop_stop()

    def up(self) -> None:
        """The broker has accepted us. Call it from on_connect."""
        self._up_since = time.monotonic()
        if self._at == 0:
            self._return_s = RETURN_S[0]
        self._next_return = self._up_since + self._return_s

    def down(self) -> None:
        """It is gone, or did not take us. Call it from on_disconnect and on_connect_fail."""
        was_up, self._up_since = self._up_since is not None, None
        if not self._leaving.is_set():
            self._aim(0 if was_up else (self._at + 1) % len(self._settings.brokers))

    def why(self, error: BaseException | None) -> str:
        """What on_connect_fail has to say, in one line."""
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", "") or error.reason or error
            return f"the broker at {self.where} is not the one we trust: {reason}; check mqtt.tls"
        reason = getattr(error, "strerror", None) or error or "no answer"
        return f"no broker at {self.where}: {reason}"

    def _aim(self, at: int) -> None:
        self._at = at
        self._client.connect_async(
            self.where.host, self.where.port, self._settings.keepalive_s, **session(self._settings)
        )

    def _watch(self) -> None:
        keepalive = self._settings.keepalive_s
        while not self._leaving.wait(CHECK * keepalive):
            since = self._up_since
            if since is None:
                continue
            now = time.monotonic()
            if now - max(self._client.heard, since) >= SILENCE * keepalive:
                log.warning(
                    "no word from the broker at %s for %.1f s: cutting the link", self.where, SILENCE * keepalive
                )
                self._client.heard = now  # not again before paho has noticed
                self._cut()
            elif self._at > 0 and now >= self._next_return:
                self._next_return = now + self._return_s
                if self._earlier_is_back():
                    log.info("a broker before %s is back: going there", self.where)
                    self._return_s = min(2 * self._return_s, RETURN_S[1])
                    self._cut()

    def _earlier_is_back(self) -> bool:
        for broker in self._settings.brokers[: self._at]:
            with contextlib.suppress(OSError), socket.create_connection((broker.host, broker.port), PROBE_S):
                return True
        return False

    def _cut(self) -> None:
        """Without a farewell: the broker's last will says that we are gone, and paho connects anew."""
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own shutdown: after it, another thread's write would go out in the clear.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


def session(settings: MqttSettings) -> dict[str, Any]:
    """How long the broker shall remember us while the link is down: arguments of paho's connect. MQTT 5 only."""
    if settings.protocol != "5":
        return {}
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = settings.session_expiry_s
    return {"properties": properties}


def expiring(settings: MqttSettings, seconds: int | None) -> dict[str, Any]:
    """For how long a message is worth delivering: arguments of paho's publish. MQTT 5 only."""
    if seconds is None or settings.protocol != "5":
        return {}
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = seconds
    return {"properties": properties}
