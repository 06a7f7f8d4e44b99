"""`fgstp-edge segment`: footage in; masks, summaries, events and, if wanted, an overlay video out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import cv2

from edge import __version__, camera, capture, cluster, condition, overlay, payload
from edge.camera import CameraCalibration
from edge.capture import SourceOptions
from edge.capture.credentials import find
from edge.condition import Condition
from edge.config import EvidenceSettings
from edge.errors import BrokenSource, ConfigError, StorageError
from edge.evidence import Keeper
from edge.geo import geojson
from edge.geo.locator import Locator
from edge.geo.pose import Pose
from edge.health import clock_synchronised
from edge.pipeline import Informed, Step, process
from edge.progress import progress
from edge.recorder import Recorder
from edge.records import Event, Provenance, Summary
from edge.rendering import PLAIN, Rendering
from edge.rules import AlarmSettings
from edge.segmenter import Segmenter, open_segmenter
from edge.summary import Summariser
from edge.vantage import GeoSettings

WAY_S = 1.0  # between two places of the camera's way in flight.geojson
PATIENCE_S = 60.0  # for the stills and clips that wait for the disk at the end


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run over a piece of footage gave."""

    frames: int
    leaks: int  # events that started
    out: Path


def segment(
    source: str,
    out: Path,
    *,
    model: str = "student.int8",
    backend: str = "auto",
    threads: int = 1,
    with_overlay: bool = False,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    settings: AlarmSettings | None = None,
    rendering: Rendering = PLAIN,
    calibration: CameraCalibration | None = None,
    geo: GeoSettings | None = None,
    with_evidence: bool = False,
) -> Outcome:
    """Run the whole pipeline over `source` and write what it says below `out`.

    `masks/000000.png` … (0 or 255, source resolution), `summaries.jsonl`, `events.jsonl` and, with `with_overlay`,
    `overlay.mp4`, with `geo` `flight.geojson`, with `with_evidence` stills and clips below `leaks`; results of an
    earlier run there are replaced. Raises SourceError, ModelError, StorageError, or ConfigError for a calibration of
    another model or size; of a source that breaks in the middle everything up to there is kept, and the BrokenSource
    says how much.
    """
    locator = None if geo is None else Locator(geo, source)
    settings = camera.alarm_settings(settings or AlarmSettings(), calibration)
    with capture.open(source, SourceOptions(fps, size, credentials=find(None, None))) as footage:
        if calibration is None:
            segmenter = open_segmenter(model, backend, threads, rendering=rendering)
        else:
            calibration.check_size(footage.size)
            segmenter = open_segmenter(
                model,
                backend,
                threads,
                polarity=calibration.polarity,
                rendering=rendering,
                calibration=calibration,
            )
        made_by = _provenance(segmenter, settings, calibration)
        flown = segmenter if locator is None else Informed(segmenter, locator.motion)
        done = leaks = 0
        writers = Results(out, footage.fps, with_overlay), Leaks(out, footage.name, locator, with_evidence)
        with writers[0] as results, writers[1] as places, progress("segment", footage.frames) as tick:
            state = Condition()
            try:
                for step in process(footage, flown, Summariser()):
                    state, events = condition.step(state, step.summary, settings, camera=footage.name)
                    events = places.take(step, [replace(event, provenance=made_by) for event in events])
                    results.write(step, state, events, footage.name)
                    done += 1
                    leaks += sum(event.type == "start" for event in events)
                    tick()
            except BrokenSource as error:
                raise BrokenSource(f"{error}; the {done} frames before it are kept in {out}") from error
    return Outcome(done, leaks, out)


def segment_many(sources: Sequence[str], out: Path, scheduler: str | None = None, **how: Any) -> Iterator[Outcome]:
    """`segment` for each of `sources`, into a folder of its name below `out`: one after the other, or side by side on
    the Dask cluster at `scheduler`, whose workers see the same files. Raises as `segment` and `cluster.run`."""
    places = [out.resolve() / Path(source).stem for source in sources]
    if twice := {place.name for place in places if places.count(place) > 1}:
        raise ConfigError(f"two of the sources are called {min(twice)}; segment them into different --out folders")
    named = [str(Path(source).resolve()) if Path(source).exists() else source for source in sources]
    call = partial(segment, **how)
    if scheduler is None:
        yield from map(call, named, places)
    else:
        yield from cluster.run(scheduler, [(call, *one) for one in zip(named, places, strict=True)])


