"""The device's side of MQTT: topics, last will, rights. What the messages say is `edge.payload`'s business.

The broker sees one retained `status` per device, which its last will turns to "offline", and one retained `alarm` per
camera. Both are published again after each reconnect, so that a restarted broker knows them at once. Events go through
the outbox and leave it when the broker has confirmed them (PUBACK); summaries and health reports are not kept. Commands
are taken while we are connected and never from an earlier day: the session is clean, a retained one is passed over.
"""

from __future__ import annotations

import logging
import random
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.command import MAX_BYTES
from edge.courier import Courier
from edge.errors import ConfigError, TransportError
from edge.link import Client, Link, expiring, session
from edge.login import credentials, located
from edge.outbox import Outbox, Standing, default_path
from edge.payload import encode
from edge.store import Message, Priority
from edge.uplink import BrokerAddress, MqttSettings, OutboxSettings

log = logging.getLogger("mqtt")

PATIENCE_S = 10.0  # for the broker's answer to a connect
FAREWELL_S = 2.0  # for the last messages before we go
STALE_S = 60  # after which a figure of the moment is worth delivering to nobody
UPDATE_S = 3600  # the same for the updates of a leak


@dataclass(frozen=True, slots=True)
class Topic:
    """How one kind of message is sent."""

    pattern: str
    qos: int
    retain: bool
    kept: Priority | None = None  # what it is worth in the outbox; None: it is not kept
    expires_s: int | None = None  # after so long the broker need not deliver it any more

    def path(self, device: str, camera: str = "") -> str:
        """The topic of one device and, where the pattern has one, camera; "+" stands for any."""
        return self.pattern.format(device=device, camera=camera)


TOPICS = {
    "summary": Topic("fgstp/{device}/{camera}/summary", qos=0, retain=False, expires_s=STALE_S),
    "event": Topic("fgstp/{device}/{camera}/event", qos=1, retain=False, kept=Priority.ALARM),
    # A leak that stays open for a day says so 86,400 times: that must not cost another leak's start or end.
    "update": Topic("fgstp/{device}/{camera}/event", qos=1, retain=False, kept=Priority.TELEMETRY),
    # QoS 0 on purpose: a state that a reconnect sends again must not be overtaken by an older one that is resent.
    "alarm": Topic("fgstp/{device}/{camera}/alarm", qos=0, retain=True),
    "downtime": Topic("fgstp/{device}/{camera}/downtime", qos=1, retain=False, kept=Priority.STATE),
    "evidence": Topic("fgstp/{device}/{camera}/evidence", qos=1, retain=False, kept=Priority.SNAPSHOT),
    "status": Topic("fgstp/{device}/status", qos=1, retain=True),
    # An operator's action is told once for all; its answer lets the client go on, and is worth less than an alarm.
    "alarm_event": Topic("fgstp/{device}/{camera}/alarm_event", qos=1, retain=False, kept=Priority.ALARM),
    "cmd": Topic("fgstp/{device}/{camera}/cmd", qos=1, retain=False),  # the other way: from the control room
    "reply": Topic("fgstp/{device}/{camera}/cmd/reply", qos=1, retain=False, kept=Priority.STATE),
    # To what was no command: nothing changed by it, and whoever sends rubbish must not fill our disk.
    "refusal": Topic("fgstp/{device}/{camera}/cmd/reply", qos=0, retain=False),
    "health": Topic("fgstp/{device}/health", qos=0, retain=False, expires_s=STALE_S),
}


