"""From plumes to leaks: a pure state machine, one per zone. No clock, no I/O; time is the frames' capture time.

    NORMAL ──plume──▶ PENDING ──lasts, in one place──▶ ACTIVE ──plume gone──▶ RETURNING ──stays gone──▶ NORMAL
                         └──── not for long ──▶ NORMAL      ◀──plume back──┘

PENDING is the on-delay, RETURNING the off-delay. Between ACTIVE and the end one event is open. A frame whose quality is
not believable stops the delays: it neither raises a leak, nor clears one, nor makes an event.

This is the *process condition* of ISA-18.2. What the operator makes of it (acknowledge, shelve, suppress, out of
service) is `edge.alarm`, driven by this one and not known here.
"""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass, replace

from edge.records import Event, Quality, Summary
from edge.rules import AlarmSettings

Box = tuple[int, int, int, int]
Where = tuple[str, str]  # camera, zone
_NAMESPACE = uuid.UUID(
    "5f0bcd6e-3b39-5d6a-9d4c-8f3f5b8f2f10"
)  # event ids are reproducible: the same footage, the same ids


class Phase(enum.Enum):
    """Where a leak stands."""

    NORMAL = "normal"
    PENDING = "pending"
    ACTIVE = "active"
    RETURNING = "returning"

    @property
    def alarming(self) -> bool:
        """Whether a leak stands: an event is open."""
        return self in (Phase.ACTIVE, Phase.RETURNING)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one believable frame contributed to the on-delay."""

    at: float  # on the alarm's clock
    box: Box | None  # of the plume's largest part; None: no plume


@dataclass(frozen=True, slots=True)
class Leak:
    """A plume that may become, or is, a leak."""

    since: float  # on the alarm's clock, as `last_seen` and `last_event`
    started_utc: float
    started_captured: float
    started_index: int
    last_seen: float
    box: Box  # where its largest part was seen last, on the ground
    peak_area_px: int
    event_id: str = ""  # from here on: only once it is raised
    sequence: int = 0
    last_event: float = 0.0


@dataclass(frozen=True, slots=True)
class Condition:
    """All that is remembered between two frames."""

    phase: Phase = Phase.NORMAL
    clock: float = 0.0  # seconds of believable footage so far
    captured: float | None = None  # of the previous frame, believable or not
    quality: Quality = Quality.GOOD
    leak: Leak | None = None  # None exactly in NORMAL
    window: tuple[Sighting, ...] = ()  # the believable frames of the last on-delay


def step(
    state: Condition, summary: Summary, settings: AlarmSettings, *, camera: str, zone: str = ""
) -> tuple[Condition, tuple[Event, ...]]:
    """Take one frame's summary; give the next state and at most one event. `zone` is "" for the whole view."""
    where = camera, zone
    elapsed = 0.0 if state.captured is None else max(0.0, summary.captured - state.captured)
    believable = summary.quality.believable
    clock = state.clock + elapsed if believable else state.clock
    phase, leak, window = state.phase, state.leak, state.window
    events: tuple[Event, ...] = ()
    if believable and phase.alarming:
        phase, leak, events = _while_open(state, clock, summary, settings, where)
    elif believable:
        phase, leak, window, events = _while_closed(state, clock, summary, settings, where)
    return Condition(phase, clock, summary.captured, summary.quality, leak, window), events


def interrupted(state: Condition) -> Condition:
    """The camera was lost: whatever time passes until its next frame counts for no delay."""
    return replace(state, captured=None)


def kept(state: Condition) -> Condition:
    """What a restart must know: an open leak with its delays, and nothing where none is open."""
    if not state.phase.alarming:
        return Condition()
    return replace(interrupted(state), quality=Quality.GOOD, window=())


def resumed(state: Condition, summary: Summary) -> Condition:
    """A kept state before its first frame, whose capture clock is another one: the leak's age comes from UTC."""
    assert state.leak is not None
    age = max(0.0, summary.utc - state.leak.started_utc)
    return replace(state, leak=replace(state.leak, started_captured=summary.captured - age))


def abandoned(state: Condition, utc: float, *, camera: str, zone: str = "") -> Event:
    """The end of an open leak that nobody will see any more, since its camera is watched no longer."""
    leak = state.leak
    assert leak is not None
    return Event(
        type="end",
        event_id=leak.event_id,
        sequence=leak.sequence + 1,
        camera=camera,
        started_utc=leak.started_utc,
        utc=utc,
        captured=leak.started_captured,
        frame_index=leak.started_index,
        duration_s=max(0.0, utc - leak.started_utc),
        area_px=0,
        peak_area_px=leak.peak_area_px,
        area_share=0.0,
        box=None,
        contour=(),
        centroid=None,
        origin=None,
        drift=None,
        cnr=float("nan"),
        confidence=0.0,
        quality=Quality.GAP,
        zone=zone,
    )


