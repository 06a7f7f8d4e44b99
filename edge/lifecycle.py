"""The words of ISA-18.2 / IEC 62682: states, what moves an alarm, which action makes sense where, the record of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from edge.priority import Priority


class State(enum.Enum):
    """Where an alarm stands; the letters are those of the standard's diagram."""

    NORMAL = "normal"  # A
    UNACKNOWLEDGED = "unacknowledged"  # B
    ACKNOWLEDGED = "acknowledged"  # C
    RETURNED_UNACKNOWLEDGED = "returned_unacknowledged"  # D
    LATCHED_UNACKNOWLEDGED = "latched_unacknowledged"  # E
    LATCHED_ACKNOWLEDGED = "latched_acknowledged"  # F
    SHELVED = "shelved"  # G
    SUPPRESSED = "suppressed_by_design"  # H
    OUT_OF_SERVICE = "out_of_service"  # I

    @property
    def hidden(self) -> bool:
        """Whether leaks are not announced."""
        return self in (State.SHELVED, State.SUPPRESSED, State.OUT_OF_SERVICE)

    @property
    def unacknowledged(self) -> bool:
        """Whether an operator has yet to take note."""
        return self in ACKNOWLEDGED

    @property
    def latched(self) -> bool:
        """Whether the leak is over and its alarm is not."""
        return self in (State.LATCHED_UNACKNOWLEDGED, State.LATCHED_ACKNOWLEDGED)


class Cause(enum.Enum):
    """What made an alarm move; of an operator's action, its command."""

    LEAK = "leak"
    LEAK_OVER = "leak_over"
    REALARM = "realarm"
    SHELVING_OVER = "shelving_over"
    PRIORITY = "priority"
    REMOVED = "removed"  # from the configuration
    ACK = "ack"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    OUT_OF_SERVICE = "out_of_service"
    IN_SERVICE = "in_service"
    RESET = "reset"
    SNAPSHOT = "snapshot"


ACKNOWLEDGED = {  # what an acknowledgement leads to
    State.UNACKNOWLEDGED: State.ACKNOWLEDGED,
    State.RETURNED_UNACKNOWLEDGED: State.NORMAL,
    State.LATCHED_UNACKNOWLEDGED: State.LATCHED_ACKNOWLEDGED,
}
_SHOWN = frozenset(state for state in State if not state.hidden)
SENSIBLE = {  # the states in which each action makes sense
    Cause.ACK: frozenset(ACKNOWLEDGED),
    Cause.SHELVE: _SHOWN | {State.SHELVED},  # again: from now on
    Cause.UNSHELVE: frozenset({State.SHELVED}),
    Cause.SUPPRESS: _SHOWN | {State.SHELVED},
    Cause.UNSUPPRESS: frozenset({State.SUPPRESSED}),
    Cause.OUT_OF_SERVICE: _SHOWN | {State.SHELVED, State.SUPPRESSED},
    Cause.IN_SERVICE: frozenset({State.OUT_OF_SERVICE}),
    Cause.RESET: frozenset({State.LATCHED_ACKNOWLEDGED}),
    Cause.SNAPSHOT: frozenset(State),
}
LEADS_TO = {  # whatever the state was
    Cause.SHELVE: State.SHELVED,
    Cause.SUPPRESS: State.SUPPRESSED,
    Cause.OUT_OF_SERVICE: State.OUT_OF_SERVICE,
    Cause.RESET: State.NORMAL,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one frame says to the alarm."""

    standing: bool  # whether a leak stands
    event_id: str  # of that leak; "" without one
    area_share: float
    confidence: float
    believable: bool


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of one alarm, for the record; `before` is `after` where only its priority or shelving moved."""

    id: str
    sequence: int  # from 1, without gaps, for one alarm
    camera: str
    zone: str  # "": the whole view
    utc: float
    cause: Cause
    before: State
    after: State
    priority: Priority
    event_id: str  # of the leak that the alarm is about; "": none
    standing: bool  # whether it stands
    area_share: float  # at the last believable frame
    confidence: float
    shelved_until_utc: float | None
    operator: str | None
    command_id: str | None
    comment: str | None
