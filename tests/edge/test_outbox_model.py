"""The outbox against a plain model of it, over random histories."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.outbox import Outbox
from edge.store import Message, Priority
from tests.edge.outboxes import (
    ALARM,
    FULL,
    READ_ONLY,
    SMALL,
    Clock,
    spoil,
    waiting,
)


@dataclass
class Model:
    """The same queue as plain lists."""

    rows: list[tuple[str, Priority, float]] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    dropped: int = 0

    def write(self, messages: list[Message], states: dict[str, str | None], removed: list[str], now: float) -> None:
        self.rows = [row for row in self.rows if row[0] not in removed]
        self.rows += [(said.body.decode(), said.priority, now) for said in messages]
        before = len(self.rows)
        limit = now - SMALL.max_age_days * 86_400
        self.rows = [row for row in self.rows if row[1] is ALARM or not self._aged(row, limit)]
        while self.size > SMALL.max_bytes:
            self.rows.remove(min(self.rows, key=lambda row: row[1]))  # the first of the least
        self.dropped += before - len(self.rows)
        self.states = {k: v for k, v in {**self.states, **states}.items() if v is not None}

    def _aged(self, row: tuple[str, Priority, float], limit: float) -> bool:
        """Those of one kind go in order: one that seems young, by a clock that was wrong, holds up those behind it."""
        kind = [other for other in self.rows if other[1] is row[1]]
        return all(other[2] < limit for other in kind[: kind.index(row) + 1])

    @property
    def size(self) -> int:
        return sum(Message("t", text.encode(), priority).size for text, priority, _ in self.rows)


WRITES = st.tuples(
    st.just("write"),
    st.lists(st.tuples(st.sampled_from(Priority), st.sampled_from([0, 9_000, 40_000])), max_size=4),
    st.dictionaries(st.sampled_from(["north", "south"]), st.sampled_from([None, "1", "2"])),
    st.sets(st.integers(0, 5)),
)
STEPS = st.one_of(
    WRITES,
    WRITES,
    st.tuples(st.just("wait"), st.sampled_from([-3600.0, 60.0, 3600.0, 5 * 86_400.0])),
    st.tuples(st.sampled_from(["restart", "full", "read-only", "retry"])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_any_history_ends_as_in_the_model(steps):
    clock, model, put = Clock(), Model(), 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "box.db"
        queue = Outbox(path, SMALL, clock)
        for step in steps:
            if step[0] == "write":
                messages = [Message("t", f"{put + n} {'x' * size}".encode(), p) for n, (p, size) in enumerate(step[1])]
                put += len(messages)
                held = queue.first(6)
                removed = [held[n] for n in step[3] if n < len(held)]
                queue.write(messages, step[2], [id_ for id_, _ in removed])
                model.write(messages, step[2], [said.body.decode() for _, said in removed], clock.now)
            elif step[0] == "wait":
                clock.now += step[1]
            elif step[0] == "restart" and queue.standing().on_disk:
                queue.close()
                queue = Outbox(path, SMALL, clock)
                model.dropped = 0
            elif step[0] == "retry":
                queue._next_try = 0.0
            elif queue.standing().on_disk:
                spoil(queue, FULL if step[0] == "full" else READ_ONLY)
            assert waiting(queue) == [text for text, _, _ in model.rows]
            assert queue.states() == model.states
            standing = queue.standing()
            assert (standing.depth, standing.bytes) == (len(model.rows), model.size)
            assert sum(count for _, count in standing.dropped) == model.dropped
        queue.close()