class Publisher:
    """One device's connection. `publish` may be called at any time, connected or not; it never blocks."""

    def __init__(
        self,
        settings: MqttSettings,
        device: str,
        *,
        will: Mapping[str, Any],
        outbox: OutboxSettings = OutboxSettings(),  # noqa: B008  it is frozen
        on_command: Callable[[str, bytes], None] | None = None,
    ) -> None:
        """`on_command` gets camera and message of each command, in paho's thread: just put them aside, never raise."""
        self._settings, self._device = settings, device
        self._lock = threading.Lock()  # over the next two
        self._online = False  # whether the broker has accepted us and was sent what is retained
        self._retained: dict[str, tuple[str, int]] = {}  # topic -> text and QoS, for after a reconnect
        self._answer: Any = None  # the broker's reason code to the last connect
        self._answered = threading.Event()
        self._complained: set[str] = set()  # one line per loss and reason, not one per attempt
        self._client = client(settings, f"fgstp-edge-{device}")
        status = TOPICS["status"]
        self._client.will_set(status.path(device), encode(will), status.qos, status.retain)
        self._link = Link(self._client, settings)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._on_command = on_command
        if on_command is not None:
            self._client.on_message = self._on_message
            self._client.on_subscribe = self._on_subscribe
        queue = Outbox(outbox.path or default_path(device), outbox)
        self._courier = Courier(queue, self._send, outbox.replay_per_s)

    def start(self) -> None:
        """Connect, and stay connected from a thread of its own. Raises TransportError only with `required_at_start`."""
        self._courier.start()
        if not self._settings.required_at_start:
            self._link.start()
            return
        try:
            connect(self._client, self._settings, **session(self._settings))
            self._link.started()
            if not self._answered.wait(PATIENCE_S) or self._answer.is_failure:
                self._link.stop()
                raise TransportError(_refused(self._link.where, self._answer))
        except TransportError:
            self._courier.close(0)
            raise

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and is still there."""
        return self._online

    @property
    def alive(self) -> bool:
        """Whether the thread that writes the outbox still does."""
        return self._courier.alive

    @property
    def waiting(self) -> Standing:
        """How full the outbox is."""
        return self._courier.standing

    @property
    def saved(self) -> dict[str, str]:
        """What was saved with the last kept messages before this start."""
        return self._courier.states

    def publish(
        self, kind: str, payload: Mapping[str, Any], camera: str = "", save: Mapping[str, str | None] | None = None
    ) -> None:
        """Send, keep, remember or forget one message, as its kind wants; `save` goes to disk with a kept one."""
        self.publish_all([(kind, payload)], camera, save)

    def publish_all(
        self,
        messages: Sequence[tuple[str, Mapping[str, Any]]],
        camera: str = "",
        save: Mapping[str, str | None] | None = None,
    ) -> None:
        """The same for several of one camera: the kept ones and `save` reach the disk together or not at all."""
        kept: list[Message] = []
        for kind, payload in messages:
            how = TOPICS[kind]
            topic, text = how.path(self._device, camera), encode(payload)
            if how.kept is not None:
                kept.append(Message(topic, text.encode(), how.kept))
            else:
                self._send_now(how, topic, text)
        if kept:
            self._courier.put_all(kept, save or {})

    def remember(self, save: Mapping[str, str | None]) -> None:
        """Keep states on disk without a message; None forgets one."""
        self._courier.remember(save)

    def announce(self, messages: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Retained messages on topics of somebody else's choice, such as Home Assistant's; before `start`."""
        self._retained.update({topic: (encode(message), 1) for topic, message in messages})

    def close(self, farewell: Mapping[str, Any]) -> None:
        """Leave in good order: all on disk or sent, then `farewell` as the status instead of the last will."""
        self._courier.close(FAREWELL_S)
        if self.connected:
            how = TOPICS["status"]
            last = self._client.publish(how.path(self._device), encode(farewell), how.qos, how.retain)
            try:
                last.wait_for_publish(FAREWELL_S)
            except (RuntimeError, ValueError):
                log.warning("lost the broker while saying goodbye; its last will speaks for us")
        self._link.stop()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any = None) -> None:
        if reason.is_failure:
            self._complain(_refused(self._link.where, reason))
        else:
            self._complained.clear()
            blind = (
                "" if self._settings.protocol == "5" else " by MQTT 3.1.1: a message that it refuses is lost unnoticed"
            )
            log.info("connected to %s%s", self._link.where, blind)
            self._link.up()
            with self._lock:
                self._online = True
                if self._on_command is not None:
                    commands = TOPICS["cmd"]
                    self._client.subscribe(commands.path(self._device, "+"), commands.qos)
                for topic, (text, qos) in self._retained.items():
                    self._client.publish(topic, text, qos, retain=True)
            self._courier.connection(True)
        self._answer = reason
        self._answered.set()

    def _on_connect_fail(self, _client: Any, _data: Any) -> None:
        self._complain(self._link.why(sys.exc_info()[1]))  # paho calls us while it handles the exception
        self._link.down()

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any = None) -> None:
        with self._lock:
            was_online, self._online = self._online, False
        self._courier.connection(False)
        if reason.is_failure and was_online:
            self._complain(f"lost the broker at {self._link.where} ({reason})")
        elif reason.is_failure:
            self._complain(f"the broker at {self._link.where} hung up before it let us in; check mqtt.tls and protocol")
        self._link.down()

    def _on_publish(self, _client: Any, _data: Any, receipt: int, reason: Any, _properties: Any) -> None:
        self._courier.answered(receipt, not reason.is_failure)

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        """A command. One that the broker retained would be given again at every reconnect: it is none."""
        if message.retain:
            log.warning("%s: a retained command is not obeyed; delete it and send without retain", message.topic)
        elif self._on_command is not None:
            camera = message.topic.split("/")[2]
            self._on_command(camera, message.payload[: MAX_BYTES + 1])  # enough to see that it is too long

    def _on_subscribe(self, _client: Any, _data: Any, _receipt: int, reasons: Any, _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            log.warning("the broker refuses us the command topics; operators cannot acknowledge: check our rights")

    def _send_now(self, how: Topic, topic: str, text: str) -> None:
        """Hand over what is not kept; what is retained waits for a connection."""
        if how.retain:
            with self._lock:
                self._retained[topic] = (text, how.qos)
                if not self._online:
                    return  # it goes out with the next connection
        self._client.publish(topic, text, how.qos, how.retain, **expiring(self._settings, how.expires_s))

    def _send(self, message: Message) -> int:
        """Hand one message to paho, which sends it at least once for as long as this process lives."""
        stale = expiring(self._settings, UPDATE_S if message.priority is Priority.TELEMETRY else None)
        return int(self._client.publish(message.topic, message.body, qos=1, **stale).mid)

    def _complain(self, what: str) -> None:
        if what not in self._complained:
            log.warning("%s; keeping on trying", what)
        self._complained.add(what)


def client(settings: MqttSettings, client_id: str, make: Callable[..., Any] = Client) -> Any:
    """A paho client with protocol, credentials, TLS and back-off set. Raises ConfigError for unreadable files."""
    protocol = MQTTProtocolVersion.MQTTv5 if settings.protocol == "5" else MQTTProtocolVersion.MQTTv311
    made = make(CallbackAPIVersion.VERSION2, client_id, protocol=protocol)
    username, password = credentials(settings)
    if username is not None:
        made.username_pw_set(username, password)
    if settings.tls is not None:
        tls = settings.tls
        files = (None if file is None else str(located(file)) for file in (tls.ca_file, tls.cert_file, tls.key_file))
        try:
            made.tls_set(*files)
        except (OSError, ValueError, ssl.SSLError) as error:
            raise ConfigError(
                f"mqtt.tls: the certificates cannot be used: {error}; check the files named there"
            ) from error
    # A fleet that lost its broker must not come back in step: each device doubles from its own first wait.
    made.reconnect_delay_set(min_delay=random.uniform(0.5, 1.5), max_delay=30)
    return made


def connect(made: Client, settings: MqttSettings, **options: Any) -> None:
    """Open a connection, once, to the first broker that takes it. Raises TransportError."""
    troubles = []
    for broker in settings.brokers:
        try:
            made.connect(broker.host, broker.port, settings.keepalive_s, **options)
            return
        except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError; a port out of range is a ValueError
            why = getattr(error, "strerror", None) or error
            troubles.append(f"cannot reach the MQTT broker at {broker}: {why}; check address and broker")
    raise TransportError(troubles[0])


def subscribe(settings: MqttSettings, client_id: str, topics: list[str], receive: Callable[[str, bytes], None]) -> Any:
    """A running client that hands (topic, payload) to `receive`, from its own thread. Raises TransportError."""
    made = client(settings, client_id)
    answers: list[Any] = []
    answered = threading.Event()

    def on_connect(listener: Any, _data: Any, _flags: Any, reason: Any, _properties: Any = None) -> None:
        answers.append(reason)
        if not reason.is_failure:
            listener.subscribe([(topic, 1) for topic in topics])
        else:
            answered.set()

    made.on_connect = on_connect
    made.on_subscribe = lambda *_: answered.set()
    made.on_message = lambda _client, _data, message: receive(message.topic, message.payload)
    connect(made, settings)
    made.loop_start()
    if not answered.wait(PATIENCE_S) or answers[-1].is_failure:
        made.loop_stop()
        raise TransportError(_refused(settings.brokers[0], answers[-1] if answers else None))
    return made


def _refused(where: BrokerAddress, reason: Any) -> str:
    if reason is None:
        return f"the broker at {where} does not answer; is it an MQTT broker, is mqtt.protocol right?"
    return f"the broker at {where} refuses us: {reason}; check user name, password and protocol"
