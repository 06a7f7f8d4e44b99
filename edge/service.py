"""`fgstp-edge run`: cameras -> pipeline -> alarms -> MQTT, for months. The only file that sees vision and transport.

Each camera has a thread that waits for its frames (`edge.feed`); one thread computes them all with one model, always
the newest frame of the camera that has waited longest. So delay stays below one round of the cameras however many there
are, what cannot be computed is dropped and counted, and a camera that fails costs the others nothing. A lost broker is
the transport's business; monitoring goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from edge import __version__, camera, channel, payload, selftest
from edge.backend import Backend
from edge.capture import without_credentials
from edge.channel import Channel
from edge.config import CameraSettings, Config
from edge.contract import ModelSpec
from edge.errors import FgstpError
from edge.feed import Arrival, Ended, Feed, Lost
from edge.health import Heartbeat, clock_synchronised, rss_mb
from edge.mqtt import Publisher
from edge.records import Provenance
from edge.segmenter import Segmenter, load_model

log = logging.getLogger("run")

NAP_S = 0.5  # the longest wait for a frame before the heartbeat's turn
PATIENCE_S = 2.0  # for the camera threads at the end, all together: one may hang in a camera that does not answer


class Post:
    """One camera's thread and the channel that its frames go to."""

    def __init__(self, feed: Feed, channel: Channel) -> None:
        self.feed, self.channel = feed, channel
        self.served = 0.0  # time.monotonic() of its last turn
        self.over = False  # no frame will come any more
        self.error: FgstpError | None = None  # why


class Service:
    """One device with its cameras. Raises ModelError, SelfTestError or ConfigError while it is made."""

    def __init__(self, config: Config, stop: threading.Event) -> None:
        self._config, self._stop = config, stop
        spec, self._backend = load_model(config.model.name, config.model.backend, config.model.threads)
        segmenters = [segmenter_for(one, spec, self._backend) for one in config.cameras]
        if config.self_test:
            selftest.check(config.model.name, self._backend.name)
        self._made_by = Provenance(spec.name, spec.sha256, config.hash, __version__, clock_synchronised())
        will = self._status("offline", "connection_lost", None)
        self._publisher = Publisher(config.mqtt, config.device, will=will, outbox=config.outbox)
        self._heartbeat = Heartbeat()
        self._started = time.monotonic()
        self._arrived = threading.Condition()
        self._posts = [self._post(one, made) for one, made in zip(config.cameras, segmenters, strict=True)]
        self._next_health = 0.0  # time.monotonic() when due

    def run(self) -> None:
        """Watch until every recording has ended or someone asks to stop; then say so. Raises TransportError, and the
        SourceError of the first camera that failed for good when no other is left."""
        self._publisher.start()
        reason = "failed"
        try:
            self._publisher.publish("status", self._status("online", None, time.time()))
            self._resume()
            self._heartbeat.ready()
            self._watch()
            reason = "stopped"
        except KeyboardInterrupt:
            reason = "stopped"
            raise
        finally:
            self._heartbeat.stopping()
            self._stop.set()
            leave_by = time.monotonic() + PATIENCE_S
            for post in self._posts:
                post.feed.join(max(0.0, leave_by - time.monotonic()))
            self._publish_health()
            self._publisher.close(self._status("offline", reason, time.time()))
            log.info("%s after %d frames", reason, sum(post.channel.health.frames for post in self._posts))

    def _post(self, settings: CameraSettings, segmenter: Segmenter) -> Post:
        calibration = segmenter.calibration
        made = Channel(
            settings.name,
            segmenter,
            camera.alarm_settings(self._config.alarm, calibration),
            replace(self._made_by, config_hash=camera.settings_hash(self._config.hash, calibration)),
            self._publisher,
            self._config.mqtt.summary_every_s,
        )
        return Post(Feed(settings, self._stop, self._arrived), made)

    def _resume(self) -> None:
        """Leaks that were open when we last ran: go on with those of our cameras, end those that we watch no longer."""
        saved = dict(self._publisher.saved)
        for post in self._posts:
            post.channel.resume(saved.pop(post.channel.name, None))
        for name, text in saved.items():
            channel.close_leak(self._publisher, name, text, self._made_by)

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
                self._arrived.wait_for(lambda: self._stop.is_set() or any(p.feed.waiting for p in self._posts), NAP_S)
            ready = [post for post in self._posts if post.feed.waiting and not post.over]
            if ready:
                self._serve(min(ready, key=lambda post: post.served))
            self._routine()

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
        if self._publisher.alive:
            self._heartbeat.beat()
        if now >= self._next_health:
            self._next_health = now + self._config.health.every_s
            self._publish_health()

    def _publish_health(self) -> None:
        report = {
            "device": self._config.device,
            "utc": payload.iso(time.time()),
            "uptime_s": time.monotonic() - self._started,
            "rss_mb": rss_mb(),
            "outbox": self._publisher.waiting.report(),
            "backend": self._backend.name,
            "cameras": {post.channel.name: post.channel.health.report() for post in self._posts},
        }
        self._publisher.publish("health", report)

    def _status(self, state: str, reason: str | None, utc: float | None) -> payload.Payload:
        return payload.status(self._config.device, state, reason, utc, self._made_by)


def segmenter_for(settings: CameraSettings, spec: ModelSpec, backend: Backend) -> Segmenter:
    """One camera's segmenter on the shared model. Raises ConfigError for a camera file that does not fit."""
    calibration = camera.load(settings.calibration) if settings.calibration else None
    return Segmenter(spec, backend, polarity=settings.polarity, calibration=calibration)


def run(config: Config, stop: threading.Event | None = None) -> None:
    """Run the device until its recordings end or `stop` is set."""
    Service(config, stop or threading.Event()).run()
