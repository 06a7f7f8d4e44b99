"""One thread between the service and the broker: it owns the session, the node and the disk, and nothing else does.

Takes the same payloads as `edge.mqtt.Publisher`, and like it never blocks and never raises where one is published.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge.config import MqttSettings, SparkplugSettings
from edge.outbox import Outbox, Standing, default_path
from edge.sparkplug.command import Command, asks_rebirth, commands
from edge.sparkplug.history import History
from edge.sparkplug.link import Link
from edge.sparkplug.node import NAMESPACE, Change, EdgeNode, Publication
from edge.sparkplug.session import Do, Phase, Session

log = logging.getLogger("sparkplug")

BATCH = 20  # changes replayed at once, at most
IDLE_S = 1.0  # the longest sleep
FAREWELL_S = 2.0  # for the last proofs before we go
STALL_S = 60.0  # a disk that takes longer than this to write is a fault
REFUSAL_S = 10.0  # between two lines about refused commands


class Publisher:
    """One device as a Sparkplug edge node."""

    def __init__(
        self,
        settings: SparkplugSettings,
        mqtt: MqttSettings,
        device: str,
        cameras: Sequence[str],
        *,
        command: Callable[[Command], None] | None = None,
    ) -> None:
        """`command` is called for each operator's command, from this publisher's thread; None: they are refused."""
        self._brokers = settings.links(mqtt)
        self._client_id = f"fgstp-edge-{device}-sparkplug"
        node = settings.edge_node_id or device
        self._node = EdgeNode(settings.group_id, node, cameras, typed=settings.typed_data)
        path = settings.outbox.path or default_path(device, kind="sparkplug")
        self._history = History(Outbox(path, settings.outbox))
        self.waiting: Standing = self._history.standing  # how much has no proof of delivery yet
        self._per_s, self._command = settings.outbox.replay_per_s, command
        self._state_topic = f"{NAMESPACE}/STATE/{settings.primary_host}" if settings.primary_host else None
        self._session = Session(
            len(self._brokers),
            self._state_topic is not None,
            self._history.last_bdseq(),
            lambda: random.uniform(0.5, 1.5),
        )
        self._inbox: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._link: Link | None = None
        self._born: set[str] = set()  # cameras that the host knows to be alive
        self._changes: list[Change] = []  # not yet on the disk
        self._pinged: tuple[int, float] | None = None  # the last ping not answered, and when it was sent
        self._next_replay = self._last_ping = self._ticked = time.monotonic()
        self._rebirth = False  # asked for
        self._leave_by: float | None = None  # time.monotonic(); None: we stay
        self._complained = False  # one line per loss, not one per attempt
        self._next_refusal = 0.0  # time.monotonic() from when on a refused command is worth a line again
        self._thread = threading.Thread(target=self._run, name="sparkplug", daemon=True)

    def start(self) -> None:
        """Begin to keep, to connect and to publish."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether the births have gone out and the connection still stands."""
        return self._session.phase is Phase.ALIVE

    @property
    def alive(self) -> bool:
        """Whether what is published now will be kept."""
        return self._thread.is_alive() and time.monotonic() - self._ticked < STALL_S

    def publish(
        self, kind: str, payload: Mapping[str, Any], camera: str = "", save: Mapping[str, str | None] | None = None
    ) -> None:
        """Take one message that also goes to a JSON topic; `save` is that publisher's business."""
        del save
        now = _ms()
        self._inbox.put(lambda: self._changes.extend(self._node.observe(kind, payload, camera, now)))

    def close(self, farewell: Mapping[str, Any] | None = None) -> None:
        """Leave in good order: all on disk or proven, then the death certificate. It says all of `farewell`."""
        del farewell
        if self._thread.ident is not None:
            self._tell(self._leave)
            self._thread.join()
        self._history.close()

    def _tell(self, what: Callable[..., None], *about: Any) -> None:
        """Have the thread do something, after all that was published before: a birth must not come in between."""

        def do() -> None:
            self._flush()
            what(*about)

        self._inbox.put(do)

    def _run(self) -> None:
        while self._turn():
            pass
        self._do(self._session.leave())

    def _leave(self) -> None:
        self._leave_by = time.monotonic() + FAREWELL_S

    def _turn(self) -> bool:
        """Do what came and what is due; False: time to leave."""
        try:
            self._inbox.get(timeout=self._nap())()
            while True:
                self._inbox.get_nowait()()
        except queue.Empty:
            pass
        now = self._ticked = time.monotonic()
        self._do(self._session.tick(now))
        self._flush()
        if self._rebirth:  # several requests that came together are served by one birth
            self._rebirth = False
            self._do(self._session.rebirth())
        if self.connected:
            self._replay(now)
            self._ping(now)
        self.waiting = self._history.standing
        proving = self.connected and (self._history.unproven or self._history.replaying)
        return self._leave_by is None or (proving and now < self._leave_by)

    def _nap(self) -> float:
        """How long nothing needs doing, s."""
        now = time.monotonic()
        until = now + IDLE_S
        if self._session.due is not None:
            until = min(until, self._session.due)
        if self._leave_by is not None:
            until = min(until, self._leave_by)
        if self.connected and self._history.replaying and not self._history.unproven:
            until = min(until, self._next_replay)
        return max(0.0, until - now)

    def _flush(self) -> None:
        """What changed: first to the disk, then to the host."""
        changes, self._changes = self._changes, []
        for change, id_ in zip(changes, self._history.keep(changes), strict=True):
            if self.connected and self._say(change) and id_ is not None:
                self._history.published(id_)

    def _say(self, change: Change) -> bool:
        """One change to a host that listens; False: it has not gone out."""
        camera, now = change.camera, _ms()
        if change.came and camera not in self._born:
            sent = self._publish(self._node.camera_birth(camera, now))
            self._born.add(camera)
            self._history.rewind()
            return sent
        if camera and camera not in self._born:
            return False
        sent = self._publish(self._node.data(change, now))
        if change.went:
            self._bury(camera)
        return sent

    def _bury(self, camera: str) -> None:
        if camera in self._born:
            self._publish(self._node.camera_death(camera, _ms()))
            self._born.discard(camera)

    def _replay(self, now: float) -> None:
        """The next few changes that the host may have missed; cameras that were lost die when theirs are told."""
        if not self._history.replaying:
            for camera in self._node.lost:
                self._bury(camera)
        elif not self._history.unproven and now >= self._next_replay:
            count = max(1, min(BATCH, int(self._per_s / 10)))
            batch = self._history.due(count, self._node.cameras, self._born)
            self._next_replay = now + len(batch) / self._per_s
            for id_, change in batch:
                if self._publish(self._node.data(change, _ms(), historical=True)):
                    self._history.published(id_)

    def _ping(self, now: float) -> None:
        """After what was published, and when it has been quiet; a broker that does not answer is gone."""
        assert self._link is not None
        keepalive = self._brokers[self._session.broker].keepalive_s
        if self._history.unpinged or now - self._last_ping >= keepalive / 2:
            self._last_ping = now
            number = self._link.ping()
            if self._pinged is None:
                self._pinged = number, now
            self._history.pinged(number)
        if self._pinged is not None and now - self._pinged[1] >= keepalive:
            self._on_ended(self._link, "the broker does not answer", True)

    def _do(self, actions: Sequence[Do]) -> None:
        for action in actions:
            if action is Do.DIAL:
                self._dial()
            elif action is Do.BIRTH:
                self._give_birth()
            elif self._link is not None:
                link = self._unlink(self._link)
                link.end(self._node.death() if action is Do.DEATH else None)
                link.drop(FAREWELL_S)  # never on two brokers at once

    def _dial(self) -> None:
        self._history.save_bdseq(self._session.bdseq)
        state = (self._state_topic,) if self._state_topic else ()
        self._link = Link(
            self._brokers[self._session.broker],
            self._client_id,
            self._node.will(self._session.bdseq),
            (*self._node.commands, *state),
            subscribed=lambda *about: self._tell(self._on_subscribed, *about),
            heard=lambda *about: self._tell(self._on_heard, *about),
            answered=lambda *about: self._tell(self._on_answered, *about),
            ended=lambda *about: self._tell(self._on_ended, *about),
        )
        self._link.start()

    def _unlink(self, link: Link) -> Link:
        """Nothing that went over this connection is known to have arrived, but what is proven."""
        self._link, self._pinged, self._rebirth = None, None, False
        self._born.clear()
        return link

    def _give_birth(self) -> None:
        """All that the host must know, from the beginning; the same connection goes on after a rebirth."""
        if not self._born:
            self._history.begin()
            log.info("born as %s", self._node.topic("NBIRTH"))
        for publication in self._node.birth(_ms()):
            self._publish(publication)
        self._born = set(self._node.cameras)
        self._complained = False

    def _publish(self, publication: Publication) -> bool:
        return self._link is not None and self._link.publish(publication)

    def _on_subscribed(self, link: Link, refused: bool) -> None:
        if link is not self._link:
            return
        if refused:
            self._complain("the broker refuses our subscriptions: no commands, no rebirth; check our rights")
        self._do(self._session.subscribed(time.monotonic()))
        if self._session.phase is Phase.WAITING:
            log.info("waiting for %s to be online", self._state_topic)

    def _on_heard(self, link: Link, topic: str, body: bytes, retained: bool) -> None:
        if link is not self._link:
            return
        if topic == self._state_topic:
            self._do(self._session.host_said(body, time.monotonic()))
            return
        camera = self._node.addressed(topic)
        if camera is None:
            return
        try:
            if retained:  # it would be obeyed again after each reconnect
                raise ValueError("it is retained")
            if camera:
                self._obey(commands(body, camera, self._node.aliases(camera)))
            else:
                self._rebirth = asks_rebirth(body)
        except ValueError as error:
            if time.monotonic() >= self._next_refusal:
                self._next_refusal = time.monotonic() + REFUSAL_S
                log.warning("refused a command on %s: %s", topic, " ".join(str(error).split()))

    def _obey(self, asked: Sequence[Command]) -> None:
        if self._command is None:
            raise ValueError("commands are not enabled")
        for command in asked:
            self._command(command)

    def _on_answered(self, link: Link, ping: int) -> None:
        if link is self._link:
            self._history.answered(ping)
            if self._pinged is not None and ping >= self._pinged[0]:
                self._pinged = None

    def _on_ended(self, link: Link, why: str, connect_sent: bool) -> None:
        if link is self._link:
            self._unlink(link).drop(0)
            self._complain(why)
            self._do(self._session.refused(time.monotonic(), connect_sent=connect_sent))

    def _complain(self, what: str) -> None:
        if not self._complained:
            log.warning("%s; keeping on trying", what)
        self._complained = True


def _ms() -> int:
    """Now, ms since the epoch."""
    return round(time.time() * 1000)
