"""One camera under watch: what each of its frames, and its absence, means for the control room.

A lost camera is a fault, not the end of a leak: the alarm keeps its state, its quality turns bad.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from edge import alarm, payload
from edge.alarm import Alarm
from edge.capture import without_credentials
from edge.config import AlarmSettings
from edge.errors import FgstpError
from edge.health import CameraHealth, clock_synchronised
from edge.mqtt import Publisher
from edge.pipeline import MaskMaker, Step
from edge.records import Event, Frame, Provenance
from edge.summary import Summariser

log = logging.getLogger("run")


class Channel:
    """The state of one camera, and what is published of it. Frames come in the order of their capture."""

    def __init__(
        self,
        name: str,
        segmenter: MaskMaker,
        settings: AlarmSettings,
        made_by: Provenance,
        publisher: Publisher,
        summary_every_s: float,
    ) -> None:
        self.name = name
        self.health = CameraHealth()
        self._segmenter, self._summariser = segmenter, Summariser()
        self._settings, self._made_by, self._publisher = settings, made_by, publisher
        self._alarm, self._resuming = Alarm(), False
        self._summary_every_s, self._next_summary = summary_every_s, 0.0  # time.monotonic() when due

    def resume(self, saved: str | None) -> None:
        """Go on with the leak that was open when the device stopped, if one was; say where the alarm stands."""
        if saved is not None and (state := _read(saved, self.name)) is not None:
            log.info("camera %s: the leak that was open when we stopped goes on", self.name)
            self._alarm, self._resuming = state, True
        self._publish_alarm()

    def take(self, frame: Frame, arrived: float) -> None:
        """One frame and its consequences; `arrived` on time.monotonic(). Raises FgstpError where the frame does not fit
        the camera's calibration, or the model fails."""
        step = Step(segmentation := self._segmenter.step(frame), self._summariser.step(segmentation))
        before = self._alarm.phase, self._alarm.quality
        found = not self.health.connected
        self.health.connected = True
        if self._resuming:
            self._alarm, self._resuming = alarm.resumed(self._alarm, step.summary), False
        self._alarm, events = alarm.step(self._alarm, step.summary, self._settings, camera=self.name)
        for event in events:
            self._publish_event(event, self._alarm)
        if found or (self._alarm.phase, self._alarm.quality) != before:
            self._publish_alarm()
        now = time.monotonic()
        if now >= self._next_summary:
            self._next_summary = now + self._summary_every_s
            self._publisher.publish("summary", payload.summary(step.summary, self.name), self.name)
        done = time.monotonic()
        self.health.done(done, done - arrived, step.summary.quality)

    def lost(self, error: FgstpError, wait: float | None) -> None:
        """The camera is gone, for `wait` seconds at least or for good: say so once, keep the alarm as it stands."""
        if self.health.connected:
            self.health.faults += 1
            then = "it is given up" if wait is None else f"next try in {wait:.0f} s"
            log.warning("camera %s lost: %s; %s", self.name, without_credentials(str(error)), then)
        self.health.connected = False
        self._segmenter.reset()
        self._summariser = Summariser()
        self._alarm = alarm.interrupted(self._alarm)
        self._publish_alarm()

    def _publish_event(self, event: Event, then: Alarm) -> None:
        """An event, and the state that it leaves behind."""
        publish_event(self._publisher, event, self._made_by, alarm.saved(then))

    def _publish_alarm(self) -> None:
        lost = not self.health.connected
        standing = payload.alarm(self._alarm, self.name, time.time(), camera_lost=lost)
        self._publisher.publish("alarm", standing, self.name)


def close_leak(publisher: Publisher, camera: str, saved: str, made_by: Provenance) -> None:
    """End the leak that was open at a camera that is watched no longer."""
    if (state := _read(saved, camera)) is not None:
        publish_event(publisher, alarm.abandoned(state, time.time(), camera=camera), made_by, None)
        publisher.publish("alarm", payload.alarm(Alarm(), camera, time.time()), camera)


def publish_event(publisher: Publisher, event: Event, made_by: Provenance, saved: str | None) -> None:
    """Send an event through the outbox, and keep beside it what a restart must know."""
    made_by = replace(made_by, clock_synchronised=clock_synchronised())
    said = payload.event(replace(event, provenance=made_by))
    kind = "update" if event.type == "update" else "event"
    publisher.publish(kind, said, event.camera, save={event.camera: saved})
    if event.type != "update":
        at = "" if event.origin is None else f" at {event.origin[0]:.0f},{event.origin[1]:.0f}"
        log.info("leak %s %s%s, %d px, event %s", event.type, event.camera, at, event.peak_area_px, event.event_id)


def _read(saved: str, camera: str) -> Alarm | None:
    try:
        return alarm.restored(saved)
    except ValueError as error:
        log.warning("the saved alarm of camera %s cannot be read: %s", camera, " ".join(str(error).split()))
        return None
