"""Which figure of which message becomes which metric: the only place that knows both.

A row's number is its alias within the camera (or the node) and what stands for its name on the disk: give a new row a
new number, and never an old row's number to another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge.sparkplug.codec import Type, Value, fits
from edge.store import Priority

BAD, GOOD, STALE = 0, 192, 500  # the Quality property (section 6.4.9.1)


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. A change by no more than `deadband` is not reported; one without `worth` is not kept for replay."""

    number: int
    name: str
    type: Type
    source: str  # kind of message and key in it: "event.origin.0"
    worth: Priority | None = None
    deadband: float = 0.0
    pictured: bool = True  # comes from the pictures, and is as good as they are


@dataclass(frozen=True, slots=True)
class Writable:
    """One metric that a host may write, and the operator's command that it gives."""

    number: int
    name: str
    type: Type
    verb: str  # for True, or for the number written
    otherwise: str | None = None  # for False; None: False asks for nothing


_ALARM, _STATE, _TELEMETRY = Priority.ALARM, Priority.STATE, Priority.TELEMETRY
_INT32, _INT64, _DOUBLE, _BOOLEAN = Type.INT32, Type.INT64, Type.DOUBLE, Type.BOOLEAN
_STRING, _DATETIME = Type.STRING, Type.DATETIME

CAMERA = (
    Row(1, "Alarm/Active", _BOOLEAN, "alarm.active", _ALARM),
    Row(2, "Alarm/State", _STRING, "alarm.state", _STATE),
    Row(3, "Alarm/ISA state", _STRING, "alarm.alarm_state", _ALARM),
    Row(4, "Alarm/Acknowledged", _BOOLEAN, "alarm.acknowledged", _ALARM),
    Row(5, "Alarm/Priority", _STRING, "alarm.priority", _ALARM),
    Row(6, "Alarm/Event id", _STRING, "alarm.event_id", _ALARM),
    Row(7, "Alarm/Since", _DATETIME, "alarm.since_utc", _STATE),
    Row(8, "Alarm/Peak area px", _INT32, "alarm.peak_area_px", _STATE),
    Row(20, "Event/Id", _STRING, "event.event_id", _ALARM),
    Row(21, "Event/Step", _STRING, "event.type", _ALARM),  # start | update | end
    Row(22, "Event/Sequence", _INT32, "event.sequence", _TELEMETRY),
    Row(23, "Event/Started", _DATETIME, "event.started_utc", _TELEMETRY),
    Row(24, "Event/Duration s", _DOUBLE, "event.duration_s", _TELEMETRY),
    Row(25, "Event/Area px", _INT32, "event.area_px", _TELEMETRY),
    Row(26, "Event/Peak area px", _INT32, "event.peak_area_px", _TELEMETRY),
    Row(27, "Event/Area share", _DOUBLE, "event.area_share", _TELEMETRY),
    Row(28, "Event/Confidence", _DOUBLE, "event.confidence", _TELEMETRY),
    Row(29, "Event/Contrast to noise", _DOUBLE, "event.cnr", _TELEMETRY),
    Row(30, "Event/Origin x px", _DOUBLE, "event.origin.0", _TELEMETRY),
    Row(31, "Event/Origin y px", _DOUBLE, "event.origin.1", _TELEMETRY),
    Row(32, "Event/Drift x px per s", _DOUBLE, "event.drift.0", _TELEMETRY),
    Row(33, "Event/Drift y px per s", _DOUBLE, "event.drift.1", _TELEMETRY),
    Row(40, "Plume/Area px", _INT32, "summary.area_px"),
    Row(41, "Plume/Area share", _DOUBLE, "summary.area_share", deadband=1e-5),
    Row(42, "Plume/Confidence", _DOUBLE, "summary.confidence", deadband=0.01),
    Row(43, "Plume/Contrast to noise", _DOUBLE, "summary.cnr", deadband=0.1),
    Row(44, "Plume/Noise", _DOUBLE, "summary.noise", deadband=0.1),
    Row(45, "Plume/Origin x px", _DOUBLE, "summary.origin.0", deadband=1.0),
    Row(46, "Plume/Origin y px", _DOUBLE, "summary.origin.1", deadband=1.0),
    Row(47, "Plume/Drift x px per s", _DOUBLE, "summary.drift.0", deadband=1.0),
    Row(48, "Plume/Drift y px per s", _DOUBLE, "summary.drift.1", deadband=1.0),
    Row(60, "Camera/Connected", _BOOLEAN, "quality.connected", _STATE, pictured=False),
    Row(61, "Camera/Quality", _STRING, "quality.word", _STATE, pictured=False),  # good | uncertain | bad
    Row(62, "Camera/Quality reasons", _STRING, "quality.reasons", _STATE, pictured=False),  # with commas
    Row(63, "Camera/Frames per second", _DOUBLE, "health.fps", deadband=0.5, pictured=False),
    Row(64, "Camera/Delay p95 ms", _DOUBLE, "health.latency_p95_ms", deadband=10.0, pictured=False),
    Row(65, "Camera/Dropped frames", _INT64, "health.dropped", pictured=False),
    Row(66, "Camera/Faults", _INT64, "health.faults", pictured=False),
)

