"""The configuration file of `fgstp-edge run`: YAML in, one frozen value out, every mistake named with its key and line.

Secrets never stand in it: user name and password come from a file or from the environment (see `edge.login`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, field_validator

from edge import mistakes
from edge.errors import ConfigError
from edge.rendering import Range, Rendering
from edge.rules import AlarmSettings, Interval, Name, Share, Strict, ZoneSettings
from edge.uplink import Host, MqttSettings, OutboxSettings, Port, SparkplugSettings
from edge.vantage import GeoSettings

Level = Annotated[float, Field(ge=0, le=65_535, allow_inf_nan=False)]  # of a 16-bit picture


def _corners(place: Any) -> Any:
    """Of a box [left, top, width, height], which a polygon is written as for short; all else is passed on."""
    if not (isinstance(place, list | tuple) and len(place) == 4 and all(isinstance(v, int | float) for v in place)):
        return place
    left, top, width, height = place
    right, bottom = (round(end, 9) for end in (left + width, top + height))  # 0.7 + 0.3 is not to be above 1
    return (left, top), (right, top), (right, bottom), (left, bottom)


Place = Annotated[tuple[tuple[Share, Share], ...], BeforeValidator(_corners), Field(min_length=3, max_length=100)]


class CameraSettings(Strict):
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
    zones: Annotated[tuple[ZoneSettings, ...], Field(max_length=32)] = ()  # none: the whole view is one
    geo: GeoSettings | None = None  # None: events carry no place on the map

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


class ModelSettings(Strict):
    """Which model runs, and on what."""

    name: str = "student.int8"  # a shipped model, or the path of an ONNX file with its ModelSpec beside it
    backend: Literal["auto", "openvino", "onnxruntime", "cuda", "tensorrt"] = "auto"
    threads: Annotated[int, Field(ge=1, le=64)] = 1


class EvidenceSettings(Strict):
    """Pictures and clips of leaks, on this device's disk."""

    enabled: bool = True
    path: Path | None = None  # None: evidence-DEVICE beside the outbox's default place
    before_s: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 5.0  # a clip begins so long before the leak…
    after_s: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 10.0  # …and ends so long after its start
    max_bytes: Annotated[int, Field(ge=1_000_000)] = 1_000_000_000  # then the oldest goes first
    min_free_bytes: Annotated[int, Field(ge=0)] = 200_000_000  # left to others on that disk
    buffer_bytes: Annotated[int, Field(ge=100_000, le=1_000_000_000)] = 8_000_000  # of memory, for each camera
    publish: Literal["path", "snapshot", "all"] = "path"  # what a message holds beside path and sha256


class PrometheusSettings(Strict):
    """An HTTP endpoint for Prometheus; it has no password, so that it listens to this machine only."""

    host: Host = "127.0.0.1"
    port: Port = 9750


class HealthSettings(Strict):
    """The report of the device's own state."""

    every_s: Interval = 10.0
    prometheus: PrometheusSettings | None = None


class Config(Strict):
    """Everything that `run` is told."""

    device: Name
    cameras: Annotated[tuple[CameraSettings, ...], Field(min_length=1)]
    model: ModelSettings = ModelSettings()
    alarm: AlarmSettings = AlarmSettings()
    mqtt: MqttSettings = MqttSettings()
    outbox: OutboxSettings = OutboxSettings()
    sparkplug: SparkplugSettings | None = None  # None: no Sparkplug
    evidence: EvidenceSettings = EvidenceSettings()
    health: HealthSettings = HealthSettings()
    self_test: bool = True  # compute the golden clip before the camera is opened

    @property
    def hash(self) -> str:
        """sha256 over every value, defaults included: the same hash means the same behaviour."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def schema() -> str:
    """The JSON Schema of the configuration, for editors that check and complete YAML while it is written."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    return json.dumps({**made, "title": "fgstp-edge configuration"}, indent=2)


def load(path: str | Path) -> Config:
    """Read and check a configuration file. Raises ConfigError: "FILE:LINE: path.to.key: what is wrong", for each."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ConfigError(f"{path}: cannot read the configuration: {reason}; see config.example.yaml") from error
    return parse(text, str(path))


def parse(text: str, where: str = "config") -> Config:
    """Check a configuration given as YAML text; `where` names it in errors. Raises ConfigError with every mistake."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "cannot be read"
        raise ConfigError(f"{where}:{mark.line + 1 if mark else 1}: not YAML: {problem}") from error
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{where}:1: expected keys such as 'device:' and 'cameras:'; see config.example.yaml")
    found = mistakes.duplicates(root)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        found += mistakes.refused(error, root, Config)
    else:
        found += _alike(config, root)
        if not found:
            return config
    raise ConfigError(*(f"{where}:{line}: {what}" for line, what in sorted(found)))


def _alike(config: Config, root: yaml.Node) -> list[mistakes.Mistake]:
    """Cameras whose names would be taken for each other."""
    names = [camera.name for camera in config.cameras]
    found = []
    for index, name in enumerate(names):
        if name in names[:index]:
            what = f"{name!r} is the name of another camera already"
        elif config.sparkplug and name.lower() in map(str.lower, names[:index]):
            what = f"{name!r} is another camera's name but for capital letters; "
            what += "Sparkplug hosts may take the two for one"
        else:
            continue
        found.append((mistakes.line(root, ("cameras", index, "name")), f"cameras.{index}.name: {what}"))
    return found
