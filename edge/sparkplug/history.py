"""What the host may not have. Data goes out at QoS 0, which nobody acknowledges; a ping does.

MQTT keeps the order within a connection: whoever answers a PINGREQ has taken all that was published before it. So every
change that matters waits on the disk until such an answer, and what a lost connection leaves there is replayed after
the next birth, oldest first. A change may arrive twice, never not at all.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence

from edge.outbox import Outbox, Standing
from edge.sparkplug.node import Change, restored
from edge.store import BEFORE_ALL, Message

log = logging.getLogger("sparkplug")

_BDSEQ = "bdSeq"


class History:
    """The changes of one device on the disk, and which of them are proven."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._unproven: dict[int, float] = {}  # id in the outbox -> the ping whose answer proves it; inf: none yet
        self._upto = self._after = BEFORE_ALL  # what is to be replayed: ids in (after, upto]

    @property
    def standing(self) -> Standing:
        """How much waits."""
        return self._outbox.standing()

    @property
    def unproven(self) -> bool:
        """Whether the answer to a ping is waited for."""
        return bool(self._unproven)

    @property
    def replaying(self) -> bool:
        """Whether older changes are still to go out."""
        return self._after < self._upto

    def last_bdseq(self) -> int | None:
        """Of the last CONNECT, this process's or an earlier one's."""
        text = self._outbox.states().get(_BDSEQ, "")
        return int(text) if text.isdigit() else None

    def save_bdseq(self, bdseq: int) -> None:
        """Before the CONNECT that carries it."""
        self._outbox.write([], {_BDSEQ: str(bdseq)})

    def keep(self, changes: Sequence[Change]) -> list[int | None]:
        """On the disk, all at once; gives the id of each, None for those not worth keeping."""
        messages = [
            Message(change.camera, change.saved(), change.worth) for change in changes if change.worth is not None
        ]
        if not messages:
            return [None] * len(changes)
        self._outbox.write(messages)
        first = self._outbox.last_id - len(messages) + 1
        ids = iter(range(first, first + len(messages)))
        return [None if change.worth is None else next(ids) for change in changes]

    @property
    def unpinged(self) -> bool:
        """Whether something went out and no ping after it."""
        return math.inf in self._unproven.values()

    def published(self, id_: int) -> None:
        """This change went out."""
        self._unproven[id_] = math.inf

    def pinged(self, ping: int) -> None:
        """This ping went out, after all that went out so far."""
        self._unproven.update({id_: ping for id_, proof in self._unproven.items() if proof == math.inf})

    def answered(self, ping: int) -> None:
        """The broker has answered this ping, and so has all that went out before it."""
        self._forget([id_ for id_, proof in self._unproven.items() if proof <= ping])

    def begin(self) -> None:
        """A new connection: nothing that went over the old one counts any more, all is to be replayed."""
        self._unproven.clear()
        self.rewind()

    def rewind(self) -> None:
        """Look through all that waits once more: a camera that was dead may be spoken of again."""
        self._after, self._upto = BEFORE_ALL, self._outbox.last_id

    def due(self, count: int, ours: Collection[str], born: Collection[str]) -> list[tuple[int, Change]]:
        """The next changes to replay, in the order they happened, of cameras that are `born`; others of `ours` wait."""
        batch = [(id_, message) for id_, message in self._outbox.first(count, self._after) if id_ <= self._upto]
        self._after = batch[-1][0] if batch else self._upto
        changes, useless = list[tuple[int, Change]](), list[int]()
        for id_, message in batch:
            try:
                change = restored(message.topic, message.body)
            except ValueError:
                useless.append(id_)
                continue
            if change.camera not in ours:
                useless.append(id_)
            elif change.camera in born and id_ not in self._unproven:
                changes.append((id_, change))
        if useless:
            log.warning("%d changes that were kept are damaged or of no camera of ours: dropped", len(useless))
        self._forget(useless)
        return changes

    def close(self) -> None:
        """Leave the file in good order."""
        self._outbox.close()

    def _forget(self, ids: Collection[int]) -> None:
        for id_ in ids:
            self._unproven.pop(id_, None)
        if ids:
            self._outbox.write([], None, list(ids))
