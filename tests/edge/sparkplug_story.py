"""What an edge node goes through in a minute, played against a real broker in about a second, all packets recorded."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from edge import mqtt, payload
from edge.alarm import Alarm
from edge.annunciator import Place
from edge.broker import Broker, free_port, serve
from edge.records import Provenance
from edge.sparkplug import Command, Publisher
from edge.sparkplug.codec import Metric, Payload, Type, encode
from edge.uplink import MqttSettings, SparkplugSettings
from tests.edge.sparkplug_wire import Door, Packet, Transcript
from tests.edge.summaries import UTC, summary

GROUP, NODE, HOST_ID = "plant 1", "box", "scada"
CAMERAS = ("north", "south")
MADE_BY = Provenance("student.int8", "0" * 64, "f" * 64, "0.1.0", True)
STATUS = payload.status(NODE, "online", None, UTC, MADE_BY)
EVENT = {
    "type": "start",
    "event_id": "00000000-0000-5000-8000-000000000001",
    "sequence": 0,
    "camera": "north",
    "started_utc": payload.iso(UTC),
    "utc": payload.iso(UTC),
    "area_px": 1200,
    "origin": (12.5, 30.0),
    "confidence": 0.9,
    "quality": "good",
    "held": False,
    "reasons": [],
}
HEALTH = {
    "device": NODE,
    "utc": payload.iso(UTC),
    "rss_mb": 210.0,
    "backend": "openvino",
    "outbox": {"depth": 3, "on_disk": True, "fault": None},
    "cameras": {"north": {"fps": 15.0, "dropped": 2, "quality": "good", "held": False, "reasons": []}},
}


def alarm(camera: str, at: float = 0.0, *, lost: bool = False, **changed: Any) -> payload.Payload:
    """A camera's alarm message, `at` seconds into the story."""
    return {**payload.alarm([Place(Alarm(camera))], camera, UTC + at, camera_lost=lost), **changed}


@dataclass
class Story:
    """What was seen, and what reached the service."""

    transcript: Transcript
    commands: list[Command] = field(default_factory=list)

    @property
    def packets(self) -> list[Packet]:
        """In order."""
        return self.transcript.packets

    def published(self, *verbs: str, connection: int | None = None) -> list[Packet]:
        """By the edge node; without verbs all of Sparkplug."""
        every = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH")
        return self.transcript.published(*(verbs or every), connection=connection)

    def of(self, kind: str) -> list[Packet]:
        """The client's packets of one kind."""
        return [packet for packet in self.packets if packet.kind == kind and packet.out]


class Host:
    """A host application, as far as a test needs one: it writes."""

    def __init__(self, settings: MqttSettings) -> None:
        self._client = mqtt.subscribe(settings, "host", ["nothing"], lambda *_: None)

    def write(self, topic: str, *metrics: Metric, retain: bool = False) -> None:
        """An NCMD or DCMD."""
        self._send(topic, encode(Payload(metrics, timestamp=1_790_000_000_000)), 0, retain)

    def state(self, online: bool, timestamp: int, host: str = HOST_ID) -> None:
        """STATE of a host application."""
        self._send(f"spBv1.0/STATE/{host}", json.dumps({"online": online, "timestamp": timestamp}).encode(), 1, True)

    def close(self) -> None:
        """Go."""
        self._client.disconnect()
        self._client.loop_stop()

    def _send(self, topic: str, body: bytes, qos: int, retain: bool) -> None:
        self._client.publish(topic, body, qos, retain).wait_for_publish(5)


@contextlib.contextmanager
def playing(broker: MqttSettings, **settings: Any) -> Iterator[tuple[Publisher, Story, Door]]:
    """A publisher that has started behind a glass wall."""
    transcript = Transcript()
    door = Door(broker, transcript)
    story = Story(transcript)
    publisher = Publisher(
        SparkplugSettings(group_id=GROUP, **settings), door.settings, NODE, CAMERAS, command=story.commands.append
    )
    publisher.start()
    try:
        yield publisher, story, door
    finally:
        publisher.close()
        door.close()


