"""What an edge node says: births, changes as they come, what it could not say before, deaths; and pings for proof.

It keeps before it says, so that nothing depends on who listens. One thread at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from edge.sparkplug.history import History
from edge.sparkplug.link import Link
from edge.sparkplug.node import Change, EdgeNode, Publication

log = logging.getLogger("sparkplug")

BATCH = 20  # changes replayed at once, at most


class Speaker:
    """Speaks for one node over one link after the other."""

    def __init__(self, node: EdgeNode, history: History, replay_per_s: float) -> None:
        self._node, self._history, self._per_s = node, history, replay_per_s
        self._link: Link | None = None  # None: nobody listens
        self._born: set[str] = set()  # cameras that the host knows to be alive
        self._pinged: tuple[int, float] | None = None  # the oldest ping not answered, and when it was sent
        self._next_replay = self._last_ping = time.monotonic()

    @property
    def proving(self) -> bool:
        """Whether more is to be said or proven over this link."""
        return self._link is not None and (self._history.unproven or self._history.replaying)

    def due(self, now: float) -> float | None:
        """From when on `replay` has something to do; None: it has not."""
        waits = self._link is None or self._history.unproven or not self._history.replaying
        return None if waits else max(now, self._next_replay)

    def birth(self, link: Link) -> None:
        """All that the host must know, from the beginning. Over a new link the history follows."""
        if link is not self._link:
            self._link, self._pinged = link, None
            self._history.begin()
            log.info("born as %s", self._node.topic("NBIRTH"))
        for publication in self._node.birth(_ms()):
            self._publish(publication)
        self._born = set(self._node.cameras)

    def fall_silent(self) -> None:
        """The link is gone: of what went over it, only what is proven is known to have arrived."""
        self._link = None
        self._born.clear()

    def tell(self, changes: Sequence[Change]) -> None:
        """What changed: first to the disk, then to the host."""
        for change, id_ in zip(changes, self._history.keep(changes), strict=True):
            if self._link is not None and self._say(change) and id_ is not None:
                self._history.published(id_)

    def replay(self, now: float) -> None:
        """The next few changes that the host may have missed. When all are told, cameras that were lost die."""
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

    def ping(self, now: float, keepalive_s: float) -> bool:
        """Ask for proof of what was said, and when it has been quiet; False: the broker does not answer any more.

        paho would notice after up to twice the keep-alive; this takes one and a half at most.
        """
        if self._link is None:
            return True
        if self._history.unpinged or now - self._last_ping >= keepalive_s / 2:
            self._last_ping = now
            number = self._link.ping()
            self._history.pinged(number)
            if self._pinged is None:
                self._pinged = number, now
        return self._pinged is None or now - self._pinged[1] < keepalive_s

    def answered(self, ping: int) -> None:
        """The broker has answered this ping, and so has all that was said before it."""
        self._history.answered(ping)
        if self._pinged is not None and ping >= self._pinged[0]:
            self._pinged = None

    def _say(self, change: Change) -> bool:
        """One change to a host that listens; False: it has not gone out."""
        camera = change.camera
        if change.came and camera not in self._born:
            self._born.add(camera)
            self._history.rewind()  # to what happened while nobody could be told
            return self._publish(self._node.camera_birth(camera, _ms()))
        if camera and camera not in self._born:
            return False
        sent = self._publish(self._node.data(change, _ms()))
        if change.went:
            self._bury(camera)
        return sent

    def _bury(self, camera: str) -> None:
        if camera in self._born:
            self._publish(self._node.camera_death(camera, _ms()))
            self._born.discard(camera)

    def _publish(self, publication: Publication) -> bool:
        return self._link is not None and self._link.publish(publication)


def _ms() -> int:
    """Now, ms since the epoch."""
    return round(time.time() * 1000)
