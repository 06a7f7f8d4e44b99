"""`fgstp-edge run`: cameras -> pipeline -> alarms -> MQTT, for months. The only file that sees vision and transport.

Each camera has a thread that waits for its frames (`edge.feed`); one thread computes them all with one model, always
of the camera that has waited longest. So delay stays below two rounds of the cameras however many there are, what
cannot be computed is dropped and counted, and a camera that fails costs the others nothing. A lost broker is the
transport's business; monitoring goes on.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from dataclasses import replace

from edge import __version__, camera, channel, payload, selftest
from edge.annunciator import rules
from edge.backend import Backend
from edge.camera import CameraCalibration
from edge.capture import without_credentials
from edge.channel import Channel
from edge.config import CameraSettings, Config
from edge.contract import ModelSpec
from edge.errors import ConfigError, FgstpError
from edge.evidence import Keeper
from edge.feed import Arrival, Ended, Feed, Lost
from edge.health import Heartbeat, clock_synchronised, rss_mb, temperatures
from edge.homeassistant import discovery
from edge.mqtt import Publisher
from edge.records import Provenance
from edge.reload import Difference, Reread, difference, without_value
from edge.rules import AlarmSettings
from edge.segmenter import Segmenter, load_model
from edge.transports import Transports, sparkplug_for
from edge.watchdog import Watchdog

log = logging.getLogger("run")

NAP_S = 0.5  # the longest wait for a frame before the heartbeat's turn
LOOP_S = 30.0  # a round of the frame loop, or one inference, that takes longer is a fault
ASKED = 100  # operators' commands that may wait for their turn
PATIENCE_S = 2.0  # for the camera threads at the end, all together: one may hang in a camera that does not answer


class Post:
    """One camera's thread and the channel that its frames go to."""

    def __init__(self, feed: Feed, channel: Channel, calibration: CameraCalibration | None) -> None:
        self.feed, self.channel, self.calibration = feed, channel, calibration
        self.served = 0.0  # time.monotonic() of its last turn
        self.over = False  # no frame will come any more
        self.error: FgstpError | None = None  # why