def whole(broker: MqttSettings) -> Story:
    """Births, data, a rebirth, commands, a lost camera, a cut cable and what is told afterwards, an end."""
    host = Host(broker)
    with playing(broker) as (publisher, story, door):
        seen = story.transcript
        seen.until(lambda t: len(t.published("DBIRTH")) == 2)
        publisher.publish("status", STATUS)
        publisher.publish("health", HEALTH)
        for camera in CAMERAS:
            publisher.publish("alarm", alarm(camera), camera)
        publisher.publish("event", EVENT, "north")
        for index in range(260):  # the sequence number wraps
            spot = payload.summary(summary(index, box=(100, 100, 40 + index % 2, 30)), "north")
            publisher.publish("summary", spot, "north")
        seen.until(lambda t: len(t.published("DDATA", "NDATA")) == 266)  # all: nothing is on its way
        rebirth = Metric(True, Type.BOOLEAN, "Node Control/Rebirth")
        host.write(f"spBv1.0/{GROUP}/NCMD/{NODE}", rebirth)
        seen.until(lambda t: len(t.published("DBIRTH")) == 4)
        host.write(f"spBv1.0/{GROUP}/DCMD/{NODE}/south", Metric(True, Type.BOOLEAN, "Alarm/Acknowledge"))
        publisher.publish("alarm", alarm("south", 1, lost=True), "south")
        seen.until(lambda t: t.published("DDEATH"))
        publisher.publish("alarm", alarm("south", 2), "south")
        seen.until(lambda t: len(t.published("DBIRTH")) == 5)
        door.mute = True  # from here on nothing is proven
        publisher.publish("alarm", alarm("north", 3, state="active", active=True, event_id=EVENT["event_id"]), "north")
        seen.until(lambda t: any(m.value == "active" for p in t.published("DDATA") for m in p.payload.metrics))
        door.cut()  # first: a PINGRESP that slipped through would prove it
        door.mute = False
        seen.until(lambda t: any(m.historical for p in t.published("DDATA", connection=1) for m in p.payload.metrics))
        publisher.publish("alarm", alarm("north", 4), "north")
        seen.until(
            lambda t: any(m.value == "normal" for p in t.published("DDATA", connection=1) for m in p.payload.metrics)
        )
    host.close()
    return story


def hosted(a_broker: Broker, protocol: str) -> Story:
    """Two brokers and a primary host that goes from one to the other."""
    ports = free_port(), free_port()
    transcript = Transcript()
    with contextlib.ExitStack() as stack:
        brokers = []
        for port in ports:
            stack.enter_context(serve(a_broker, port))
            brokers.append(a_broker.settings(port).model_copy(update={"protocol": protocol}))
        doors = [Door(broker, transcript, place) for place, broker in enumerate(brokers)]
        hosts = [Host(broker) for broker in brokers]
        hosts[0].state(True, 900, "another")
        hosts[1].state(True, 500)  # this server's own times
        addresses = tuple({"host": d.settings.host, "port": d.settings.port} for d in doors)
        settings = SparkplugSettings.model_validate({"group_id": GROUP, "primary_host": HOST_ID, "brokers": addresses})
        publisher = Publisher(settings, doors[0].settings, NODE, CAMERAS)
        publisher.start()
        transcript.until(lambda t: any(p.kind == "SUBSCRIBE" for p in t.packets))
        hosts[0].state(True, 950, "another")
        hosts[0].state(True, 1000)
        transcript.until(lambda t: len(t.published("DBIRTH")) == 2)
        hosts[0].state(False, 999)  # a will that came late
        transcript.until(lambda t: [p for p in t.packets if not p.out and p.verb == "STATE" and b"999" in p.body])
        publisher.publish("alarm", alarm("north"), "north")
        transcript.until(lambda t: t.published("DDATA"))
        hosts[0].state(False, 1000)
        transcript.until(lambda t: len(t.published("DBIRTH")) == 4)
        publisher.close()
        for end in (*hosts, *doors):
            end.close()
    return Story(transcript)
