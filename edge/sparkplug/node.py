"""The edge node and its cameras as they stand, and every message that says so. Pure: times come in, messages go out.

A message is reported by exception: what changed since it was last said. What a birth says is the whole of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edge.sparkplug import table
from edge.sparkplug.codec import Metric, Payload, Type, Value, decode, encode, signed
from edge.sparkplug.command import REBIRTH
from edge.sparkplug.table import BAD, CAMERA, GOOD, NODE, STALE, WRITABLE, Row
from edge.store import Priority

NAMESPACE = "spBv1.0"
SEQUENCES = 256  # of seq and of bdSeq
STRIDE = 256  # aliases for each camera; the node has those below
_BDSEQ = 1  # its alias
_ROWS = {row.number: row for row in CAMERA}
_NODE_ROWS = {row.number: row for row in NODE}
_QUALITY = 0  # the row number that stands for the Quality property on the disk


@dataclass(frozen=True, slots=True)
class Publication:
    """One message for the broker; nothing of an edge node is retained."""

    topic: str
    body: bytes
    qos: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What one message changed of a camera ("": of the node)."""

    camera: str
    at: int  # when it was so, ms since the epoch
    values: Mapping[int, Value]  # by row number
    quality: int
    came: bool = False  # the camera was lost and is back
    went: bool = False  # the camera is lost

    @property
    def worth(self) -> Priority | None:
        """What it is worth in the outbox; None: it is not kept."""
        if not self.camera:
            return None
        return max((worth for n in self.values if (worth := _ROWS[n].worth) is not None), default=None)

    def saved(self) -> bytes:
        """For the disk: a payload without names, its aliases the row numbers."""
        metrics = (Metric(value, _ROWS[number].type, alias=number) for number, value in self.values.items())
        quality = Metric(self.quality, Type.INT32, alias=_QUALITY)
        return encode(Payload((quality, *metrics), timestamp=self.at))


def restored(camera: str, body: bytes) -> Change:
    """What `saved` wrote, without rows that this version does not have. Raises ValueError."""
    read = decode(body)
    quality, values = STALE, dict[int, Value]()
    for metric in read.metrics:
        if metric.alias == _QUALITY and isinstance(metric.value, int):
            quality = metric.value
        elif metric.alias in _ROWS:
            values[metric.alias] = signed(metric.value, _ROWS[metric.alias].type)
    if not values:
        raise ValueError("no metric in it")
    return Change(camera, read.timestamp or 0, values, quality)


@dataclass(slots=True)
class _Standing:
    """Of the node or of one camera."""

    rows: Mapping[int, Row]
    now: dict[int, Value] = field(default_factory=dict)
    said: dict[int, Value] = field(default_factory=dict)  # what the last birth or data made of it
    quality: int = STALE  # nothing was seen yet
    lost: bool = False

    def take(self, news: Mapping[int, Value]) -> dict[int, Value]:
        """Remember; give what differs from what was said by more than its row's deadband."""
        self.now.update(news)
        changed = {n: value for n, value in news.items() if _differs(self.said.get(n), value, self.rows[n].deadband)}
        self.said.update(changed)
        return changed


