"""One connection to one broker, over paho; it ends, and another one is made. The session decides when.

paho's own reconnect is off: each CONNECT needs a will with a new bdSeq, and the next broker may be another one.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge import link, mqtt
from edge.sparkplug.node import Publication
from edge.uplink import MqttSettings

WITH_WILL = "Disconnect with will message"  # MQTT 5 reason code 0x04: what Sparkplug asks for


class Client(link.Client):
    """paho, which can be asked for a ping and tells of the answer.

    paho pings for its keep-alive alone and has no call and no callback for it. Its two methods for that are overridden
    here, so that its own pings are counted like ours: the answers come in the order of the pings, and an answer to a
    ping sent before a message proves nothing about that message. A test fails where a new paho has no such methods.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, reconnect_on_failure=False, **kwargs)
        self._count = threading.Lock()  # paho's thread pings, and so do we
        self._asked = self._answered = 0
        self.on_pong: Callable[[int], None] = lambda number: None

    def ping(self) -> int:
        """Send a PINGREQ; its number. What was published before this call is before it on the wire.

        Whoever takes a number later may be sent earlier, but never the other way round for one thread: so at least
        this many PINGRESPs prove that one PINGREQ after the message was answered.
        """
        number = self._ask()
        super()._send_pingreq()
        return number

    def _send_pingreq(self) -> Any:
        self._ask()
        return super()._send_pingreq()

    def _handle_pingresp(self) -> Any:
        result = super()._handle_pingresp()
        if result == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._answered += 1  # in paho's thread alone
            self.on_pong(self._answered)
        return result

    def _ask(self) -> int:
        with self._count:
            self._asked += 1
            return self._asked


class Link:
    """One attempt. The callbacks get this link first, from threads that are not the caller's."""

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        will: Publication,
        topics: Sequence[str],
        *,
        subscribed: Callable[[Link, bool], None],
        heard: Callable[[Link, str, bytes, bool], None],
        answered: Callable[[Link, int], None],
        ended: Callable[[Link, str, bool], None],
    ) -> None:
        """`subscribed` gets whether the broker refused any of it; `heard` topic, body and whether it was retained;
        `answered` how many pings were; `ended` why, and whether a CONNECT was sent.

        Raises ConfigError for files of the settings that cannot be read.
        """
        self._settings, self._topics = settings, topics
        self._subscribed, self._ended = subscribed, ended
        self._client = mqtt.client(settings, client_id, Client)
        self._client.will_set(will.topic, will.body, will.qos, retain=False)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = lambda _client, _data, m: heard(self, m.topic, bytes(m.payload), bool(m.retain))
        self._client.on_disconnect = self._on_disconnect
        self._client.on_pong = lambda number: answered(self, number)
        self._over = threading.Event()

    def start(self) -> None:
        """Dial, from a thread of its own: a name server or a silent host may take its time."""
        threading.Thread(target=self._dial, name="sparkplug-dial", daemon=True).start()

    def publish(self, publication: Publication) -> bool:
        """Hand over one message; False where the connection is gone."""
        sent = self._client.publish(publication.topic, publication.body, publication.qos, retain=False)
        return bool(sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS)

    def ping(self) -> int:
        """Ask the broker for a sign of life; `answered` gets this number or a higher one."""
        return int(self._client.ping())

    def end(self, death: Publication | None = None) -> None:
        """Say the death, if any, and DISCONNECT right after it; both are sent when this returns, if the line is up."""
        if death is not None:
            self.publish(death)
        five = self._settings.protocol == "5"
        self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, WITH_WILL) if five else None)

    def drop(self, patience_s: float) -> None:
        """Wait until the connection has ended, and end it where it does not by itself."""
        if not self._over.wait(patience_s):
            self._over.set()
            with contextlib.suppress(OSError, AttributeError):  # it may end meanwhile
                self._client.socket().shutdown(socket.SHUT_RDWR)

    def _dial(self) -> None:
        settings, more = self._settings, {}
        if settings.protocol == "5":
            more = {"clean_start": True, "properties": Properties(PacketTypes.CONNECT)}
            more["properties"].SessionExpiryInterval = 0
        try:
            self._client.connect(settings.host, settings.port, settings.keepalive_s, **more)
        except (OSError, ValueError) as error:
            self._over.set()
            why = getattr(error, "strerror", None) or error
            self._ended(self, f"no broker at {settings.host}:{settings.port}: {why}", False)
            return
        if self._over.is_set():  # nobody waits for it any more
            self._client.disconnect()
        self._client.loop_start()

    def _on_connect(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any = None) -> None:
        if not reason.is_failure:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any = None) -> None:
        self._subscribed(self, any(reason.is_failure for reason in reasons))

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any = None) -> None:
        self._over.set()
        settings = self._settings
        self._ended(self, f"lost the broker at {settings.host}:{settings.port} ({reason})", True)
