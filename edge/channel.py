"""One camera under watch: what each of its frames, and its absence, means for the control room.

A lost camera is a fault, not the end of a leak: its alarms stay as they are, their quality turns bad.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from edge import downtime, payload, pipeline
from edge.annunciator import Annunciator, Outcome
from edge.capture import without_credentials
from edge.config import CameraSettings
from edge.downtime import STATE_KEY, Validity
from edge.errors import FgstpError
from edge.evidence import Keeper
from edge.geo import locator
from edge.health import CameraHealth, clock_synchronised
from edge.lifecycle import Cause, State
from edge.pipeline import Guided, Informed, MaskMaker
from edge.recorder import Recorder
from edge.records import Event, Frame, Provenance, Quality, Summary
from edge.rules import AlarmSettings, ZoneSettings
from edge.zones import ZonedSummariser

log = logging.getLogger("run")

Saved = Mapping[str, str]
REMEMBER_S = 60.0  # between two notes on disk that we are still watching


class Sink(Protocol):
    """Where messages go: one publisher, or several."""

    def publish(
        self, kind: str, payload: Mapping[str, Any], camera: str = "", save: Mapping[str, str | None] | None = None
    ) -> None: ...

    def publish_all(
        self,
        messages: list[tuple[str, payload.Payload]],
        camera: str = "",
        save: Mapping[str, str | None] | None = None,
    ) -> None:
        """Several at once, and what is to be remembered with them: on disk together or not at all."""

    def remember(self, save: Mapping[str, str | None]) -> None:
        """Keep states without a message."""


class Eye(Guided, Protocol):
    """A Segmenter, or what stands in for one."""

    def reset(self, *, keep_view: bool = False) -> None: ...

    def accept_view(self) -> None: ...


class Channel:
    """The state of one camera, and what is published of it. Frames come in the order of their capture."""

    def __init__(
        self,
        camera: CameraSettings,
        segmenter: Eye,
        rules: Mapping[str, AlarmSettings],
        made_by: Provenance,
        sink: Sink,
        keeper: Keeper,
        summary_every_s: float,
    ) -> None:
        """`rules` are the settings of each zone that is watched, as `edge.annunciator.rules` gives them."""
        self.name = camera.name
        self.health = CameraHealth()
        self._zones = camera.zones
        self._segmenter, self._summariser = segmenter, ZonedSummariser(camera.zones)
        self._annunciator = Annunciator(camera.name, rules)
        self._keeper, self._recorder = keeper, Recorder(camera.name, keeper)
        self._locator = locator.Locator(camera.geo, camera.source) if camera.geo else None
        self._masks: MaskMaker = Informed(segmenter, self._locator.motion) if self._locator else segmenter
        self._validity = Validity()
        self._made_by, self._sink = made_by, sink
        self._summary_every_s = summary_every_s
        self._next_summary = self._next_note = 0.0  # time.monotonic() when due

    def resume(self, saved: Saved) -> None:
        """Go on with what stood when the device stopped; say where the alarms stand."""
        say(restored(self._annunciator, self.name, saved), self.name, self._made_by, self._sink)
        for place in self._annunciator.places:
            if place.condition.phase.alarming and place.condition.leak is not None:
                log.info("camera %s: the leak that was open when we stopped goes on", self.name)
                self._keeper.opened(place.condition.leak.event_id)
        self._validity, record = watched_again(self.name, saved)
        self._note(record)
        self._say_standing()

    def take(self, frame: Frame, arrived: float) -> None:
        """One frame and its consequences; `arrived` on time.monotonic(). Raises FgstpError where the frame does not fit
        the camera's calibration, or the model fails."""
        step = pipeline.taken(self._masks.step(frame), self._summariser)
        found = not self.health.connected
        self.health.connected = True
        self._recorder.offer(step)
        outcome = self._annunciator.observe(time.time(), step.zones)
        if outcome.events:
            located = (self._located(event, step.summary) for event in outcome.events)
            outcome = replace(outcome, events=tuple(self._with_evidence(event) for event in located))
        self._say(outcome, always=found)
        self._monitor(step.summary.quality)
        now = time.monotonic()
        if now >= self._next_summary:
            self._next_summary = now + self._summary_every_s
            self._sink.publish("summary", payload.summary(step.summary, self.name), self.name)
        done = time.monotonic()
        self.health.done(done, done - arrived, step.summary.quality)

    def lost(self, error: FgstpError, wait: float | None) -> None:
        """The camera is gone, for `wait` seconds at least or for good: say so once, keep the alarms as they stand."""
        if self.health.connected:
            self.health.faults += 1
            then = "it is given up" if wait is None else f"next try in {wait:.0f} s"
            log.warning("camera %s lost: %s; %s", self.name, without_credentials(str(error)), then)
        self.health.connected = False
        self._segmenter.reset(keep_view=True)  # if it comes back with another view, somebody has knocked it
        self._summariser = ZonedSummariser(self._zones)
        self._recorder.interrupted()
        self._annunciator.interrupted()
        self._say_standing()

    def tick(self) -> None:
        """Let time pass, with frames or without: shelving ends by itself, a camera that is away is down."""
        self._say(self._annunciator.tick(time.time()))
        if not self.health.connected:
            self._monitor(Quality.GOOD)
        if (now := time.monotonic()) >= self._next_note:
            self._next_note = now + REMEMBER_S
            self._sink.remember(self._watching())

    def act(self, message: bytes) -> None:
        """Do what an operator asks, or say why not."""
        outcome = self._annunciator.act(message, time.time())
        reply = outcome.reply
        if reply is not None and not reply.accepted:
            log.warning("camera %s: refused %s: %s", self.name, reply.command or "a command", reply.reason)
        causes = {step.cause for step in outcome.transitions}
        if Cause.SNAPSHOT in causes:
            self._recorder.snapshot()
        if causes & {Cause.RESET, Cause.IN_SERVICE}:  # whoever worked at the camera says that it stands as it should
            self._segmenter.accept_view()
        self._say(outcome)

    def reload(
        self,
        camera: CameraSettings,
        rules: Mapping[str, AlarmSettings],
        made_by: Provenance,
        summary_every_s: float,
    ) -> None:
        """Go on by settings that were read again, of which only the zones, the rules and the rate may differ."""
        if [_drawn(zone) for zone in camera.zones] != [_drawn(zone) for zone in self._zones]:
            self._summariser = ZonedSummariser(camera.zones)
        self._zones, self._made_by = camera.zones, made_by
        self._summary_every_s, self._next_summary = summary_every_s, 0.0
        outcome = self._annunciator.reruled(rules, time.time())
        for event in outcome.events:
            self._recorder.leak_ended(event)
        self._say(outcome, always=True)

    def stop(self) -> None:
        """No frame will come any more."""
        if self._locator:
            self._locator.close()
        self._recorder.interrupted()
        self._sink.remember(self._watching())

    def report(self) -> payload.Payload:
        """This camera's part of the health message."""
        return {
            **self.health.report(time.monotonic()),
            "monitored": self._validity.valid,
            "downtime_s": self._validity.total_s,
        }

    def _located(self, event: Event, summary: Summary) -> Event:
        return self._locator.located(event, (summary.width, summary.height)) if self._locator else event

    def _with_evidence(self, event: Event) -> Event:
        """The event as it is to be sent; what shows it is on its way to the disk."""
        if event.type == "start":
            return self._recorder.leak_started(replace(event, provenance=self._made_by))
        if event.type == "end":
            self._recorder.leak_ended(event)
        else:
            self._recorder.leak_went_on(event)
        return event

    def _monitor(self, quality: Quality) -> None:
        """Note whether this camera is monitored at the moment, and why not."""
        out = all(place.alarm.state is State.OUT_OF_SERVICE for place in self._annunciator.places)
        present = downtime.reasons(quality, camera_lost=not self.health.connected, out_of_service=out)
        now, utc = time.monotonic(), time.time()
        self._validity, record = downtime.step(self._validity, now, utc, present, camera=self.name)
        self._note(record)

    def _note(self, record: downtime.Downtime | None) -> None:
        if record is not None:
            self._sink.publish("downtime", payload.downtime(record), self.name, save=self._watching())

    def _watching(self) -> dict[str, str | None]:
        return {STATE_KEY.format(camera=self.name): downtime.saved(self._validity, time.time())}

    def _say(self, outcome: Outcome, *, always: bool = False) -> None:
        say(outcome, self.name, self._made_by, self._sink)
        if outcome.changed or always:
            self._say_standing()

    def _say_standing(self) -> None:
        lost = not self.health.connected
        standing = payload.alarm(self._annunciator.places, self.name, time.time(), camera_lost=lost)
        self._sink.publish("alarm", standing, self.name)


