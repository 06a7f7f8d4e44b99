"""Records as JSON: one shape for the broker and for `segment`'s files. `edge/schemas/` holds the JSON Schema of each.

Figures that are not finite become null: NaN is not JSON. Times are UTC in ISO 8601 with milliseconds. `quality` is
"good", "uncertain" (there is a picture; believe it with care) or "bad" (there is none), `reasons` says why. `held` says
that the alarm holds its state: always when bad, and where an uncertain picture cannot be laid over those before it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge.alarm import shelved_until_utc
from edge.annunciator import Outcome, Place, weight
from edge.command import Reply
from edge.downtime import Downtime
from edge.lifecycle import Transition
from edge.records import Event, Location, Provenance, Quality, Summary

Payload = dict[str, Any]
SCHEMAS = Path(__file__).parent / "schemas"


def encode(payload: Mapping[str, Any]) -> str:
    """One line of strict JSON."""
    return json.dumps(_finite(payload), allow_nan=False, separators=(",", ":"))


def summary(record: Summary, camera: str) -> Payload:
    """One frame's plume."""
    return {
        "camera": camera,
        "frame": record.index,
        "captured": record.captured,
        "utc": iso(record.utc),
        "width": record.width,
        "height": record.height,
        "area_px": record.area_px,
        "area_share": record.area_share,
        "box": record.box,
        "contour": record.contour,
        "centroid": record.centroid,
        "drift": record.drift,
        "origin": record.origin,
        "cnr": record.cnr,
        "confidence": record.confidence,
        "flicker": record.flicker,
        "noise": record.noise,
        **quality(record.quality),
    }


def event(record: Event) -> Payload:
    """One step in the life of a leak."""
    return {
        "type": record.type,
        "event_id": record.event_id,
        "sequence": record.sequence,
        "camera": record.camera,
        "zone": record.zone or None,
        "started_utc": iso(record.started_utc),
        "utc": iso(record.utc),
        "captured": record.captured,
        "frame": record.frame_index,
        "duration_s": record.duration_s,
        "area_px": record.area_px,
        "peak_area_px": record.peak_area_px,
        "area_share": record.area_share,
        "box": record.box,
        "contour": record.contour,
        "centroid": record.centroid,
        "origin": record.origin,
        "drift": record.drift,
        "cnr": record.cnr,
        "confidence": record.confidence,
        **quality(record.quality),
        "provenance": None if record.provenance is None else provenance(record.provenance),
        "snapshot_sha256": record.snapshot_sha256,
        "location": None if record.location is None else location(record.location),
    }


def location(record: Location) -> Payload:
    """A place on the ground."""
    longitude, latitude, altitude = record.camera
    return {
        "latitude": record.latitude,
        "longitude": record.longitude,
        "altitude_m": record.altitude,
        "semi_major_m": record.major_m,
        "semi_minor_m": record.minor_m,
        "azimuth_deg": record.azimuth,
        "outline": record.outline,
        "camera": {"latitude": latitude, "longitude": longitude, "altitude_m": altitude},
        "utc": _iso_or_none(record.utc),
        "incident_id": record.incident,
    }


def alarm(places: Sequence[Place], camera: str, utc: float, *, camera_lost: bool = False) -> Payload:
    """Where a camera's alarms stand: the worst of them, and each where there are zones. Raises ValueError for no place.

    A lost camera makes the quality bad and leaves the alarms as they were.
    """
    worst = max(places, key=weight)
    zones = [_standing(place, camera_lost) for place in places if place.alarm.zone]
    return {"camera": camera, **_standing(worst, camera_lost), "utc": iso(utc), "zones": zones}


