"""A day without a broker, on a simulated clock: from two cameras' frames to a broker that is started afterwards.

What is not the product's own is the clock, what the model sees, and a cable that is plugged in at the end of the day.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge import channel, link, mqtt, payload
from edge.broker import Broker, free_port, serve
from edge.channel import Channel
from edge.config import CameraSettings, EvidenceSettings
from edge.evidence import Keeper
from edge.mqtt import Publisher
from edge.outbox import Outbox
from edge.records import Frame, Provenance, Quality, Segmentation
from edge.rules import AlarmSettings
from edge.uplink import OutboxSettings
from tests.conftest import check
from tests.edge.test_link import Proxy, until
from tests.faults.record import Heard, violations

LONG = os.environ.get("FGSTP_FAULTS") == "long"
DAY_S = 86_400
EVERY_S = 180 if LONG else 600  # from one leak of a camera to its next
LEAK_S = 30 if LONG else 8
QUIET_S = 60  # between two frames while nothing happens; a second else
HEALTH_S = 10
PER_S = 1000.0  # replayed; by default a tenth of it
RULES = AlarmSettings(min_flicker=0)  # the gas of this day is a still picture
MADE_BY = Provenance("student.int8", "0" * 64, "f" * 64, "0.1.0", True)
WILL = payload.status("box", "offline", "connection_lost", None, MADE_BY)
WIDTH, HEIGHT = 64, 48

pytestmark = pytest.mark.slow


class Clock:
    """Time that the test moves; all of it is one clock."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


class Eye:
    """Stands in for the segmenter: sees gas where the test says so."""

    gas = False

    def __init__(self) -> None:
        plume = np.zeros((HEIGHT, WIDTH), np.uint8)
        plume[20:30, 20:40] = 255
        clear = np.zeros_like(plume)
        frame = Frame(clear, 0, 0.0, 0.0)
        small = np.full((HEIGHT, WIDTH), 0.4, np.float32)
        self._seen = {
            gas: Segmentation(frame, np.where(mask, 6, -6).astype(np.float32), mask, 1.0, small, small, Quality.GOOD)
            for gas, mask in ((True, plume), (False, clear))
        }

    def step(self, frame: Frame) -> Segmentation:
        return replace(self._seen[self.gas], frame=frame)

    def reset(self, *, keep_view: bool = False) -> None:
        pass

    def accept_view(self) -> None:
        pass


class Counted(Publisher):
    """Counts what is to be kept."""

    kept = 0

    def publish_all(
        self,
        messages: Sequence[tuple[str, Mapping[str, Any]]],
        camera: str = "",
        save: Mapping[str, str | None] | None = None,
    ) -> None:
        self.kept += sum(mqtt.TOPICS[kind].kept is not None for kind, _ in messages)
        super().publish_all(messages, camera, save)


