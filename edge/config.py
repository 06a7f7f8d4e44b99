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
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from edge.errors import ConfigError
from edge.rendering import Range, Rendering

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]  # one level of an MQTT topic
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Interval = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Level = Annotated[float, Field(ge=0, le=65_535, allow_inf_nan=False)]  # of a 16-bit picture


def _corners(place: Any) -> Any:
    """Of a box [left, top, width, height], which a polygon is written as for short; all else is passed on."""
    if not (isinstance(place, list | tuple) and len(place) == 4 and all(isinstance(v, int | float) for v in place)):
        return place
    left, top, width, height = place
    right, bottom = (round(end, 9) for end in (left + width, top + height))  # 0.7 + 0.3 is not to be above 1
    return (left, top), (right, top), (right, bottom), (left, bottom)


Place = Annotated[tuple[tuple[Share, Share], ...], BeforeValidator(_corners), Field(min_length=3, max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CameraSettings(_Strict):
    """One camera, or a recording that stands in for one.

    Credentials: `username` and `password_file`, or FGSTP_CAMERA_USERNAME and FGSTP_CAMERA_PASSWORD.
    """

    name: Name
    source: Annotated[str, Field(min_length=1)]  # see docs/sources.md
    username: str | None = None
    password_file: Path | None = None
    fps: Annotated[float, Field(gt=0, le=240, allow_inf_nan=False)] | None = None  # None: what the source says
    size: Annotated[str, Field(pattern=r"^[1-9]\d{0,4}x[1-9]\d{0,4}$")] | None = None  # WxH; raw frames, devices
    pixel_format: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,16}$")] | None = None  # /dev/videoN and aravis: only
    polarity: Literal["white_hot", "black_hot"] = "white_hot"
    palette: str | None = None  # colours that the camera draws in; None: grey
    range: tuple[Level, Level] | None = None  # 16-bit values that become black and white; None: percentiles
    ignore: tuple[Place, ...] = ()  # burnt-in text and logos, in shares of the view
    realtime: bool = True  # play a recording at camera rate; False: as fast as it goes
    repeat: Literal["once", "loop", "pingpong"] = "once"  # what follows the last frame of a recording
    calibration: Path | None = None  # what `fgstp-edge calibrate` wrote for this camera

    @property
    def shape(self) -> tuple[int, int] | None:
        """`size` as (width, height)."""
        if self.size is None:
            return None
        width, height = self.size.split("x")
        return int(width), int(height)

    @property
    def rendering(self) -> Rendering:
        """How the camera draws."""
        return Rendering(self.palette, None if self.range is None else Range(*self.range), self.ignore)

    @field_validator("palette")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None:
            from edge import palette

            if name not in palette.names():
                raise ValueError(f"no such palette; known are {', '.join(palette.names())}")
        return name

    @field_validator("range")
    @classmethod
    def _rises(cls, ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends is not None and not ends[0] < ends[1]:
            raise ValueError("the first value must be below the second")
        return ends


class ModelSettings(_Strict):
    """Which model runs, and on what."""

    name: str = "student.int8"  # a shipped model, or the path of an ONNX file with its ModelSpec beside it
    backend: Literal["auto", "openvino", "onnxruntime", "cuda", "tensorrt"] = "auto"
    threads: Annotated[int, Field(ge=1, le=64)] = 1


class AlarmSettings(_Strict):
    """When a plume becomes a leak, and when the leak is over. Every published figure is made with the defaults."""

    on_delay_s: Interval = 2.0  # a leak is raised when a plume has been seen for this long…
    persistence: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.9  # …in this share of the frames…
    min_overlap: Share = 0.3  # …in one place: boxes share this part of the smaller one
    min_area_share: Share = 0.0005  # a plume smaller than this part of the view does not count
    min_confidence: Share = 0.75  # a plume whose pixels' mean probability is less raises no leak; it keeps one open
    off_delay_s: Seconds = 5.0  # a leak is over when no plume has been seen for this long
    update_every_s: Interval = 1.0  # between the updates of an open event


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
    if len(config.cameras) > 1:
        line = _line(root, ("cameras", 1))
        raise ConfigError(f"{where}:{line}: cameras.1: one camera per process for now; run a second process for it")
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
    said = error["msg"].removeprefix("Value error, ")
    message = said[0].lower() + said[1:]
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
