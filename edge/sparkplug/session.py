"""When to connect where, when to be born and when to die: a state machine without clock and network.

    DOWN ──due──▶ DIALLING ──subscribed──▶ WAITING ──primary host online──▶ ALIVE
      ▲              └─ refused, lost ─┐       └─ it is offline, or silent ─┐  └─ it goes offline ─┐
      └────────────────────────────────┴──── the next broker of the list ───┴──────────────────────┘

Without a primary host WAITING takes no time. Each method gives what is to be done, in order.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from edge.sparkplug import host
from edge.sparkplug.node import SEQUENCES

RETRY_S = (1.0, 30.0)  # first and longest wait when no broker of the list would have us
ANSWER_S = 10.0  # for CONNACK and SUBACK
HOST_S = 30.0  # for the primary host to say that it is online, where there are other brokers to look for it


class Phase(enum.Enum):
    """Where the session stands."""

    DOWN = "down"
    DIALLING = "dialling"
    WAITING = "waiting"
    ALIVE = "alive"


class Do(enum.Enum):
    """What the network is to do."""

    DIAL = "dial"  # connect to `broker` with a will that carries `bdseq`
    BIRTH = "birth"
    DEATH = "death"  # NDEATH, then DISCONNECT
    DROP = "drop"  # end the connection without a death: nobody heard of a birth


class Session:
    """One edge node's session after the other."""

    def __init__(self, brokers: int, waits: bool, last_bdseq: int | None, jitter: Callable[[], float]) -> None:
        """`waits`: for a primary host; `last_bdseq`: of the last CONNECT before this start; `jitter`: about 1."""
        self._brokers, self._waits, self._jitter = brokers, waits, jitter
        self.phase, self.broker = Phase.DOWN, 0
        self.bdseq = 0 if last_bdseq is None else (last_bdseq + 1) % SEQUENCES
        self._host_online = False
        self._heard: dict[int, int] = {}  # broker -> the host's last timestamp there
        self._fruitless = 0  # brokers tried since we were last alive
        self.due: float | None = 0.0  # when `tick` is to be called; None: no need

    def tick(self, now: float) -> tuple[Do, ...]:
        """Time passes, s."""
        if self.due is None or now < self.due:
            return ()
        if self.phase is Phase.DOWN:
            self.phase, self.due, self._host_online = Phase.DIALLING, now + ANSWER_S, False
            return (Do.DIAL,)
        self._move_on(now)
        return (Do.DROP,)

    def refused(self, now: float, *, connect_sent: bool) -> tuple[Do, ...]:
        """No connection came about, or it was lost; `connect_sent`: the broker saw, or may have seen, our will."""
        if self.phase is Phase.DOWN:
            return ()
        if not connect_sent:
            self.bdseq = (self.bdseq - 1) % SEQUENCES  # that number is still free
        self._move_on(now)
        return ()

    def subscribed(self, now: float) -> tuple[Do, ...]:
        """The broker has accepted us and our subscriptions."""
        if self.phase is not Phase.DIALLING:
            return ()
        self.phase = Phase.WAITING
        self.due = now + HOST_S if self._brokers > 1 else None
        return self._born() if not self._waits or self._host_online else ()

    def host_said(self, body: bytes, now: float) -> tuple[Do, ...]:
        """A STATE message of our primary host. One that is older than the last is not believed."""
        said = host.read(body)
        if not self._waits or self.phase is Phase.DOWN or said is None:
            return ()
        if said.timestamp < self._heard.get(self.broker, said.timestamp):
            return ()
        self._heard[self.broker], self._host_online = said.timestamp, said.online
        if said.online:
            return self._born() if self.phase is Phase.WAITING else ()
        if self.phase is Phase.ALIVE:
            self._move_on(now)
            return (Do.DEATH,)
        if self._brokers > 1:
            self._move_on(now)
            return (Do.DROP,)
        return ()

    def rebirth(self) -> tuple[Do, ...]:
        """A host asks for all that it missed."""
        return (Do.BIRTH,) if self.phase is Phase.ALIVE else ()

    def leave(self) -> tuple[Do, ...]:
        """We go on purpose."""
        was, self.phase, self.due = self.phase, Phase.DOWN, None
        return {Phase.ALIVE: (Do.DEATH,), Phase.DOWN: ()}.get(was, (Do.DROP,))

    def _born(self) -> tuple[Do, ...]:
        self.phase, self.due, self._fruitless = Phase.ALIVE, None, 0
        return (Do.BIRTH,)

    def _move_on(self, now: float) -> None:
        """To the next broker: at once, but with growing waits each time that the list is through."""
        self.phase = Phase.DOWN
        self.bdseq = (self.bdseq + 1) % SEQUENCES
        self.broker = (self.broker + 1) % self._brokers
        self._fruitless += 1
        rounds, rest = divmod(self._fruitless, self._brokers)
        first, longest = RETRY_S
        self.due = now if rest else now + min(longest, first * 2 ** min(rounds - 1, 5)) * self._jitter()
