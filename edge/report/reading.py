"""What lies in a folder, as a flight: its leaks with their history and evidence, put together by incident."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import StorageError

Message = dict[str, Any]  # an event, as edge/schemas/event.json has it


@dataclass(frozen=True, slots=True)
class Way:
    """Where one camera was."""

    camera: str
    places: list[tuple[float, float, float]]  # longitude, latitude, altitude
    times: list[str]


@dataclass(frozen=True, slots=True)
class Leak:
    """One event_id."""

    steps: tuple[Message, ...]  # its messages, in order; of an open leak in a device's evidence only the first
    evidence: Path | None  # the folder with its still and clip

    @property
    def id(self) -> str:
        """Its event_id."""
        return str(self.steps[0]["event_id"])

    @property
    def best(self) -> Message:
        """The message to show: the last, with the best known place and the highest confidence of all."""
        located = [step["location"] for step in self.steps if step["location"] is not None]
        place = min(located, key=_ellipse, default=None)
        return {**self.steps[-1], "location": place, "confidence": self.confidence}

    @property
    def seen(self) -> tuple[str, str]:
        """When first and last, ISO 8601; by the clock of the poses where the frames knew none."""
        return _when(self.steps[0]), _when(self.steps[-1])

    @property
    def confidence(self) -> float:
        """The highest that was told."""
        return max(step["confidence"] or 0.0 for step in self.steps)


@dataclass(frozen=True, slots=True)
class Incident:
    """Leaks at one place."""

    leaks: tuple[Leak, ...]  # in the order of their starts

    @property
    def confidence(self) -> float:
        """That of its surest leak."""
        return max(leak.confidence for leak in self.leaks)

    @property
    def place(self) -> Message | None:
        """The best known of its leaks' locations."""
        return min((p for leak in self.leaks if (p := leak.best["location"]) is not None), key=_ellipse, default=None)


@dataclass(frozen=True, slots=True)
class Flight:
    """All that a report is made of."""

    name: str
    incidents: tuple[Incident, ...]  # the surest first
    ways: tuple[Way, ...]

    @property
    def leaks(self) -> list[Leak]:
        """Of all incidents."""
        return [leak for incident in self.incidents for leak in incident.leaks]


def read(folder: Path) -> Flight:
    """Raises StorageError where there is nothing to report on, or what there is is damaged."""
    if not folder.is_dir():
        raise StorageError(f"{folder}: no such folder; name the one that segment wrote, or a device's evidence")
    recorded = folder / "events.jsonl"
    evidence = {message["event_id"]: (message, file.parent) for file, message in _evidence(folder)}
    if not evidence and not recorded.is_file():
        raise StorageError(f"{folder}: no events.jsonl or event.json in it; name what segment wrote, or evidence")
    steps: dict[str, list[Message]] = {}
    for message in _lines(recorded):
        steps.setdefault(message["event_id"], []).append(message)
    for event_id, (message, place) in evidence.items():
        steps.setdefault(event_id, list(_lines(place / "events.jsonl")) or [message])
    leaks = [
        Leak(tuple(sorted(told, key=_sequence)), evidence[event_id][1] if event_id in evidence else None)
        for event_id, told in steps.items()
    ]
    leaks.sort(key=lambda leak: leak.seen)
    return Flight(folder.resolve().name, _incidents(leaks), tuple(_ways(folder, leaks)))


def _incidents(leaks: Iterable[Leak]) -> tuple[Incident, ...]:
    """By the id that the camera gave; a leak without a place is an incident of its own."""
    found: dict[str, list[Leak]] = {}
    for leak in leaks:
        place = leak.best["location"]
        found.setdefault(leak.id if place is None else place["incident_id"], []).append(leak)
    return tuple(sorted((Incident(tuple(of)) for of in found.values()), key=lambda one: -one.confidence))


def _ways(folder: Path, leaks: Iterable[Leak]) -> Iterator[Way]:
    """As `segment` wrote them, else from where the leaks were seen."""
    file = folder / "flight.geojson"
    if file.is_file():
        for feature in _json(file, file.read_text(encoding="utf-8"))["features"]:
            said = feature["properties"]
            if said["kind"] == "track":
                yield Way(said["camera"], [(x, y, z) for x, y, z in feature["geometry"]["coordinates"]], said["times"])
        return
    seen: dict[str, Way] = {}
    located = [step for leak in leaks for step in leak.steps if step["location"] is not None]
    for step in sorted(located, key=lambda step: str(step["utc"])):
        at = step["location"]["camera"]
        way = seen.setdefault(step["camera"], Way(step["camera"], [], []))
        way.places.append((at["longitude"], at["latitude"], at["altitude_m"]))
        way.times.append(step["utc"])
    yield from seen.values()


def _evidence(folder: Path) -> Iterator[tuple[Path, Message]]:
    for file in sorted(folder.rglob("event.json")):
        yield file, _event(file, file.read_text(encoding="utf-8"))


def _lines(file: Path) -> Iterator[Message]:
    """Nothing where there is no such file: a leak that is not over has only its start on disk."""
    if not file.is_file():
        return
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        yield _event(f"{file}:{number}", line)


def _event(where: object, text: str) -> Message:
    """One message; those of versions before this one have no location."""
    said = _json(where, text)
    if not {"event_id", "sequence", "camera", "started_utc", "utc", "confidence"} <= said.keys():
        raise StorageError(f"{where}: not an event; take it away, or run segment again")
    return {"location": None, **said}


def _json(where: object, text: str) -> Message:
    try:
        said = json.loads(text)
    except ValueError as error:
        raise StorageError(f"{where}: not JSON: {error}; take it away, or run segment again") from error
    return said if isinstance(said, dict) else {}


def _when(message: Message) -> str:
    place = message["location"] or {}
    return str(place.get("utc") or message["utc"])


def _sequence(message: Message) -> int:
    return int(message["sequence"])


def _ellipse(place: Message) -> float:
    return float(place["semi_major_m"] * place["semi_minor_m"])
