"""The part of the configuration that says how the control room is reached, and what waits while it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from edge.rules import Seconds, Strict


def _resolvable(host: str) -> str:
    """No name server is asked, but a name such as "a..b" can be asked of none."""
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise ValueError("not a host name") from error
    return host


Port = Annotated[int, Field(ge=1, le=65_535)]
Host = Annotated[str, Field(min_length=1), AfterValidator(_resolvable)]


class TlsSettings(Strict):
    """Encryption to the broker; naming any of it turns TLS on."""

    ca_file: Path | None = None  # None: the system's certificates
    cert_file: Path | None = None  # this device's certificate and key, where the broker asks for them
    key_file: Path | None = None


class BrokerAddress(Strict):
    """Where a broker listens."""

    host: Host = "localhost"
    port: Port = 1883

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class HomeAssistantSettings(Strict):
    """Announce every camera to Home Assistant."""

    prefix: Annotated[str, Field(pattern=r"^[^#+\s]+$")] = "homeassistant"  # what its MQTT integration listens to


class MqttSettings(BrokerAddress):
    """The broker, with others to fall back on. `edge.login` says where user name and password come from."""

    fallback: tuple[BrokerAddress, ...] = ()  # tried in this order when the first cannot be reached
    protocol: Annotated[Literal["5", "3.1.1"], BeforeValidator(str)] = "5"
    username: str | None = None
    password_file: Path | None = None
    tls: TlsSettings | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 15
    session_expiry_s: Annotated[int, Field(ge=0, le=86_400)] = 300  # how long the broker keeps commands for us
    required_at_start: bool = False  # True: give up at once when the broker cannot be reached at the start
    summary_every_s: Seconds = 0.2  # at most one summary message per this time; 0: every frame
    home_assistant: HomeAssistantSettings | None = None

    @property
    def brokers(self) -> tuple[BrokerAddress, ...]:
        """All of them, in the order in which they are tried."""
        return BrokerAddress(host=self.host, port=self.port), *self.fallback


class OutboxSettings(Strict):
    """Where events wait until the broker has confirmed them, and how many."""

    path: Path | None = None  # None: outbox-DEVICE.db in $STATE_DIRECTORY, else in ~/.local/state/fgstp-edge
    max_bytes: Annotated[int, Field(ge=100_000, le=100_000_000_000)] = 50_000_000  # then the least worthy goes first
    max_age_days: Annotated[float, Field(gt=0, le=3650, allow_inf_nan=False)] = 7.0  # alarms are kept for longer
    replay_per_s: Annotated[float, Field(ge=1, le=10_000, allow_inf_nan=False)] = 100.0  # messages, after a reconnect


def _as_text(value: Any) -> Any:
    """YAML reads the protocol 5 as a number."""
    return value if value is None else str(value)


SparkplugId = Annotated[str, Field(pattern=r"^[^+/#\x00-\x1f]{1,128}$")]  # one level of a topic; blanks are allowed


class SparkplugSettings(Strict):
    """The device as a Sparkplug B edge node. What is None here is as in `mqtt`."""

    group_id: SparkplugId
    edge_node_id: SparkplugId | None = None  # None: the device's name
    primary_host: SparkplugId | None = None  # wait for this host to be online; None: for none
    brokers: tuple[BrokerAddress, ...] = ()  # tried in this order; none: mqtt's
    protocol: Annotated[Literal["5", "3.1.1", None], BeforeValidator(_as_text)] = None
    username: str | None = None
    password_file: Path | None = None
    tls: TlsSettings | None = None
    keepalive_s: Annotated[int, Field(ge=2, le=3600)] | None = None
    typed_data: bool = False  # True: say each value's type in data too, for hosts that do not look it up in the births
    outbox: OutboxSettings = OutboxSettings()  # path: None is sparkplug-DEVICE.db beside the other one

    def links(self, mqtt: MqttSettings) -> tuple[MqttSettings, ...]:
        """How each broker is reached, in order."""
        own = {name: getattr(self, name) for name in ("protocol", "username", "password_file", "tls", "keepalive_s")}
        common = mqtt.model_copy(update={name: value for name, value in own.items() if value is not None})
        brokers = self.brokers or (BrokerAddress(host=mqtt.host, port=mqtt.port),)
        return tuple(common.model_copy(update={"host": b.host, "port": b.port}) for b in brokers)
