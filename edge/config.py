"""The configuration file of `fgstp-edge run`: YAML in, one frozen value out, each mistake named with its key and line.

Secrets never stand in it: user name and password come from a file or from the environment (see `MqttSettings`).
"""

from __future__ import annotations

import difflib
import hashlib
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator

from edge.errors import ConfigError
from edge.rules import AlarmSettings as AlarmSettings
from edge.rules import Interval, Name, Seconds, ZoneSettings
from edge.rules import Strict as _Strict


def _as_text(value: Any) -> Any:
    """YAML reads the protocol 5 as a number."""
    return value if value is None else str(value)


class CameraSettings(_Strict):
    """One camera, or a recording that stands in for one."""

    name: Name
    source: Annotated[str, Field(min_length=1)]  # rtsp://… | /dev/videoN | video file | folder of images
    fps: Annotated[float, Field(gt=0, le=240, allow_inf_nan=False)] | None = None  # None: what the source says
    size: Annotated[str, Field(pattern=r"^[1-9]\d{0,4}x[1-9]\d{0,4}$")] | None = None  # WxH; raw frames only
    polarity: Literal["white_hot", "black_hot"] = "white_hot"
    realtime: bool = True  # play a recording at camera rate; False: as fast as it goes
    repeat: Literal["once", "loop", "pingpong"] = "once"  # what follows the last frame of a recording
    calibration: Path | None = None  # what `fgstp-edge calibrate` wrote for this camera
    zones: Annotated[tuple[ZoneSettings, ...], Field(max_length=32)] = ()  # none: the whole view is one

    @field_validator("zones")
    @classmethod
    def _told_apart(cls, zones: tuple[ZoneSettings, ...]) -> tuple[ZoneSettings, ...]:
        names = [zone.name for zone in zones]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two zones are named {twice[0]}; their alarms could not be told apart")
        return zones

    @property
    def shape(self) -> tuple[int, int] | None:
        """`size` as (width, height)."""
        if self.size is None:
            return None
        width, height = self.size.split("x")
        return int(width), int(height)


class ModelSettings(_Strict):
    """Which model runs, and on what."""

    name: str = "student.int8"  # a shipped model, or the path of an ONNX file with its ModelSpec beside it
    backend: Literal["auto", "openvino", "onnxruntime", "cuda", "tensorrt"] = "auto"
    threads: Annotated[int, Field(ge=1, le=64)] = 1


class TlsSettings(_Strict):
    """Encryption to the broker; naming any of it turns TLS on."""

    ca_file: Path | None = None  # None: the system's certificates
    cert_file: Path | None = None  # this device's certificate and key, where the broker asks for them
    key_file: Path | None = None


class MqttSettings(_Strict):
    """The broker. Credentials: `username` and `password_file`, or FGSTP_MQTT_USERNAME and FGSTP_MQTT_PASSWORD."""

    host: Annotated[str, Field(min_length=1)] = "localhost"
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883
    protocol: Annotated[Literal["5", "3.1.1"], BeforeValidator(str)] = "5"
    username: str | None = None
    password_file: Path | None = None
    tls: TlsSettings | None = None
    keepalive_s: Annotated[int, Field(ge=2, le=3600)] = 15
    required_at_start: bool = False  # True: give up at once when the broker cannot be reached at the start
    summary_every_s: Seconds = 0.2  # at most one summary message per this time; 0: every frame


class OutboxSettings(_Strict):
    """Where events wait until the broker has confirmed them, and how many."""

    path: Path | None = None  # None: outbox-DEVICE.db in $STATE_DIRECTORY, else in ~/.local/state/fgstp-edge
    max_bytes: Annotated[int, Field(ge=100_000, le=100_000_000_000)] = 50_000_000  # then the least worthy goes first
    max_age_days: Annotated[float, Field(gt=0, le=3650, allow_inf_nan=False)] = 7.0  # alarms are kept for longer
    replay_per_s: Annotated[float, Field(ge=1, le=10_000, allow_inf_nan=False)] = 100.0  # messages, after a reconnect


