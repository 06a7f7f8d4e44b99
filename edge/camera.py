"""CameraCalibration: what gas-free footage has told of one camera, in one JSON file.

`fgstp-edge calibrate` writes it (see `edge.site`), `run` and `segment` take it: cells that it excludes are no gas, its
threshold stands in for the ModelSpec's and its smallest plume for the alarm's. It holds for one model, one size of
picture and one polarity; anything else is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edge.contract import ModelSpec
from edge.errors import ConfigError, StorageError
from edge.records import Array
from edge.rules import AlarmSettings

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Plane(_Strict):
    """A map of cells, uint8, one cell a pixel of the model's logits; compressed, as text."""

    shape: tuple[Annotated[int, Field(ge=1, le=4096)], Annotated[int, Field(ge=1, le=4096)]]  # rows, columns
    zlib_base64: str

    @classmethod
    def of(cls, array: Array) -> Plane:
        """From (h, w), bool or 0..255."""
        packed = zlib.compress(np.ascontiguousarray(array, np.uint8).tobytes(), 9)
        return cls(shape=(array.shape[0], array.shape[1]), zlib_base64=base64.b64encode(packed).decode())

    @property
    def array(self) -> Array:
        """(h, w) uint8."""
        return np.frombuffer(self._content(), np.uint8).reshape(self.shape)

    def _content(self) -> bytes:
        """No more of it is unpacked than the shape allows."""
        size = self.shape[0] * self.shape[1]
        return zlib.decompressobj().decompress(base64.b64decode(self.zlib_base64, validate=True), size + 1)

    @model_validator(mode="after")
    def _complete(self) -> Plane:
        try:
            found = len(self._content())
        except (binascii.Error, zlib.error) as error:
            raise ValueError("the map is damaged") from error
        if found != self.shape[0] * self.shape[1]:
            raise ValueError(f"the map does not fill {self.shape[0]} x {self.shape[1]} cells")
        return self


class FalseAlarms(_Strict):
    """How often there was an alarm without gas, and between what bounds the true rate lies (exact Poisson, 95 %)."""

    events: Annotated[int, Field(ge=0)]
    hours: Positive  # of footage that they were counted in
    low_per_hour: NotNegative
    high_per_hour: NotNegative


class CameraCalibration(_Strict):
    """One camera under one model."""

    schema_version: Literal[1] = 1
    software: str
    model: str
    model_sha256: str
    sources: tuple[str, ...]  # what it was made from
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]  # width, height of the pictures, px
    polarity: Literal["white_hot", "black_hot"]
    footage_s: Positive  # believable footage
    noise: NotNegative  # temporal sigma of one pixel at the model's resolution, grey levels of 255
    threshold: Probability  # above which a pixel is gas
    min_area_share: Share  # of the view, below which a plume does not count for the alarm
    target_per_hour: Positive  # false alarms that were asked for
    before: FalseAlarms  # with the shipped threshold and area and nothing excluded
    after: FalseAlarms  # with this file's settings, each half of the footage under the exclusion of the other half
    frozen: Plane  # 1 where the picture never changes: borders, burnt-in text
    flicker: Plane  # share of the time that the model calls a cell gas without gas, in 1/255
    restless: Plane  # share of the time that a cell differs from what it was half a second ago, in 1/255
    excluded: Plane  # 1 where nothing counts as gas

    @field_validator("excluded")
    @classmethod
    def _leaves_a_view(cls, plane: Plane) -> Plane:
        if plane.array.all():
            raise ValueError("the whole view is excluded")
        return plane

    @property
    def hash(self) -> str:
        """sha256 over every value: the same hash means the same behaviour."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def check_model(self, spec: ModelSpec, polarity: str) -> None:
        """Refuse another model or polarity than it was made with. Raises ConfigError."""
        if self.model_sha256 != spec.sha256:
            raise ConfigError(
                f"camera file made with {self.model} (sha256 {self.model_sha256[:12]}…), but the model is {spec.name} "
                f"({spec.sha256[:12]}…); calibrate again with this model"
            )
        if self.polarity != polarity:
            raise ConfigError(f"camera file made for {self.polarity}, but the camera is {polarity}; calibrate again")

    def check_cells(self, cells: tuple[int, ...]) -> None:
        """Refuse a map that is not of the shape (h, w) of the model's logits for this size. Raises ConfigError."""
        if self.excluded.shape != cells:
            raise ConfigError(f"camera file with a map of {self.excluded.shape}, it must be {cells}; calibrate again")

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuse pictures of another (width, height). Raises ConfigError."""
        if self.size != size:
            raise ConfigError(
                f"camera file made for pictures of {self.size[0]}x{self.size[1]}, but the source gives "
                f"{size[0]}x{size[1]}; calibrate again with footage of this size"
            )

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises StorageError."""
        partial = path.with_name(f"{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise StorageError(f"{path}: cannot write: {error.strerror}; choose another --out") from error


def load(path: str | Path) -> CameraCalibration:
    """Read and check a camera file. Raises ConfigError."""
    try:
        return CameraCalibration.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the camera file: {error.strerror}; see fgstp-edge calibrate") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "top level"
        raise ConfigError(f"{path}: not a camera file: {where}: {first['msg']}; calibrate again") from error


def alarm_settings(settings: AlarmSettings, calibration: CameraCalibration | None) -> AlarmSettings:
    """The settings, with the smallest plume that the camera file wants."""
    if calibration is None:
        return settings
    return settings.model_copy(update={"min_area_share": calibration.min_area_share})


def settings_hash(settings: str, calibration: CameraCalibration | None) -> str:
    """The hash that events carry: of the settings alone (`settings`, a hash), or of them and the camera file."""
    if calibration is None:
        return settings
    return hashlib.sha256(f"{settings} {calibration.hash}".encode()).hexdigest()
