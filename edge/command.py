"""What an operator may ask for, and the answer. Bytes come in from anyone on the broker: nothing here raises for them.

{"command": "shelve", "id": "hmi-7.4711", "operator": "J. Doe", "zone": "compressor", "duration_s": 3600}
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from edge.rules import Name

MAX_BYTES = 4096  # of one command; the longest sensible one has about 700
MAX_SHELVE_S = 86_400.0  # whatever the configuration allows
ID = r"^[A-Za-z0-9._:-]{1,64}$"
_SILENT = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"  # what breaks a line of a log, or turns one around
LINE = rf"^[^{_SILENT}]*$"
NAME = rf"^[^{_SILENT} ][^{_SILENT}]*$"

Verb = Literal[
    "ack", "shelve", "unshelve", "suppress", "unsuppress", "out_of_service", "in_service", "reset", "snapshot"
]


class Command(BaseModel):
    """One request of one operator, for one zone or, without `zone`, for every alarm of the camera."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    command: Verb
    id: Annotated[str, Field(pattern=ID)]  # chosen by the client, once: the same id again gets the same answer
    operator: Annotated[str, Field(max_length=64, pattern=NAME)]
    zone: Name | None = None
    event_id: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")] | None = None  # ack: of this leak and of no later one
    duration_s: Annotated[float, Field(gt=0, le=MAX_SHELVE_S, allow_inf_nan=False)] | None = None  # shelve: for so long
    comment: Annotated[str, Field(max_length=200, pattern=LINE)] | None = None  # for the record

    @model_validator(mode="after")
    def _complete(self) -> Command:
        if (self.duration_s is not None) != (self.command == "shelve"):
            raise ValueError("duration_s belongs to shelve, which needs it")
        if self.event_id is not None and self.command != "ack":
            raise ValueError("event_id belongs to ack")
        return self


@dataclass(frozen=True, slots=True)
class Malformed:
    """What came in is no command."""

    reason: str
    id: str | None = None  # as far as it can be read, so that the client knows which of its requests this was


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one message on the command topic."""

    id: str | None
    command: str | None
    accepted: bool
    reason: str | None  # why not; None: accepted
    state: str  # of the alarm, after the command
    utc: float


def parse(message: bytes) -> Command | Malformed:
    """A command, or why it is none."""
    if len(message) > MAX_BYTES:
        return Malformed(f"more than {MAX_BYTES} bytes")
    try:
        value = from_json(message, allow_inf_nan=False)
    except ValueError as error:
        return Malformed(f"not JSON: {error}")
    if not isinstance(value, dict):
        return Malformed("not a JSON object")
    try:
        return Command.model_validate(value)
    except ValidationError as error:
        return Malformed(_explained(error.errors(include_url=False, include_input=False)[0]), _readable_id(value))


def _explained(error: Any) -> str:
    """One validation error as `field: what is wrong`; a field's name may be anything, so it is cut and escaped."""
    field = ascii(".".join(str(part) for part in error["loc"])[:40])[1:-1]
    if error["type"] == "extra_forbidden":
        return f"{field}: unknown field"
    if error["type"] == "string_pattern_mismatch":
        return f"{field}: characters or length not allowed"
    said = error["msg"].removeprefix("Value error, ")
    return f"{field}: {said[0].lower()}{said[1:]}" if field else said


def _readable_id(value: dict[str, Any]) -> str | None:
    given = value.get("id")
    return given if isinstance(given, str) and re.fullmatch(ID, given) else None