class BrokerSettings(_Strict):
    """One of several brokers."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883


SparkplugId = Annotated[str, Field(pattern=r"^[^+/#\x00-\x1f]{1,128}$")]  # one level of a topic; blanks are allowed


class SparkplugSettings(_Strict):
    """The device as a Sparkplug B edge node. What is None here is as in `mqtt`."""

    group_id: SparkplugId
    edge_node_id: SparkplugId | None = None  # None: the device's name
    primary_host: SparkplugId | None = None  # wait for this host to be online; None: for none
    brokers: tuple[BrokerSettings, ...] = ()  # tried in this order; none: mqtt's
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
        brokers = self.brokers or (BrokerSettings(host=mqtt.host, port=mqtt.port),)
        return tuple(common.model_copy(update={"host": b.host, "port": b.port}) for b in brokers)


class HealthSettings(_Strict):
    """The report of the device's own state."""

    every_s: Interval = 10.0


class Config(_Strict):
    """Everything that `run` is told."""

    device: Name
    cameras: Annotated[tuple[CameraSettings, ...], Field(min_length=1)]
    model: ModelSettings = ModelSettings()
    alarm: AlarmSettings = AlarmSettings()
    mqtt: MqttSettings = MqttSettings()
    outbox: OutboxSettings = OutboxSettings()
    sparkplug: SparkplugSettings | None = None  # None: no Sparkplug
    health: HealthSettings = HealthSettings()
    self_test: bool = True  # compute the golden clip before the camera is opened

    @property
    def hash(self) -> str:
        """sha256 over every value, defaults included: the same hash means the same behaviour."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load(path: str | Path) -> Config:
    """Read and check a configuration file. Raises ConfigError: "FILE:LINE: path.to.key: what is wrong"."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ConfigError(f"{path}: cannot read the configuration: {reason}; see config.example.yaml") from error
    return parse(text, str(path))


def parse(text: str, where: str = "config") -> Config:
    """Check a configuration given as YAML text; `where` names it in errors. Raises ConfigError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "cannot be read"
        raise ConfigError(f"{where}:{mark.line + 1 if mark else 1}: not YAML: {problem}") from error
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{where}:1: expected keys such as 'device:' and 'cameras:'; see config.example.yaml")
    _refuse_duplicates(root, where)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}:{_line(root, first['loc'])}: {_explain(first)}") from error
    names = [camera.name for camera in config.cameras]
    for index, name in enumerate(names):
        if name in names[:index]:
            line = _line(root, ("cameras", index, "name"))
            raise ConfigError(f"{where}:{line}: cameras.{index}.name: {name!r} is the name of another camera already")
    return config


def _explain(error: Any) -> str:
    """One validation error as `path.to.key: what is wrong`, with the nearest known key for an unknown one."""
    loc = error["loc"]
    key = ".".join(str(part) for part in loc)
    if error["type"] == "missing":
        return f"{key}: this key is required"
    if error["type"] == "extra_forbidden":
        known = _keys_at(loc[:-1])
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        return f"{key}: unknown key; " + (f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}")
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{key}: {message} (got {str(error['input'])[:60]!r})"


def _keys_at(loc: tuple[str | int, ...]) -> list[str]:
    """The keys that the schema knows at a place such as ("cameras", 0)."""
    model: type[BaseModel] = Config
    for part in loc:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            choices = (annotation, *typing.get_args(annotation))
            model = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)


def _line(node: yaml.Node, loc: tuple[str | int, ...]) -> int:
    """The line, from 1, of the value at `loc`, or of the deepest part of that path that the file has."""
    line = node.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _refuse_duplicates(node: yaml.Node, where: str) -> None:
    """YAML lets a key's second value silently win; here that is a mistake."""
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_duplicates(child, where)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            if str(key.value) in seen:
                raise ConfigError(f"{where}:{key.start_mark.line + 1}: {key.value}: this key stands here twice")
            seen.add(str(key.value))
            _refuse_duplicates(child, where)
