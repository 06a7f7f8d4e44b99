"""The thread between outbox and broker: it alone touches the disk, so that nobody who watches gas waits for one.

What matters most goes first (`edge.store.Priority`), and messages of one priority go in the order they were put: a few
at a time, and the next few only when the broker has confirmed these: after a lost connection paho resends what was
under way, and nothing younger may overtake it. An alarm waits for no other message's confirmation, and one that was put
while we are connected, with those before it, not for the rate at which we replay what has piled up.

A topic that the broker refuses holds up its own messages alone. But our rights may be back at any moment, and then the
order must hold over all topics. So before anything younger goes the first message of each is tried again by itself, the
oldest first: whenever there is something new, a refused topic is taken again, or some time has gone by.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edge.outbox import Outbox, Standing
from edge.store import BEFORE_ALL, Message, Priority

log = logging.getLogger("outbox")

BATCH = 10  # alarms under way at most, and so many others; paho and mosquitto take 20 without waiting
IDLE_S = 1.0  # the longest sleep
REFUSED_S = 5.0  # before a message that the broker refused is tried again
LOST_S = 60.0  # without any answer on a live connection: send again
STALL_S = 60.0  # a disk that takes longer than this to write is a fault


@dataclass(slots=True)
class Lane:
    """The way of one priority to the broker."""

    under_way: dict[int, tuple[int, str]] = field(default_factory=dict)  # receipt -> id in the outbox, topic
    sent_at: float = 0.0  # time.monotonic()


class Courier:
    """Takes messages at any time, keeps them in `outbox`, hands them to `send`, which gives each a receipt number."""

    def __init__(self, outbox: Outbox, send: Callable[[Message], int], per_s: float) -> None:
        self._outbox, self._send, self._per_s = outbox, send, per_s
        self._batch = max(1, min(BATCH, int(per_s / 10)))
        self._lanes = {priority: Lane() for priority in Priority}
        self._refused: set[str] = set()  # topics whose first message the broker has not taken since
        self._tried: set[str] = set()  # those of them that have had their try in this round…
        self._next_round = 0.0  # …and time.monotonic() of the next one
        self.states = outbox.states()  # what was remembered when we started
        self.standing: Standing = outbox.standing()
        self._wake = threading.Condition()  # over the next five
        self._messages: list[Message] = []  # put, not yet written
        self._states: dict[str, str | None] = {}
        self._receipts: list[tuple[int, bool]] = []  # the broker's answers not yet looked at
        self._online = False
        self._leave_by: float | None = None  # time.monotonic(); None: we stay
        self._live = BEFORE_ALL  # id of the last alarm that was put while we were connected
        self._next_send = self._ticked = time.monotonic()
        self._due, self._was_online = math.inf, False  # when the last turn wanted to look again, and what it knew
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
            for lane in self._lanes.values():
                lane.sent_at = time.monotonic()  # paho sends again what was under way
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
        if online and any(message.priority is Priority.ALARM for message in messages):
            self._live = self._outbox.last_id
        now = self._ticked = time.monotonic()
        if messages or now >= self._next_round:
            self._tried.clear()
        self._due, self._was_online = self._send_some(now) if online else math.inf, online
        self.standing = self._outbox.standing()
        return leave_by is None or (online and self.standing.depth > 0 and now < leave_by)

    def _nap(self) -> float:
        """How long nothing needs doing, s."""
        if self._leave_by is not None and not (self._online and self.standing.depth):
            return 0.0
        if self._online and not self._was_online:
            return 0.0
        now = time.monotonic()
        until = now + IDLE_S if self._leave_by is None else min(now + IDLE_S, self._leave_by)
        return max(0.0, min(until, self._due) - now)

    def _delivered(self, receipts: list[tuple[int, bool]]) -> list[int]:
        """The ids of what the broker has."""
        delivered: list[int] = []
        for receipt, taken in receipts:
            lane = next((lane for lane in self._lanes.values() if receipt in lane.under_way), None)
            if lane is None:
                continue
            id_, topic = lane.under_way.pop(receipt)
            if taken:
                delivered.append(id_)
                if topic in self._refused:
                    log.info("the broker takes %s again", topic)
                    self._refused.remove(topic)
                    self._tried.clear()
                continue
            if topic not in self._refused:
                log.warning("the broker refuses %s; kept, a try every %.0f s: check our rights", topic, REFUSED_S)
            self._refused.add(topic)
            self._tried.add(topic)
            self._next_round = time.monotonic() + REFUSED_S
        return delivered

    def _send_some(self, now: float) -> float:
        """Hand over the first few of what matters most, where they may go; gives when to look again."""
        for lane in self._lanes.values():
            if lane.under_way and now - lane.sent_at >= LOST_S:
                lane.under_way.clear()
        if self._lanes[Priority.ALARM].under_way:
            return math.inf
        retry = self._next_round if self._tried else math.inf
        if not (batch := self._up_to_a_refused(self._outbox.to_send(self._batch, sorted(self._tried)))):
            return retry
        first, message = batch[0]
        lane, alarm = self._lanes[message.priority], message.priority is Priority.ALARM
        if not alarm and any(other.under_way for other in self._lanes.values()):
            return retry
        if now < self._next_send and not (alarm and first <= self._live):
            return min(retry, self._next_send)
        lane.sent_at, self._next_send = now, max(now, self._next_send) + len(batch) / self._per_s
        for id_, message in batch:
            lane.under_way[self._send(message)] = id_, message.topic
        return math.inf

    def _up_to_a_refused(self, batch: list[tuple[int, Message]]) -> list[tuple[int, Message]]:
        """Up to the first message of a topic that was refused, which goes alone."""
        trials = (number for number, (_, message) in enumerate(batch) if message.topic in self._refused)
        return batch[: max(1, next(trials, len(batch)))]
