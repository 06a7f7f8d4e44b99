"""When a camera was not monitored, and why: a pure fold, one per camera. Compliance asks for these records.

    valid ──reasons──▶ doubtful ──for long enough──▶ down ──none, for long enough──▶ valid
                           └───none before that───▶ valid

Reasons are a frame's quality flags, "camera_lost", "out_of_service" and whatever else the caller knows; "not_running"
is ours: the time between the last sign of life on disk and the next start. A shutter event of half a second makes no
record, and a camera that comes and goes makes one, not hundreds.

Times: `now` on a monotonic clock (differences count), `utc` for people. Over a restart only `utc` is left.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from edge.records import Quality

SETTLE_S = 2.0  # shorter losses are no downtime, shorter returns do not end one
STATE_KEY = "downtime/{camera}"  # among the outbox's saved states; a camera's name has no slash
_NAMESPACE = uuid.UUID("0f1d0a3e-6f0c-5c8e-9d63-2a5f6d0b7c41")  # the same downtime, the same id


@dataclass(frozen=True, slots=True)
class Downtime:
    """One record. It is sent when it opens and again when it is closed, under the same id."""

    downtime_id: str
    camera: str
    started_utc: float
    ended_utc: float | None  # None: still down
    duration_s: float | None
    reasons: tuple[str, ...]  # every one that applied, sorted


@dataclass(frozen=True, slots=True)
class Validity:
    """What is remembered of one camera."""

    invalid_at: float | None = None  # monotonic; None: valid, or was restored
    started_utc: float | None = None  # of the loss; None: valid
    reasons: frozenset[str] = frozenset()
    valid_at: float | None = None  # monotonic: since when it has been valid again, not long enough yet
    valid_utc: float = 0.0
    open: Downtime | None = None
    total_s: float = 0.0  # of the closed ones since the start

    @property
    def valid(self) -> bool:
        """Whether the camera is monitored at the moment, as far as we know."""
        return self.started_utc is None or self.valid_at is not None


@dataclass(frozen=True, slots=True)
class _Saved:
    seen_utc: float
    open: Downtime | None


_JSON = TypeAdapter(_Saved)


def reasons(quality: Quality, *, camera_lost: bool = False, out_of_service: bool = False) -> frozenset[str]:
    """Why monitoring is not valid at the moment; empty: it is."""
    doubts = () if quality.believable else quality.names
    others = (("camera_lost", camera_lost), ("out_of_service", out_of_service))
    return frozenset((*doubts, *(name for name, applies in others if applies)))


def step(
    state: Validity, now: float, utc: float, present: frozenset[str], *, camera: str
) -> tuple[Validity, Downtime | None]:
    """Take what applies now (nothing: monitoring is valid); give the next state and a record that opens or closes."""
    if not present:
        return _while_valid(state, now, utc)
    if state.started_utc is None:
        state = Validity(invalid_at=now, started_utc=utc, total_s=state.total_s)
    state = replace(state, reasons=state.reasons | present, valid_at=None)
    assert state.started_utc is not None
    if state.open is None and state.invalid_at is not None and now - state.invalid_at >= SETTLE_S:
        name = str(uuid.uuid5(_NAMESPACE, f"{camera}/{state.started_utc:.3f}"))
        opened = Downtime(name, camera, state.started_utc, None, None, tuple(sorted(state.reasons)))
        return replace(state, open=opened), opened
    return state, None


def saved(state: Validity, utc: float) -> str:
    """What a restart must know, as JSON: that we were alive at `utc`, and what was open."""
    return _JSON.dump_json(_Saved(utc, state.open)).decode()


def resumed(text: str, utc: float, *, camera: str) -> tuple[Validity, Downtime | None]:
    """The state at a start, from what `saved` wrote before it, and a record that opens. Raises ValueError."""
    before = _JSON.validate_json(text)
    if before.open is not None:  # it goes on, and the time between belongs to it
        why = frozenset(before.open.reasons) | {"not_running"}
        return Validity(started_utc=before.open.started_utc, reasons=why, open=before.open), None
    since = min(before.seen_utc, utc)  # the clock may have been set back
    if utc - since < SETTLE_S:
        return Validity(), None
    name = str(uuid.uuid5(_NAMESPACE, f"{camera}/{since:.3f}"))
    opened = Downtime(name, camera, since, None, None, ("not_running",))
    return Validity(started_utc=since, reasons=frozenset(opened.reasons), open=opened), opened


def closed(state: Validity, utc: float) -> Downtime | None:
    """The end of what is open, for a camera that is watched no longer."""
    return None if state.open is None else _end(state, utc, None)


def _while_valid(state: Validity, now: float, utc: float) -> tuple[Validity, Downtime | None]:
    if state.started_utc is None:
        return state, None
    if state.valid_at is None:
        state = replace(state, valid_at=now, valid_utc=utc)
    assert state.valid_at is not None
    if now - state.valid_at < SETTLE_S:
        return state, None
    if state.open is None:
        return Validity(total_s=state.total_s), None
    lasted = None if state.invalid_at is None else state.valid_at - state.invalid_at
    record = _end(state, state.valid_utc, lasted)
    return Validity(total_s=state.total_s + (record.duration_s or 0.0)), record


def _end(state: Validity, utc: float, lasted: float | None) -> Downtime:
    """The record as it closes; its duration comes from the monotonic clock where that ran all the time."""
    assert state.open is not None
    duration = max(0.0, utc - state.open.started_utc) if lasted is None else lasted
    return replace(state.open, ended_utc=utc, duration_s=duration, reasons=tuple(sorted(state.reasons)))
