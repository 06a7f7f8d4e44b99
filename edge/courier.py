"""The thread between outbox and broker: it alone touches the disk, so that nobody who watches gas waits for one.

Messages go out in the order they were put, snapshots when nothing else waits. They go a few at a time, and the next few
only when the broker has confirmed these: after a lost connection paho resends what was under way, and nothing younger
may overtake it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from edge.outbox import Outbox, Standing
from edge.store import Message

log = logging.getLogger("outbox")

BATCH = 20  # messages under way at most, as many as paho sends without waiting
IDLE_S = 1.0  # the longest sleep
REFUSED_S = 5.0  # before a message that the broker refused is tried again
LOST_S = 60.0  # without any answer on a live connection: send again
STALL_S = 60.0  # a disk that takes longer than this to write is a fault


class Courier:
    """Takes messages at any time, keeps them in `outbox`, hands them to `send`, which gives each a receipt number."""

    def __init__(self, outbox: Outbox, send: Callable[[Message], int], per_s: float) -> None:
        self._outbox, self._send, self._per_s = outbox, send, per_s
        self._batch = self._count = max(1, min(BATCH, int(per_s / 10)))  # under way at most: usually, and now
        self.states = outbox.states()  # what was remembered when we started
        self.standing: Standing = outbox.standing()
        self._wake = threading.Condition()  # over the next five
        self._messages: list[Message] = []  # put, not yet written
        self._states: dict[str, str | None] = {}
        self._receipts: list[tuple[int, bool]] = []  # the broker's answers not yet looked at
        self._online = False
        self._leave_by: float | None = None  # time.monotonic(); None: we stay
        self._under_way: dict[int, int] = {}  # receipt -> id in the outbox
        self._sent_at = self._next_send = self._ticked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to write and to send."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether what is put now will be written."""
        return self._thread.is_alive() and time.monotonic() - self._ticked < STALL_S

    def put(self, message: Message, states: Mapping[str, str | None]) -> None:
        """Keep a message until the broker has it, and with it, in one transaction, what is to be remembered."""
        self.put_all([message], states)

    def put_all(self, messages: Sequence[Message], states: Mapping[str, str | None]) -> None:
        """The same for messages of which the disk must never hold some and not the others."""
        with self._wake:
            self._messages.extend(messages)
            self._states.update(states)
            self._wake.notify()

    def remember(self, states: Mapping[str, str | None]) -> None:
        """Keep what is to be remembered, without a message."""
        with self._wake:
            self._states.update(states)
            self._wake.notify()

    def answered(self, receipt: int, accepted: bool) -> None:
        """The broker took, or refused, what was sent under this receipt."""
        with self._wake:
            self._receipts.append((receipt, accepted))
            self._wake.notify()

    def connection(self, online: bool) -> None:
        """The broker is there, or gone."""
        with self._wake:
            self._online = online
            if online:
                self._sent_at = time.monotonic()  # paho sends again what was under way
            self._wake.notify()

    def close(self, patience_s: float) -> None:
        """Write all, send what the broker takes within `patience_s`, close the file."""
        with self._wake:
            self._leave_by = time.monotonic() + patience_s
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join()
        self._outbox.close()

    def _run(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Write what came, send what may go; False: time to leave."""
        with self._wake:
            if not self._messages and not self._receipts and not self._states:
                self._wake.wait(self._nap())
            messages, self._messages = self._messages, []
            states, self._states = self._states, {}
            receipts, self._receipts = self._receipts, []
            online, leave_by = self._online, self._leave_by
        self._outbox.write(messages, states, self._delivered(receipts))
        now = self._ticked = time.monotonic()
        if self._under_way and now - self._sent_at >= LOST_S:
            self._under_way.clear()
        if online and not self._under_way and now >= self._next_send:
            self._send_some(now)
        self.standing = self._outbox.standing()
        return leave_by is None or (online and self.standing.depth > 0 and now < leave_by)

    def _nap(self) -> float:
        """How long nothing needs doing, s."""
        if self._leave_by is not None and not (self._online and self.standing.depth):
            return 0.0
        now = time.monotonic()
        until = now + IDLE_S if self._leave_by is None else self._leave_by
        if self._online and not self._under_way and self.standing.depth:
            until = min(until, self._next_send)
        return min(IDLE_S, max(0.0, until - now))

    def _delivered(self, receipts: list[tuple[int, bool]]) -> list[int]:
        """The ids of what the broker has."""
        ours = [(self._under_way.pop(receipt), taken) for receipt, taken in receipts if receipt in self._under_way]
        if not all(taken for _, taken in ours):
            log.warning("the broker refuses our events; they are kept, next try in %.0f s: check our rights", REFUSED_S)
            self._next_send = time.monotonic() + REFUSED_S
            self._count = 1  # were our rights restored in the midst of several, the later ones would overtake the first
        elif ours:
            self._count = self._batch
        return [id_ for id_, taken in ours if taken]

    def _send_some(self, now: float) -> None:
        """Hand over the oldest few."""
        batch = self._outbox.to_send(self._count)
        self._sent_at, self._next_send = now, now + len(batch) / self._per_s
        for id_, message in batch:
            self._under_way[self._send(message)] = id_