class Results:
    """The output folder. Every failure to write is a StorageError that names the file."""

    def __init__(self, out: Path, fps: float, with_overlay: bool) -> None:
        self._out, self._fps, self._with_overlay = out, fps, with_overlay
        self._video: Any = None
        self._lines: dict[str, TextIO] = {}

    def __enter__(self) -> Results:
        with _storage(self._out):
            masks = self._out / "masks"
            masks.mkdir(parents=True, exist_ok=True)
            stale = [*masks.glob("[0-9]*.png"), self._out / "overlay.mp4"]
            for file in stale:
                file.unlink(missing_ok=True)
            for name in ("summaries", "events"):
                self._lines[name] = (self._out / f"{name}.jsonl").open("w", encoding="utf-8")
        return self

    def write(self, step: Step, state: Condition, events: Iterable[Event], camera: str) -> None:
        """One frame's share."""
        mask = self._out / "masks" / f"{step.summary.index:06d}.png"
        with _storage(mask):
            mask.write_bytes(cv2.imencode(".png", step.segmentation.mask)[1].tobytes())
        with _storage(self._out):
            self._lines["summaries"].write(payload.encode(payload.summary(step.summary, camera)) + "\n")
            for event in events:
                self._lines["events"].write(payload.encode(payload.event(event)) + "\n")
        if self._with_overlay:
            self._draw(step, state)

    def _draw(self, step: Step, state: Condition) -> None:
        path = self._out / "overlay.mp4"
        segmentation, summary = step.segmentation, step.summary
        if self._video is None:
            shape = overlay.size(summary.width, summary.height)
            self._video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, shape)
            if not self._video.isOpened():
                raise StorageError(f"{path}: cannot write a video here; check the disk, or run without --overlay")
        event_id = state.leak.event_id if state.leak else ""
        self._video.write(overlay.draw(segmentation.frame.image, segmentation.mask, summary, state.phase, event_id))

    def __exit__(self, *_: object) -> None:
        if self._video is not None:
            self._video.release()
        with _storage(self._out):
            for file in self._lines.values():
                file.close()


class Leaks:
    """What becomes of events beside `events.jsonl`: their place on the map, their stills and clips."""

    def __init__(self, out: Path, camera: str, locator: Locator | None, with_evidence: bool) -> None:
        self._out, self._camera, self._locator = out, camera, locator
        self._keeper = None
        if with_evidence:
            self._keeper = Keeper("segment", EvidenceSettings(path=out / "leaks"), lambda *_: None)
            self._recorder = Recorder(camera, self._keeper)
        self._way: list[tuple[tuple[float, float, float], str]] = []  # longitude, latitude, altitude; time
        self._seen = -math.inf  # when the camera's place was noted
        self._last: dict[str, Event] = {}  # of each leak

    def __enter__(self) -> Leaks:
        with _storage(self._out):
            (self._out / "flight.geojson").unlink(missing_ok=True)
            shutil.rmtree(self._out / "leaks", ignore_errors=True)
        if self._keeper is not None:
            self._keeper.start()
        return self

    def take(self, step: Step, events: Sequence[Event]) -> tuple[Event, ...]:
        """One frame and its events; the events with what is known of them."""
        summary = step.summary
        if self._locator is not None:
            self._note(self._locator.pose(summary.captured, summary.index), summary)
            events = [self._locator.located(event, (summary.width, summary.height)) for event in events]
        if self._keeper is not None:
            self._recorder.offer(step)
            events = [self._recorder.leak_started(event) if event.type == "start" else event for event in events]
        self._last.update({event.event_id: event for event in events})
        return tuple(events)

    def _note(self, pose: Pose | None, summary: Summary) -> None:
        if pose is not None and summary.captured >= self._seen + WAY_S:
            self._seen = summary.captured
            self._way.append(
                (
                    (pose.longitude, pose.latitude, pose.altitude),
                    payload.iso(summary.utc if pose.utc is None else pose.utc),
                )
            )

    def __exit__(self, *_: object) -> None:
        if self._keeper is not None:
            self._recorder.interrupted()
            self._keeper.close(PATIENCE_S)
        if self._locator is not None:
            self._locator.close()
            features = geojson.track([way for way, _ in self._way], [time for _, time in self._way], self._camera)
            for event in self._last.values():
                features += geojson.leak(payload.event(event))
            with _storage(self._out):
                text = json.dumps(geojson.collection(features), allow_nan=False)
                (self._out / "flight.geojson").write_text(text + "\n", encoding="utf-8")


@contextlib.contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{error.filename or path}: cannot write: {error.strerror}; free some space or choose another --out"
        ) from error


def _provenance(segmenter: Segmenter, settings: AlarmSettings, calibration: CameraCalibration | None) -> Provenance:
    spec = segmenter.spec
    own = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()
    return Provenance(spec.name, spec.sha256, camera.settings_hash(own, calibration), __version__, clock_synchronised())