WRITABLE = (
    Writable(100, "Alarm/Acknowledge", _BOOLEAN, "ack"),
    Writable(101, "Alarm/Shelve s", _DOUBLE, "shelve"),
    Writable(102, "Alarm/Unshelve", _BOOLEAN, "unshelve"),
    Writable(103, "Alarm/Suppress", _BOOLEAN, "suppress", otherwise="unsuppress"),
    Writable(104, "Alarm/Out of service", _BOOLEAN, "out_of_service", otherwise="in_service"),
    Writable(105, "Alarm/Reset", _BOOLEAN, "reset"),
)

NODE = (
    Row(10, "Properties/Software", _STRING, "status.software"),
    Row(11, "Properties/Model", _STRING, "status.model"),
    Row(12, "Properties/Model sha256", _STRING, "status.model_sha256"),
    Row(13, "Properties/Config hash", _STRING, "status.config_hash"),
    Row(14, "Clock/Synchronised", _BOOLEAN, "status.clock_synchronised"),
    Row(20, "Health/Memory MB", _DOUBLE, "health.rss_mb", deadband=5.0),
    Row(21, "Health/Backend", _STRING, "health.backend"),
    Row(30, "Outbox/Waiting", _INT64, "health.outbox.depth"),
    Row(31, "Outbox/On disk", _BOOLEAN, "health.outbox.on_disk"),
    Row(32, "Outbox/Fault", _STRING, "health.outbox.fault"),
)

_GROUPS = {"update": "event"}  # an event's update fills the rows of its start


def values(rows: Iterable[Row], kind: str, payload: Mapping[str, Any]) -> dict[int, Value]:
    """What one message says of the rows, by number. A figure of another type than its row's counts as unknown."""
    group = _GROUPS.get(kind, kind)
    found: dict[int, Value] = {}
    for row in rows:
        source, *path = row.source.split(".")
        if source == group and path[0] in payload:
            found[row.number] = _typed(_dig(payload, path), row.type)
    return found


def moment(text: Any) -> int | None:
    """2026-01-31T12:00:00.000Z as ms since the epoch; None for anything else."""
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (AttributeError, ValueError, OverflowError):
        return None
    return round(at * 1000) if at >= 0 else None


def _dig(value: Any, path: list[str]) -> Any:
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, (list, tuple)) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _typed(value: Any, type_: Type) -> Value:
    if type_ is Type.DATETIME:
        return moment(value)
    if not fits(value, type_):
        return None
    found: Value = float(value) if type_ is Type.DOUBLE else value
    return found