def _while_closed(
    state: Condition, clock: float, summary: Summary, settings: AlarmSettings, where: Where
) -> tuple[Phase, Leak | None, tuple[Sighting, ...], tuple[Event, ...]]:
    """NORMAL and PENDING: does a plume that is sure enough last, in one place?"""
    box, oldest = _counted(summary, settings), clock - settings.on_delay_s
    window = (*(seen for seen in state.window if seen.at > oldest), Sighting(clock, box))
    if not any(seen.box for seen in window):
        return Phase.NORMAL, None, window, ()
    if box is None:
        return state.phase, state.leak, window, ()
    leak = _seen(state.leak, clock, summary, box)
    # A bird or a vehicle leaves its earlier box behind: only sightings that overlap the present one count.
    here = sum(seen.box is not None and _overlap(seen.box, box) >= settings.min_overlap for seen in window)
    if clock - leak.since < settings.on_delay_s or here < settings.persistence * len(window):
        return Phase.PENDING, leak, window, ()
    name = f"{'/'.join(filter(None, where))}/{leak.started_utc:.6f}/{leak.started_index}"
    leak = replace(leak, event_id=str(uuid.uuid5(_NAMESPACE, name)), last_event=clock)
    return Phase.ACTIVE, leak, (), (_event("start", leak, summary, where),)


def _while_open(
    state: Condition, clock: float, summary: Summary, settings: AlarmSettings, where: Where
) -> tuple[Phase, Leak | None, tuple[Event, ...]]:
    """ACTIVE and RETURNING: is the plume still there, and is an update or the end due?"""
    leak = state.leak
    assert leak is not None
    box, phase = _counted(summary, settings, kept=True), Phase.RETURNING
    if box is not None and _overlap(leak.box, box) > 0:
        leak, phase = _seen(leak, clock, summary, box), Phase.ACTIVE
    over = phase is Phase.RETURNING and clock - leak.last_seen >= settings.off_delay_s
    if not over and clock - leak.last_event < settings.update_every_s:
        return phase, leak, ()
    leak = replace(leak, sequence=leak.sequence + 1, last_event=clock)
    event = _event("end" if over else "update", leak, summary, where)
    return (Phase.NORMAL, None, (event,)) if over else (phase, leak, (event,))


def _seen(leak: Leak | None, clock: float, summary: Summary, box: Box) -> Leak:
    """The leak after one more sighting; a new one where there was none."""
    if leak is None:
        start = (clock, summary.utc, summary.captured, summary.index)
        return Leak(*start, last_seen=clock, box=box, peak_area_px=summary.area_px)
    return replace(leak, last_seen=clock, box=box, peak_area_px=max(leak.peak_area_px, summary.area_px))


def _counted(summary: Summary, settings: AlarmSettings, *, kept: bool = False) -> Box | None:
    """Where the plume is, if it is large, certain and lively enough; to keep an open leak it need be less so."""
    area, confidence, flicker = settings.min_area_share, settings.min_confidence, settings.min_flicker
    if kept:
        area *= 1.0 - settings.area_deadband
        confidence *= 1.0 - settings.confidence_deadband
        flicker = 0.0
    enough = summary.area_share >= area and summary.confidence >= confidence and summary.flicker >= flicker
    return _place(summary) if enough else None


def _place(summary: Summary) -> Box | None:
    """The box of the plume's largest part, on the ground: specks elsewhere, a bird beside the plume, or the camera's
    own motion do not move it."""
    if not summary.contour:
        return summary.box
    xs, ys = zip(*summary.contour, strict=True)
    box = min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1
    return box if summary.view is None else _on_ground(box, summary.view)


def _on_ground(box: Box, view: tuple[float, ...]) -> Box:
    """The box around a box through a view (3, 3), row by row."""
    a, b, c, d, e, f, g, h, i = view
    x, y, width, height = box
    corners = [(u, v, g * u + h * v + i) for u in (x, x + width) for v in (y, y + height)]
    xs, ys = [(a * u + b * v + c) / w for u, v, w in corners], [(d * u + e * v + f) / w for u, v, w in corners]
    left, top = round(min(xs)), round(min(ys))
    return left, top, max(1, round(max(xs)) - left), max(1, round(max(ys)) - top)


def _overlap(a: Box, b: Box) -> float:
    """Intersection as a share of the smaller box, 0..1: a growing plume still lies over its earlier self."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    smaller = min(a[2] * a[3], b[2] * b[3])
    return width * height / smaller if width > 0 and height > 0 else 0.0


def _event(kind: str, leak: Leak, summary: Summary, where: Where) -> Event:
    return Event(
        type=kind,
        event_id=leak.event_id,
        sequence=leak.sequence,
        camera=where[0],
        started_utc=leak.started_utc,
        utc=summary.utc,
        captured=summary.captured,
        frame_index=summary.index,
        duration_s=max(0.0, summary.captured - leak.started_captured),
        area_px=summary.area_px,
        peak_area_px=leak.peak_area_px,
        area_share=summary.area_share,
        box=summary.box,
        contour=summary.contour,
        centroid=summary.centroid,
        origin=summary.origin,
        drift=summary.drift,
        cnr=summary.cnr,
        confidence=summary.confidence,
        quality=summary.quality,
        zone=where[1],
    )
