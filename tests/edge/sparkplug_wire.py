"""A broker's door with a glass wall: it records every MQTT packet that passes between one client and the broker."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.broker import HOST
from edge.sparkplug.codec import Payload, decode
from edge.uplink import MqttSettings

KINDS = {1: "CONNECT", 3: "PUBLISH", 8: "SUBSCRIBE", 12: "PINGREQ", 13: "PINGRESP", 14: "DISCONNECT"}


@dataclass(frozen=True)
class Packet:
    """One packet; `out`: from the client to the broker. Fields that its kind does not have are at their default."""

    kind: str
    out: bool
    connection: int  # counted over all servers, from 0
    server: int  # which of the brokers
    at: float = 0.0  # time.monotonic()
    topic: str = ""  # of a publication or a will
    body: bytes = b""
    qos: int = 0
    retain: bool = False
    clean: bool = False
    level: int = 0  # 4: MQTT 3.1.1, 5: MQTT 5
    will: bool = False
    session_expiry: int | None = None
    keepalive: int = 0
    subscriptions: tuple[tuple[str, int], ...] = ()
    reason: int = 0

    @property
    def verb(self) -> str:
        """NBIRTH, DDATA …; "STATE" for a host's; "" for what is not Sparkplug."""
        levels = self.topic.split("/")
        if levels[0] != "spBv1.0" or len(levels) < 3:
            return ""
        return "STATE" if levels[1] == "STATE" else levels[2]

    @property
    def camera(self) -> str:
        """The device's part of the topic."""
        return self.topic.split("/")[4]

    @functools.cached_property
    def payload(self) -> Payload:
        """The Sparkplug payload."""
        return decode(self.body)

    def metric(self, name: str) -> Any:
        """The first metric of this name."""
        return next(metric for metric in self.payload.metrics if metric.name == name)


@dataclass
class Transcript:
    """All packets in the order in which they passed."""

    packets: list[Packet] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    ends: list[threading.Event] = field(default_factory=list)  # of what the client sent, connection by connection

    def add(self, packet: Packet) -> None:
        """One more."""
        with self.changed:
            self.packets.append(packet)
            self.changed.notify_all()

    def published(self, *verbs: str, connection: int | None = None) -> list[Packet]:
        """What the edge node published, of these kinds."""
        return [
            p
            for p in list(self.packets)
            if p.out and p.kind == "PUBLISH" and p.verb in verbs and connection in (None, p.connection)
        ]

    def until(self, enough: Callable[[Transcript], Any], seconds: float = 20.0) -> Any:
        """Wait until `enough(self)` is true and give what it gave."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while not (found := enough(self)):
                if not self.changed.wait(deadline - time.monotonic()):
                    pytest.fail(f"not seen in {seconds} s: {[(p.kind, p.verb, p.out) for p in self.packets][-30:]}")
            return found


class Door:
    """A port that leads to one broker."""

    def __init__(self, broker: MqttSettings, transcript: Transcript, server: int = 0) -> None:
        self._broker, self._transcript, self._server = broker, transcript, server
        self._listener = socket.create_server((HOST, 0))
        self.settings = broker.model_copy(update={"port": self._listener.getsockname()[1]})
        self._open: list[socket.socket] = []
        self.mute = False  # keep PINGRESPs back
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection as a cable would."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    broker = socket.create_connection((self._broker.host, self._broker.port))
                except OSError:
                    client.close()
                    continue
                # What the client sent before it left is on record before what it sends now; unless it has not left.
                for end in self._transcript.ends:
                    end.wait(1)
                with self._transcript.changed:
                    taken = [p.connection for p in self._transcript.packets if p.kind == "CONNECT"]
                connection = max(taken, default=-1) + 1
                self._open += [client, broker]
                level: list[int] = []
                ended = threading.Event()
                self._transcript.ends.append(ended)
                for source, target, out in ((client, broker, True), (broker, client, False)):
                    arguments = source, target, out, connection, level, ended
                    threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(
        self,
        source: socket.socket,
        target: socket.socket,
        out: bool,
        connection: int,
        level: list[int],
        ended: threading.Event,
    ) -> None:
        buffer = b""
        with contextlib.suppress(OSError):
            while chunk := source.recv(65_536):
                buffer += chunk
                for head, body, whole in _packets(buffer):
                    buffer = buffer[len(whole) :]
                    packet = _parse(head, body, out, connection, self._server, level)
                    if packet is not None:
                        self._transcript.add(packet)
                    if not (self.mute and head >> 4 == 13):
                        target.sendall(whole)
        if out:
            ended.set()
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _packets(buffer: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The whole packets at the start of a buffer."""
    while len(buffer) >= 2:
        length, used = 0, 1
        while used < len(buffer):
            length |= (buffer[used] & 0x7F) << (7 * (used - 1))
            used += 1
            if not buffer[used - 1] & 0x80:
                break
        else:
            return
        if len(buffer) < used + length:
            return
        yield buffer[0], buffer[used : used + length], buffer[: used + length]
        buffer = buffer[used + length :]


def _parse(head: int, body: bytes, out: bool, connection: int, server: int, level: list[int]) -> Packet | None:
    kind = KINDS.get(head >> 4)
    if kind is None:
        return None
    common: dict[str, Any] = {
        "kind": kind,
        "out": out,
        "connection": connection,
        "server": server,
        "at": time.monotonic(),
    }
    if kind == "CONNECT":
        return _connect(common, body, level)
    if kind == "PUBLISH":
        qos = head >> 1 & 3
        topic, rest = _text(body)
        rest = rest[2:] if qos else rest
        if level == [5]:
            _, rest = _properties(PacketTypes.PUBLISH, rest)
        return Packet(**common, topic=topic.decode(), body=rest, qos=qos, retain=bool(head & 1))
    if kind == "SUBSCRIBE":
        rest = body[2:]
        if level == [5]:
            _, rest = _properties(PacketTypes.SUBSCRIBE, rest)
        wanted = []
        while rest:
            topic, rest = _text(rest)
            wanted.append((topic.decode(), rest[0] & 3))
            rest = rest[1:]
        return Packet(**common, subscriptions=tuple(wanted))
    if kind == "DISCONNECT":
        return Packet(**common, reason=body[0] if body else 0)
    return Packet(**common)


def _connect(common: dict[str, Any], body: bytes, level: list[int]) -> Packet:
    _, rest = _text(body)
    version, flags, keepalive = rest[0], rest[1], int.from_bytes(rest[2:4], "big")
    level.append(version)
    rest, expiry = rest[4:], None
    if version == 5:
        properties, rest = _properties(PacketTypes.CONNECT, rest)
        expiry = getattr(properties, "SessionExpiryInterval", None)
    _, rest = _text(rest)
    topic = will = b""
    if flags & 4:
        if version == 5:
            _, rest = _properties(PacketTypes.WILLMESSAGE, rest)
        topic, rest = _text(rest)
        will, rest = _text(rest)
    return Packet(
        **common,
        topic=topic.decode(),
        body=will,
        qos=flags >> 3 & 3,
        retain=bool(flags & 32),
        clean=bool(flags & 2),
        level=version,
        will=bool(flags & 4),
        session_expiry=expiry,
        keepalive=keepalive,
    )


def _text(body: bytes) -> tuple[bytes, bytes]:
    end = 2 + int.from_bytes(body[:2], "big")
    return body[2:end], body[end:]


def _properties(kind: int, body: bytes) -> tuple[Any, bytes]:
    properties = Properties(kind)
    _, used = properties.unpack(body)
    return properties, body[used:]