class Service:
    """One device with its cameras. Raises ModelError, SelfTestError or ConfigError while it is made."""

    def __init__(self, config: Config, stop: threading.Event, file: Reread | None = None) -> None:
        """`file` is where the configuration came from, to be read again when somebody asks."""
        self._config, self._stop, self._file = config, stop, file
        self._mistakes: list[str] = []  # of the file as it was read again last
        spec, self._backend = load_model(config.model.name, config.model.backend, config.model.threads)
        segmenters = [segmenter_for(one, spec, self._backend) for one in config.cameras]
        if config.self_test:
            selftest.verify(Segmenter(spec, self._backend))
        self._made_by = Provenance(spec.name, spec.sha256, config.hash, __version__, clock_synchronised())
        self._started = time.monotonic()
        self._arrived = threading.Condition()
        self._asked: queue.Queue[tuple[str, bytes]] = queue.Queue(ASKED)  # camera, command
        will = self._status("offline", "connection_lost", None)
        self._publisher = Publisher(
            config.mqtt, config.device, will=will, outbox=config.outbox, on_command=self._on_command
        )
        names = [one.name for one in config.cameras]
        if config.mqtt.home_assistant is not None:
            self._publisher.announce(discovery(config.mqtt.home_assistant.prefix, config.device, names))
        self._sparkplug = sparkplug_for(config, names, self._on_command)
        self._transports = Transports(self._publisher, self._sparkplug)
        self._keeper = Keeper(config.device, config.evidence, self._publisher.publish)
        self._heartbeat = Heartbeat()
        self._watchdog = Watchdog(self._heartbeat)
        self._posts = [self._post(one, made) for one, made in zip(config.cameras, segmenters, strict=True)]
        self._report: payload.Payload = self._health()
        self._next_health = self._next_tick = 0.0  # time.monotonic() when due

    def run(self) -> None:
        """Watch until every recording has ended or someone asks to stop; then say so. Raises TransportError, and the
        SourceError of the first camera that failed for good when no other is left."""
        self._publisher.start()
        reason = "failed"
        with contextlib.ExitStack() as others:
            self._start_others(others)
            try:
                self._transports.publish("status", self._status("online", None, time.time()))
                self._resume()
                self._heartbeat.ready()
                self._watch()
                reason = "stopped"
            except KeyboardInterrupt:
                reason = "stopped"
                raise
            finally:
                self._leave(reason)

    def _start_others(self, others: contextlib.ExitStack) -> None:
        """What works beside the frame loop, and how it ends."""
        if (settings := self._config.health.prometheus) is not None:
            from edge import prometheus  # its library is loaded only where it is wanted

            others.callback(prometheus.serve(settings, lambda: self._report))
        if self._sparkplug is not None:
            self._sparkplug.start()
        self._keeper.start()
        self._watchdog.register("the frame loop", LOOP_S)
        self._watchdog.require("the outbox", lambda: self._publisher.alive)
        if (sparkplug := self._sparkplug) is not None:
            self._watchdog.require("Sparkplug's outbox", lambda: sparkplug.alive)
        for post in self._posts:
            self._require(post)
        self._watchdog.start()

    def _require(self, post: Post) -> None:
        self._watchdog.require(f"camera {post.channel.name}", lambda: post.feed.alive)

    def _leave(self, reason: str) -> None:
        """Stop everything, the transports last: what the others still have to say goes out."""
        self._heartbeat.stopping()
        self._watchdog.stop()
        self._stop.set()
        leave_by = time.monotonic() + PATIENCE_S
        for post in self._posts:
            post.feed.join(max(0.0, leave_by - time.monotonic()))
            post.channel.stop()
        self._keeper.close(PATIENCE_S)
        self._publish_health()
        farewell = self._status("offline", reason, time.time())
        if self._sparkplug is not None:
            self._sparkplug.close(farewell)
        self._publisher.close(farewell)
        log.info("%s after %d frames", reason, sum(post.channel.health.frames for post in self._posts))

    def _post(self, settings: CameraSettings, segmenter: Segmenter) -> Post:
        calibration = segmenter.calibration
        made = Channel(
            settings,
            segmenter,
            *self._terms(settings, calibration),
            self._transports,
            self._keeper,
            self._config.mqtt.summary_every_s,
        )
        return Post(Feed(settings, self._stop, self._arrived), made, calibration)

    def _terms(
        self, settings: CameraSettings, calibration: CameraCalibration | None
    ) -> tuple[dict[str, AlarmSettings], Provenance]:
        """What one camera's alarms go by, and what its events say of it."""
        made_by = replace(self._made_by, config_hash=camera.settings_hash(self._config.hash, calibration))
        return rules(settings, camera.alarm_settings(self._config.alarm, calibration)), made_by

    def _resume(self) -> None:
        """What stood when we last ran: go on with it at our cameras, end it at those that we watch no longer."""
        saved = self._publisher.saved
        for post in self._posts:
            post.channel.resume(saved)
        ours = {post.channel.name for post in self._posts}
        for key in saved:
            if key not in ours and "/" not in key:  # a slash: something of a camera beside its alarms
                channel.close(key, saved, self._made_by, self._transports)

    def _watch(self) -> None:
        """Serve the cameras for as long as one of them may still have something to say."""
        for settings, post in zip(self._config.cameras, self._posts, strict=True):
            log.info("camera %s: %s", settings.name, without_credentials(settings.source))
            post.feed.start()
        while not self._stop.is_set():
            if all(post.over for post in self._posts):
                for post in self._posts:
                    if post.error is not None:
                        raise post.error
                return
            with self._arrived:
                self._arrived.wait_for(self._due, NAP_S)
            self._watchdog.tick("the frame loop")
            self._obey()
            if self._file is not None and self._file.asked:
                self._reload(self._file)
            ready = [post for post in self._posts if post.feed.waiting and not post.over]
            if ready:
                self._serve(min(ready, key=lambda post: post.served))
            self._routine()

    def _due(self) -> bool:
        return self._stop.is_set() or not self._asked.empty() or any(post.feed.waiting for post in self._posts)

    def _on_command(self, name: str, message: bytes) -> None:
        """An operator's command, in a transport's thread."""
        try:
            self._asked.put_nowait((name, message))
        except queue.Full:
            log.warning("camera %s: more than %d commands at once; one is dropped unanswered", name, ASKED)
        with self._arrived:
            self._arrived.notify_all()

    def _obey(self) -> None:
        """Every command that waits."""
        with contextlib.suppress(queue.Empty):
            while True:
                name, message = self._asked.get_nowait()
                if post := next((post for post in self._posts if post.channel.name == name), None):
                    post.channel.act(message)
                else:
                    log.warning("a command for camera %s, which is not ours", name)

    def _reload(self, file: Reread) -> None:
        """Take from the configuration's file what can be applied while we run; one with mistakes changes nothing."""
        try:
            found = difference(self._config, file.read())
        except ConfigError as error:
            log.error("the new configuration is refused, the old one goes on:")
            for mistake in error.lines:
                log.error("%s", without_credentials(mistake))
            self._mistakes = [without_value(mistake) for mistake in error.lines]
        else:
            self._mistakes = []
            self._apply(found)
        self._next_health = 0.0  # says so at once

    def _apply(self, found: Difference) -> None:
        log.info("configuration read again: %s", ", ".join(found.applied) or "nothing to apply")
        if found.needs_restart:
            log.warning("changes that need a restart, not applied: %s", ", ".join(found.needs_restart))
        if not found.applied:
            return
        self._config = found.config
        self._made_by = replace(self._made_by, config_hash=found.config.hash)
        for settings, post in zip(found.config.cameras, self._posts, strict=True):
            terms = self._terms(settings, post.calibration)
            post.channel.reload(settings, *terms, found.config.mqtt.summary_every_s)
        self._transports.publish("status", self._status("online", None, time.time()))

    def _serve(self, post: Post) -> None:
        """One camera's turn."""
        post.served = time.monotonic()
        news = post.feed.take()
        post.channel.health.dropped = post.feed.dropped
        if isinstance(news, Arrival):
            try:
                post.channel.take(news.frame, news.at)
            except FgstpError as error:  # what this camera shows does not fit: no fault of the others
                news = Lost(error, None)
        if isinstance(news, Lost):
            post.channel.lost(news.error, news.wait)
            post.error = news.error
        post.over = isinstance(news, Ended) or (isinstance(news, Lost) and news.wait is None)

    def _routine(self) -> None:
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + NAP_S
            for post in self._posts:
                post.channel.tick()
        if now >= self._next_health:
            self._next_health = now + self._config.health.every_s
            self._publish_health()

    def _publish_health(self) -> None:
        self._report = self._health()
        self._transports.publish("health", self._report)

    def _health(self) -> payload.Payload:
        return {
            "device": self._config.device,
            "utc": payload.iso(time.time()),
            "uptime_s": time.monotonic() - self._started,
            "rss_mb": rss_mb(),
            "temperatures_c": temperatures(),
            "stuck": self._watchdog.stuck,
            "config_errors": self._mistakes,
            "outbox": self._publisher.waiting.report(),
            "sparkplug": self._sparkplug.report() if self._sparkplug is not None else None,
            "evidence": self._keeper.report(),
            "backend": self._backend.name,
            "cameras": {post.channel.name: post.channel.report() for post in self._posts},
        }

    def _status(self, state: str, reason: str | None, utc: float | None) -> payload.Payload:
        return payload.status(self._config.device, state, reason, utc, self._made_by)


def segmenter_for(settings: CameraSettings, spec: ModelSpec, backend: Backend) -> Segmenter:
    """One camera's segmenter on the shared model. Raises ConfigError for a camera file that does not fit."""
    calibration = camera.load(settings.calibration) if settings.calibration else None
    return Segmenter(spec, backend, polarity=settings.polarity, rendering=settings.rendering, calibration=calibration)


def run(config: Config, stop: threading.Event | None = None, file: Reread | None = None) -> None:
    """Run the device until its recordings end or `stop` is set; see `Service` for `file`."""
    Service(config, stop or threading.Event(), file).run()
