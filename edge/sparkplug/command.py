"""What a host asks: a rebirth (NCMD), an operator's command (DCMD). Everything else is refused without effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.sparkplug.codec import Metric, decode, fits
from edge.sparkplug.table import WRITABLE, Writable

REBIRTH = "Node Control/Rebirth"
MAX_BYTES = 16_384  # of a command; a host writes a metric or two


@dataclass(frozen=True, slots=True)
class Command:
    """One command of an operator, by the verbs of the JSON topic `cmd`."""

    camera: str
    verb: str  # ack | shelve | unshelve | suppress | unsuppress | out_of_service | in_service | reset
    value: float | None = None  # shelve: for how many seconds


def asks_rebirth(body: bytes) -> bool:
    """Whether an NCMD is a Rebirth Request. Raises ValueError where it is not understood."""
    metrics = _metrics(body)
    if any(metric.name == REBIRTH and metric.value is True for metric in metrics):
        return True
    raise ValueError(f"asks for something else than {REBIRTH} = true")


def commands(body: bytes, camera: str, aliases: Mapping[int, int]) -> tuple[Command, ...]:
    """What a DCMD asks; `aliases` gives each alias's row. One metric that is not understood refuses all of it.

    Raises ValueError.
    """
    asked = tuple(_command(metric, camera, aliases) for metric in _metrics(body))
    return tuple(command for command in asked if command is not None)


def _metrics(body: bytes) -> tuple[Metric, ...]:
    if len(body) > MAX_BYTES:
        raise ValueError(f"longer than {MAX_BYTES} bytes")
    metrics = decode(body).metrics
    if not metrics:
        raise ValueError("no metric in it")
    return metrics


def _command(metric: Metric, camera: str, aliases: Mapping[int, int]) -> Command | None:
    row = _writable(metric, aliases)
    if not fits(metric.value, row.type):
        raise ValueError(f"{row.name}: expected a {row.type.name.lower()}")
    if isinstance(metric.value, bool):
        verb = row.verb if metric.value else row.otherwise
        return None if verb is None else Command(camera, verb)
    assert isinstance(metric.value, (int, float))
    if metric.value <= 0:
        raise ValueError(f"{row.name}: expected more than 0")
    return Command(camera, row.verb, float(metric.value))


def _writable(metric: Metric, aliases: Mapping[int, int]) -> Writable:
    """By alias, or by name where the host prefers that; a stranger is no reason to guess."""
    number = None if metric.alias is None else aliases.get(metric.alias)
    for row in WRITABLE:
        if row.number == number or (metric.alias is None and row.name == metric.name):
            return row
    raise ValueError("a metric that cannot be written")
