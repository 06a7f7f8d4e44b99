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

from edge.outbox import Outbox, Standing, default_path
from edge.sparkplug.command import Command, asks_rebirth, commands
from edge.sparkplug.history import History
from edge.sparkplug.link import Link
from edge.sparkplug.node import NAMESPACE, Change, EdgeNode
from edge.sparkplug.session import Do, Phase, Session
from edge.sparkplug.speaker import Speaker
from edge.uplink import MqttSettings, SparkplugSettings

log = logging.getLogger("sparkplug")

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
        self._brokers, self._command = settings.links(mqtt), command
        self._client_id = f"fgstp-edge-{device}-sparkplug"
        node = settings.edge_node_id or device
        self._node = EdgeNode(settings.group_id, node, cameras, typed=settings.typed_data)
        path = settings.outbox.path or default_path(device, kind="sparkplug")
        self._history = History(Outbox(path, settings.outbox))
        self.waiting: Standing = self._history.standing  # how much has no proof of delivery yet
        self._speaker = Speaker(self._node, self._history, settings.outbox.replay_per_s)
        self._state_topic = f"{NAMESPACE}/STATE/{settings.primary_host}" if settings.primary_host else None
        waits, last = self._state_topic is not None, self._history.last_bdseq()
        self._session = Session(len(self._brokers), waits, last, lambda: random.uniform(0.5, 1.5))
        self._inbox: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._link: Link | None = None
        self._changes: list[Change] = []  # not yet told
        self._rebirth = False  # asked for
        self._ticked = time.monotonic()
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

    def report(self) -> dict[str, Any]:
        """Sparkplug's part of the health message."""
        return {"connected": self.connected, "outbox": self.waiting.report()}

    def publish(
        self, kind: str, payload: Mapping[str, Any], camera: str = "", save: Mapping[str, str | None] | None = None
    ) -> None:
        """Take one message that also goes to a JSON topic; `save` is that publisher's business."""
        del save
        now = round(time.time() * 1000)
        self._inbox.put(lambda: self._changes.extend(self._node.observe(kind, payload, camera, now)))

    def close(self, farewell: Mapping[str, Any] | None = None) -> None:
        """Leave in good order: all on disk or proven, then the death certificate, which says all of `farewell`."""
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
        self._speaker.replay(now)
        if not self._speaker.ping(now, self._brokers[self._session.broker].keepalive_s) and self._link is not None:
            self._on_ended(self._link, "the broker does not answer", True)
        self.waiting = self._history.standing
        return self._leave_by is None or (self._speaker.proving and now < self._leave_by)

    def _nap(self) -> float:
        """How long nothing needs doing, s."""
        now = time.monotonic()
        dues = self._session.due, self._leave_by, self._speaker.due(now)
        return max(0.0, min([IDLE_S, *(due - now for due in dues if due is not None)]))

    def _flush(self) -> None:
        changes, self._changes = self._changes, []
        self._speaker.tell(changes)

    def _do(self, actions: Sequence[Do]) -> None:
        for action in actions:
            if action is Do.DIAL:
                self._dial()
            elif self._link is not None and action is Do.BIRTH:
                self._speaker.birth(self._link)
                self._complained = False
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
        self._speaker.fall_silent()
        self._link, self._rebirth = None, False
        return link

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
        try:
            if retained:  # it would be obeyed again after each reconnect
                raise ValueError("it is retained")
            if camera:
                self._obey(commands(body, camera, self._node.aliases(camera)))
            elif camera is not None:
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
            self._speaker.answered(ping)

    def _on_ended(self, link: Link, why: str, connect_sent: bool) -> None:
        if link is self._link:
            self._unlink(link).drop(0)
            self._complain(why)
            self._do(self._session.refused(time.monotonic(), connect_sent=connect_sent))

    def _complain(self, what: str) -> None:
        if not self._complained:
            log.warning("%s; keeping on trying", what)
        self._complained = True
