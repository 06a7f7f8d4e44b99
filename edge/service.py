"""`fgstp-edge run`: camera -> pipeline -> alarm -> MQTT, for months. The only file that sees vision and transport.

A lost camera is a fault, not the end of a leak: the alarm keeps its state, its quality turns bad, and the camera is
tried again. A lost broker is the transport's business; monitoring goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from edge import __version__, camera, condition, payload, selftest
from edge.alarm import Alarm
from edge.annunciator import Place
from edge.capture import without_credentials
from edge.condition import Condition
from edge.config import Config
from edge.errors import SourceError
from edge.health import CameraHealth, Heartbeat, clock_synchronised, rss_mb
from edge.mqtt import Publisher
from edge.pipeline import Step, process
from edge.playback import Playback, is_live
from edge.records import Event, Provenance
from edge.segmenter import open_segmenter
from edge.summary import Summariser

log = logging.getLogger("run")

RETRY_S = (1.0, 30.0)  # first and longest wait before a lost camera is tried again


class Service:
    """One device with its camera. Raises ModelError, SelfTestError or ConfigError while it is made."""

    def __init__(self, config: Config, stop: threading.Event) -> None:
        self._config, self._stop = config, stop
        self._camera = config.cameras[0]
        model = config.model
        calibration = camera.load(self._camera.calibration) if self._camera.calibration else None
        self._settings = camera.alarm_settings(config.alarm, calibration)
        self._segmenter = open_segmenter(
            model.name, model.backend, model.threads, polarity=self._camera.polarity, calibration=calibration
        )
        if config.self_test:
            selftest.check(model.name, self._segmenter.backend.name)
        spec = self._segmenter.spec
        settings_hash = camera.settings_hash(config.hash, calibration)
        self._made_by = Provenance(spec.name, spec.sha256, settings_hash, __version__, clock_synchronised())
        will = self._status("offline", "connection_lost", None)
        self._publisher = Publisher(config.mqtt, config.device, will=will, outbox=config.outbox)
        self._heartbeat = Heartbeat()
        self._started = time.monotonic()
        self._alarm, self._resuming = Condition(), False
        self._health = CameraHealth()
        self._next_summary = self._next_health = 0.0  # time.monotonic() when due

    def run(self) -> None:
        """Watch until the recording ends or someone asks to stop; then say so. Raises SourceError, TransportError."""
        self._publisher.start()
        reason = "failed"
        try:
            self._publisher.publish("status", self._status("online", None, time.time()))
            self._resume()
            self._publish_alarm()
            self._heartbeat.ready()
            self._watch()
            reason = "stopped"
        except KeyboardInterrupt:
            reason = "stopped"
            raise
        finally:
            self._heartbeat.stopping()
            self._publish_health()
            self._publisher.close(self._status("offline", reason, time.time()))
            log.info("%s after %d frames", reason, self._health.frames)

    def _resume(self) -> None:
        """Leaks that were open when we last ran: go on with this camera's, end those of cameras we watch no longer."""
        for name, text in self._publisher.saved.items():
            try:
                state = condition.restored(text)
            except ValueError as error:
                log.warning("the saved alarm of camera %s cannot be read: %s", name, " ".join(str(error).split()))
                continue
            if name == self._camera.name:
                log.info("camera %s: the leak that was open when we stopped goes on", name)
                self._alarm, self._resuming = state, True
            else:
                self._publish_event(condition.abandoned(state, time.time(), camera=name), Condition())
                self._publisher.publish("alarm", payload.alarm([Place(Alarm(name))], name, time.time()), name)

    def _watch(self) -> None:
        """Frames for as long as there are any, over every fault of a live camera."""
        log.info("camera %s: %s", self._camera.name, without_credentials(self._camera.source))
        wait = RETRY_S[0]
        while not self._stop.is_set():
            playback = Playback(self._camera, self._stop)
            dropped = self._health.dropped
            frames = 0
            try:
                for step in process(playback, self._segmenter, Summariser()):
                    frames += 1
                    self._health.dropped = dropped + playback.dropped
                    self._take(step, playback.handed)
                return
            except SourceError as error:
                if not is_live(self._camera.source):
                    raise
                wait = RETRY_S[0] if frames else min(wait * 2, RETRY_S[1])
                self._lost(error, wait)
            self._pause(wait)
            self._segmenter.reset()

    def _take(self, step: Step, handed: float) -> None:
        """One frame's consequences."""
        before = self._alarm.phase, self._alarm.quality
        found = not self._health.connected
        self._health.connected = True
        if self._resuming:
            self._alarm, self._resuming = condition.resumed(self._alarm, step.summary), False
        self._alarm, events = condition.step(self._alarm, step.summary, self._settings, camera=self._camera.name)
        for event in events:
            self._publish_event(event, self._alarm)
        if found or (self._alarm.phase, self._alarm.quality) != before:
            self._publish_alarm()
        now = time.monotonic()
        if now >= self._next_summary:
            self._next_summary = now + self._config.mqtt.summary_every_s
            self._publisher.publish("summary", payload.summary(step.summary, self._camera.name), self._camera.name)
        done = time.monotonic()
        self._health.done(done, done - handed, step.summary.quality)
        self._routine(done)

    def _lost(self, error: SourceError, wait: float) -> None:
        """The camera is gone: say so once, keep the alarm as it stands."""
        if self._health.connected:
            self._health.faults += 1
            log.warning(
                "camera %s lost: %s; next try in %.0f s", self._camera.name, without_credentials(str(error)), wait
            )
        self._health.connected = False
        self._alarm = condition.interrupted(self._alarm)
        self._publish_alarm()

    def _pause(self, seconds: float) -> None:
        """Wait, alive."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until and not self._stop.is_set():
            self._routine(now)
            self._stop.wait(min(0.5, until - now))

    def _routine(self, now: float) -> None:
        if self._publisher.alive:
            self._heartbeat.beat()
        if now >= self._next_health:
            self._next_health = now + self._config.health.every_s
            self._publish_health()

    def _publish_event(self, event: Event, then: Condition) -> None:
        """An event, and the state that it leaves behind."""
        made_by = replace(self._made_by, clock_synchronised=clock_synchronised())
        said = payload.event(replace(event, provenance=made_by))
        kind = "update" if event.type == "update" else "event"
        self._publisher.publish(kind, said, event.camera, save={event.camera: condition.saved(then)})
        if event.type != "update":
            at = "" if event.origin is None else f" at {event.origin[0]:.0f},{event.origin[1]:.0f}"
            log.info("leak %s %s%s, %d px, event %s", event.type, event.camera, at, event.peak_area_px, event.event_id)

    def _publish_alarm(self) -> None:
        lost = not self._health.connected
        standing = payload.alarm(
            [Place(Alarm(self._camera.name), self._alarm)], self._camera.name, time.time(), camera_lost=lost
        )
        self._publisher.publish("alarm", standing, self._camera.name)

    def _publish_health(self) -> None:
        report = {
            "device": self._config.device,
            "utc": payload.iso(time.time()),
            "uptime_s": time.monotonic() - self._started,
            "rss_mb": rss_mb(),
            "outbox": self._publisher.waiting.report(),
            "backend": self._segmenter.backend.name,
            "cameras": {self._camera.name: self._health.report()},
        }
        self._publisher.publish("health", report)

    def _status(self, state: str, reason: str | None, utc: float | None) -> payload.Payload:
        return payload.status(self._config.device, state, reason, utc, self._made_by)


def run(config: Config, stop: threading.Event | None = None) -> None:
    """Run the device until its recording ends or `stop` is set."""
    Service(config, stop or threading.Event()).run()