def _standing(place: Place, camera_lost: bool) -> Payload:
    state, alarm = place.condition, place.alarm
    leak = state.leak if state.phase.alarming else None
    believed = quality(state.quality)
    if camera_lost:
        believed = {"quality": "bad", "held": True, "reasons": [*believed["reasons"], "camera_lost"]}
    return {
        "zone": alarm.zone or None,
        "state": state.phase.value,
        "active": state.phase.alarming,
        "event_id": leak.event_id if leak else None,
        "since_utc": iso(leak.started_utc) if leak else None,
        "peak_area_px": leak.peak_area_px if leak else 0,
        "alarm_state": alarm.state.value,
        "acknowledged": not alarm.state.unacknowledged,
        "alarm_sequence": alarm.sequence,
        "raised_by": alarm.event_id or None,
        "priority": alarm.priority.word if alarm.event_id else None,
        "shelved_until_utc": _iso_or_none(shelved_until_utc(alarm)),
        **believed,
    }


def alarm_event(record: Transition, made_by: Provenance | None = None) -> Payload:
    """One step of an alarm, by a leak, by an operator or by time."""
    return {
        "id": record.id,
        "sequence": record.sequence,
        "camera": record.camera,
        "zone": record.zone or None,
        "utc": iso(record.utc),
        "cause": record.cause.value,
        "from": record.before.value,
        "to": record.after.value,
        "priority": record.priority.word,
        "event_id": record.event_id or None,
        "active": record.standing,
        "area_share": record.area_share,
        "confidence": record.confidence,
        "shelved_until_utc": _iso_or_none(record.shelved_until_utc),
        "operator": record.operator,
        "command_id": record.command_id,
        "comment": record.comment,
        "provenance": None if made_by is None else provenance(made_by),
    }


def reply(record: Reply) -> Payload:
    """The answer to an operator's command."""
    return {
        "id": record.id,
        "command": record.command,
        "accepted": record.accepted,
        "reason": record.reason,
        "state": record.state,
        "utc": iso(record.utc),
    }


def messages(outcome: Outcome, made_by: Provenance) -> list[tuple[str, Payload]]:
    """What an Outcome says, each with its kind, for `Publisher.publish_all`."""
    said = [
        ("update" if one.type == "update" else "event", event(replace(one, provenance=made_by)))
        for one in outcome.events
    ]
    said += [("alarm_event", alarm_event(step, made_by)) for step in outcome.transitions]
    if outcome.reply is not None:
        said.append(("refusal" if outcome.reply.command is None else "reply", reply(outcome.reply)))
    return said


def downtime(record: Downtime) -> Payload:
    """A time in which a camera was not monitored: sent when it begins and, under the same id, when it is over."""
    return {
        "downtime_id": record.downtime_id,
        "camera": record.camera,
        "state": "open" if record.ended_utc is None else "closed",
        "started_utc": iso(record.started_utc),
        "ended_utc": None if record.ended_utc is None else iso(record.ended_utc),
        "duration_s": record.duration_s,
        "reasons": record.reasons,
    }


def status(device: str, state: str, reason: str | None, utc: float | None, made_by: Provenance) -> Payload:
    """Whether the device is there at all; as a last will it has no time, since nobody knows it beforehand."""
    return {
        "device": device,
        "state": state,
        "reason": reason,
        "utc": None if utc is None else iso(utc),
        **provenance(made_by),
    }


def provenance(record: Provenance) -> Payload:
    """Where the figures come from."""
    return {
        "model": record.model,
        "model_sha256": record.model_sha256,
        "config_hash": record.config_hash,
        "software": record.software,
        "clock_synchronised": record.clock_synchronised,
    }


def quality(flags: Quality) -> Payload:
    """A quality in one word, with its reasons, and whether the alarm holds its state over it."""
    word = "bad" if flags.blind else "uncertain" if flags else "good"
    return {"quality": word, "held": not flags.believable, "reasons": list(flags.names)}


def iso(utc: float) -> str:
    """Seconds since the epoch as 2026-01-31T12:00:00.000Z."""
    return datetime.fromtimestamp(utc, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _iso_or_none(utc: float | None) -> str | None:
    return None if utc is None else iso(utc)


def _finite(value: Any) -> Any:
    """The same value with every non-finite figure as null and the others rounded to what they can mean."""
    if isinstance(value, (str, int)) or value is None:  # most are, and a look for Mapping takes long
        return value
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return round(float(value), 6) if math.isfinite(value) else None