def _drawn(zone: ZoneSettings) -> tuple[object, ...]:
    """What a zone's summaries depend on."""
    return zone.name, zone.kind, zone.polygon


def close(camera: str, saved: Saved, made_by: Provenance, sink: Sink) -> None:
    """End what was open at a camera that is watched no longer."""
    annunciator = Annunciator(camera, {})
    say(restored(annunciator, camera, saved), camera, made_by, sink)
    sink.publish("alarm", payload.alarm([annunciator.leading], camera, time.time()), camera)
    state, _ = watched_again(camera, saved)
    key = STATE_KEY.format(camera=camera)
    if (record := downtime.closed(state, time.time())) is not None:
        sink.publish("downtime", payload.downtime(record), camera, save={key: None})
    else:
        sink.remember({key: None})


def restored(annunciator: Annunciator, camera: str, saved: Saved) -> Outcome:
    """Load what the last run left; a state that cannot be read is said and passed over."""
    try:
        return annunciator.restore(saved, time.time())
    except ValueError as error:
        log.warning("the saved alarm of camera %s cannot be read: %s", camera, " ".join(str(error).split()))
        return Outcome()


def watched_again(camera: str, saved: Saved) -> tuple[Validity, downtime.Downtime | None]:
    """Whether the camera was watched until just now, and a record that opens where it was not."""
    text = saved.get(STATE_KEY.format(camera=camera))
    if text is None:
        return Validity(), None
    try:
        return downtime.resumed(text, time.time(), camera=camera)
    except ValueError as error:
        log.warning("the saved downtime of camera %s cannot be read: %s", camera, " ".join(str(error).split()))
        return Validity(), None


def say(outcome: Outcome, camera: str, made_by: Provenance, sink: Sink) -> None:
    """Publish what came of one input, all of it or nothing."""
    made_by = replace(made_by, clock_synchronised=clock_synchronised()) if outcome.events else made_by
    if messages := payload.messages(outcome, made_by):
        sink.publish_all(messages, camera, outcome.save)
    for event in outcome.events:
        if event.type != "update":
            _log(event)


def _log(event: Event) -> None:
    at = "" if event.origin is None else f" at {event.origin[0]:.0f},{event.origin[1]:.0f}"
    log.info("leak %s %s%s, %d px, event %s", event.type, event.camera, at, event.peak_area_px, event.event_id)