class EdgeNode:
    """Makes every payload of one Sparkplug session after the other."""

    def __init__(self, group: str, node: str, cameras: Iterable[str], *, typed: bool = False) -> None:
        """`typed`: data says the type of each value too, which the specification advises against."""
        self._group, self._name, self._typed = group, node, typed
        self._node = _Standing(_NODE_ROWS)
        self._cameras = {camera: _Standing(_ROWS) for camera in cameras}
        self._bases = {camera: STRIDE * (place + 1) for place, camera in enumerate(self._cameras)}
        self._bdseq = self._seq = 0

    @property
    def cameras(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._cameras)

    @property
    def commands(self) -> tuple[str, ...]:
        """The topics on which a host commands this node and its cameras."""
        return self.topic("NCMD"), *(self.topic("DCMD", camera) for camera in self._cameras)

    @property
    def lost(self) -> tuple[str, ...]:
        """The cameras that cannot be seen through."""
        return tuple(camera for camera, standing in self._cameras.items() if standing.lost)

    def topic(self, kind: str, camera: str = "") -> str:
        """namespace/group/kind/node[/camera]."""
        return "/".join((NAMESPACE, self._group, kind, self._name, *((camera,) if camera else ())))

    def addressed(self, topic: str) -> str | None:
        """Whom a command's topic means: a camera, "" for the node; None: nobody here."""
        if topic == self.topic("NCMD"):
            return ""
        return next((camera for camera in self._cameras if topic == self.topic("DCMD", camera)), None)

    def aliases(self, camera: str) -> dict[int, int]:
        """A camera's aliases with their row numbers, those of the writable rows included."""
        numbers = (*_ROWS, *(row.number for row in WRITABLE))
        return {self._bases[camera] + number: number for number in numbers}

    def observe(self, kind: str, payload: Mapping[str, Any], camera: str, now: int) -> tuple[Change, ...]:
        """Take one message that also goes to a JSON topic; give what it changed. Unknown kinds change nothing."""
        at = table.moment(payload.get("utc")) or now
        if camera:
            return self._observe_camera(kind, payload, camera, at)
        changes = []
        if changed := self._node.take(table.values(NODE, kind, payload)):
            changes.append(Change("", at, changed, GOOD))
        cameras = payload.get("cameras")
        for name, report in cameras.items() if isinstance(cameras, Mapping) else ():
            if isinstance(report, Mapping):  # its quality is that of its last frame: not news
                told = {key: value for key, value in report.items() if key not in ("quality", "reasons")}
                changes += self._observe_camera(kind, told, name, at)
        return tuple(changes)

    def will(self, bdseq: int) -> Publication:
        """The death certificate for the next CONNECT; the births that follow it carry the same number."""
        self._bdseq = bdseq
        return self.death()

    def death(self) -> Publication:
        """NDEATH: of the node, and with it of all its cameras."""
        metric = Metric(self._bdseq, Type.INT64, "bdSeq")
        return Publication(self.topic("NDEATH"), encode(Payload((metric,)), typed=True), qos=1)

    def birth(self, now: int) -> tuple[Publication, ...]:
        """NBIRTH and a DBIRTH for every camera, a lost one included: its values are stale but may be news."""
        self._seq = 0
        metrics = [
            Metric(self._bdseq, Type.INT64, "bdSeq", _BDSEQ, now),
            Metric(False, Type.BOOLEAN, REBIRTH, None, now),
            *(Metric(self._node.now.get(n), row.type, row.name, n, now) for n, row in _NODE_ROWS.items()),
        ]
        self._node.said = dict(self._node.now)
        born = Publication(self.topic("NBIRTH"), encode(self._next(metrics, now), typed=True))
        return born, *(self.camera_birth(camera, now) for camera in self._cameras)

    def camera_birth(self, camera: str, now: int) -> Publication:
        """DBIRTH: every metric of a camera."""
        standing, base = self._cameras[camera], self._bases[camera]
        standing.said = dict(standing.now)
        metrics = [
            Metric(standing.now.get(n), row.type, row.name, base + n, now, standing.quality if row.pictured else GOOD)
            for n, row in _ROWS.items()
        ]
        for writable in WRITABLE:
            idle: Value = False if writable.type is Type.BOOLEAN else 0.0
            metrics.append(Metric(idle, writable.type, writable.name, base + writable.number, now))
        return Publication(self.topic("DBIRTH", camera), encode(self._next(metrics, now), typed=True))

    def camera_death(self, camera: str, now: int) -> Publication:
        """DDEATH: what was said of this camera is stale."""
        return Publication(self.topic("DDEATH", camera), encode(self._next((), now)))

    def data(self, change: Change, now: int, *, historical: bool = False) -> Publication:
        """NDATA or DDATA: what changed, by alias. Raises KeyError for a camera that is not ours."""
        base = self._bases[change.camera] if change.camera else 0
        rows = _ROWS if change.camera else _NODE_ROWS
        metrics = []
        for number, value in change.values.items():
            metric = Metric(value, rows[number].type, None, base + number, change.at, historical=historical)
            quality = change.quality if rows[number].pictured else GOOD
            metrics.append(replace(metric, quality=quality) if change.camera else metric)
        kind = "DDATA" if change.camera else "NDATA"
        return Publication(self.topic(kind, change.camera), encode(self._next(metrics, now), typed=self._typed))

    def _observe_camera(self, kind: str, payload: Mapping[str, Any], camera: str, at: int) -> tuple[Change, ...]:
        standing = self._cameras.get(camera)
        if standing is None:
            return ()
        before, was_lost = standing.quality, standing.lost
        news = table.values(CAMERA, kind, payload) | self._quality(standing, kind, payload)
        changed = standing.take(news)
        if standing.quality != before:  # it stands beside each value, so each is said again
            again: dict[int, Value] = {n: v for n, v in standing.now.items() if _ROWS[n].pictured and v is not None}
            changed = again | changed
        came, went = was_lost and not standing.lost, standing.lost and not was_lost
        return (Change(camera, at, changed, standing.quality, came, went),) if changed or came or went else ()

    @staticmethod
    def _quality(standing: _Standing, kind: str, payload: Mapping[str, Any]) -> dict[int, Value]:
        """The rows of a camera's quality. Whether it is there, the alarm's message says, which is sent at once."""
        word, reasons = payload.get("quality"), payload.get("reasons")
        if not isinstance(word, str) or not isinstance(reasons, (list, tuple)):
            return {}
        if kind == "alarm":
            standing.lost = "camera_lost" in reasons
        elif standing.lost:
            return {}
        standing.quality = STALE if standing.lost else BAD if payload.get("held") else GOOD
        said = {"connected": not standing.lost, "word": word, "reasons": ",".join(map(str, reasons))}
        return table.values(CAMERA, "quality", said)

    def _next(self, metrics: Iterable[Metric], now: int) -> Payload:
        """A payload with the next sequence number."""
        seq, self._seq = self._seq, (self._seq + 1) % SEQUENCES
        return Payload(tuple(metrics), now, seq)


def _differs(said: Value, now: Value, deadband: float) -> bool:
    if isinstance(said, (int, float)) and isinstance(now, (int, float)) and deadband:
        return abs(now - said) > deadband
    return said != now