class Site:
    """The device without its capture threads: two cameras, two channels, one publisher."""

    def __init__(self, clock: Clock, publisher: Publisher) -> None:
        self._clock, self._publisher = clock, publisher
        keeper = Keeper("box", EvidenceSettings(enabled=False), publisher.publish)
        self._eyes = {name: Eye() for name in ("north", "south")}
        self._channels = {
            name: Channel(CameraSettings(name=name, source="x"), eye, {"": RULES}, MADE_BY, publisher, keeper, 0.2)
            for name, eye in self._eyes.items()
        }
        self.leaks = dict.fromkeys(self._eyes, 0)
        self._frames = 0
        publisher.publish("status", payload.status("box", "online", None, clock(), MADE_BY))
        for one in self._channels.values():
            one.resume({})

    def look(self, seconds: float) -> None:
        """So much later, a frame of each camera, and what else the service does by then."""
        before = self._clock.now
        self._clock.now += seconds
        self._frames += 1
        for name, one in self._channels.items():
            image = self._eyes[name].step(Frame(np.empty(0), 0, 0.0, 0.0)).mask
            one.take(Frame(image, self._frames, self._clock.now - 1_790_000_000, self._clock.now), self._clock.now)
            one.tick()
        for _ in range(int(self._clock.now // HEALTH_S - before // HEALTH_S)):
            self._publisher.publish("health", self._health())

    def leak(self, name: str) -> None:
        """One at this camera, from its first frame until its alarm is over."""
        self.leaks[name] += 1
        self._eyes[name].gas = True
        for _ in range(LEAK_S):
            self.look(1.0)
        self._eyes[name].gas = False
        for _ in range(7):  # the off-delay and a little
            self.look(1.0)

    def day(self) -> None:
        """Leaks at either camera in turn, and quiet between them."""
        end = self._clock.now + DAY_S
        while self._clock.now < end:
            for name in self.leaks:
                due = self._clock.now + EVERY_S / 2
                self.leak(name)
                while self._clock.now < due:
                    self.look(min(QUIET_S, due - self._clock.now))

    def _health(self) -> payload.Payload:
        cameras = {name: one.report() for name, one in self._channels.items()}
        return {"device": "box", "utc": payload.iso(self._clock()), "cameras": cameras}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(channel, "time", SimpleNamespace(time=made, monotonic=made))
    monkeypatch.setattr(mqtt, "Outbox", lambda path, settings: Outbox(path, settings, made))
    return made


@pytest.fixture
def cable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """To a port where nobody is yet; whoever is refused knocks again soon."""
    often = link.Client.reconnect_delay_set
    monkeypatch.setattr(link.Client, "reconnect_delay_set", lambda self, **_delays: often(self, 0.2, 0.5))
    made = Proxy(free_port())
    made.unplugged = True
    yield made
    made.close()


def test_a_day_without_a_broker_is_replayed_whole_and_in_order(
    a_broker: Broker, clock: Clock, cable: Proxy, tmp_path: Path, tally: list[str]
) -> None:
    limits = OutboxSettings(path=tmp_path / "box.db", replay_per_s=PER_S)
    publisher = Counted(a_broker.settings(cable.port), "box", will=WILL, outbox=limits)
    publisher.start()
    site = Site(clock, publisher)
    site.day()
    until(lambda: publisher.waiting.depth == publisher.kept, 60)
    leaks, waiting = sum(site.leaks.values()), publisher.waiting
    assert waiting.on_disk
    assert waiting.bytes <= limits.max_bytes == 50_000_000
    assert not any(count for _, count in waiting.dropped)
    assert DAY_S - EVERY_S < waiting.oldest_s <= DAY_S

    record: list[Heard] = []
    with serve(a_broker, cable.to):
        direct = a_broker.settings(cable.to)
        ear = mqtt.subscribe(direct, "ear", ["fgstp/#"], lambda topic, said: record.append((topic, json.loads(said))))
        began = time.monotonic()
        cable.unplugged = False
        until(lambda: told(record), 30)
        site.leak("north")  # while the day is replayed
        until(lambda: len(told(record)) >= publisher.kept, 600 if LONG else 120)
        seconds = time.monotonic() - began
        publisher.close(WILL)
        ear.disconnect()
        ear.loop_stop()
    assert violations(record, site.leaks) == []
    live = max(at for at, (_, said) in enumerate(record) if said.get("cause") == "leak")
    assert live < [said.get("type") for _, said in record].index("update"), "a new alarm waited for updates of the day"
    for topic, said in {(t, s.get("type"), s.get("cause")): (t, s) for t, s in record}.values():
        kind = topic.rsplit("/", 1)[1]
        if kind != "health":  # made up here
            check(kind, json.dumps(said))
    at_default = waiting.depth / OutboxSettings().replay_per_s
    tally.append(
        f"a day off-line: {leaks} leaks, {waiting.depth} messages in {waiting.bytes / 1e6:.0f} MB,"
        f" replayed in {seconds:.0f} s; {at_default:.0f} s at the default rate"
    )


def told(record: list[Heard]) -> list[Heard]:
    """What was kept for the broker, of all that was heard."""
    return [heard for heard in record if heard[0].endswith(("/event", "/alarm_event", "/downtime"))]
