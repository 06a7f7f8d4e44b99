"""The memory that the network does not have: earlier frames and outputs, addressed by capture time.

    state = ring.read(now, frame)        # every state input of the graph, by name
    outputs = backend.run({"frame": frame, "clock": clock, **state})
    ring.write(now, frame, outputs)      # what later steps will look back on

A lag is answered by the remembered step whose age is nearest to it, whatever the frame rate and whichever frames were
lost; a step younger than 0.6 or older than 1.6 of the lag would show other motion than the one that the network was
trained on, and counts as missing. So frame rates from 5 a second on will do for the short lag of 0.133 s (at 9 fps the
step 0.111 s ago answers it), and there is no upper limit: steps nearer to each other than about a quarter of the
shortest lag are not kept, and memory stays the same at 60 fps.

Where the camera moves, both calls are given its `view` of the ground (see `edge.warp`), and everything is drawn as the
present view shows it; where a remembered step did not see the ground, the frame or zeros stand in as for a missing one.
As long as the view stays the same, what the last step left is handed out bit for bit, and what lags look back on as
`edge.packed` keeps it.

Everything is allocated once. What `read` gives holds until the next `write`, or
the next `read` of any ring in the same thread: cameras that take turns unpack into the same buffers, which so stay in
the processor's cache.
"""

from __future__ import annotations

import functools
import math
import threading

import numpy as np

from edge.contract import ModelSpec
from edge.errors import ModelError
from edge.ground import Ground
from edge.packed import Packed
from edge.records import Array
from edge.warp import STILL, between, draw, draw_planes, draw_planes_aside, in_cells, slide

YOUNGEST, OLDEST = 0.6, 1.6  # ages that answer a lag, as a share of it
SPACING = 0.25 * 0.8  # of the shortest lag between two slots; a fifth is left for the jitter of a 30 fps camera
NEVER = -math.inf
Motion = tuple[Array, tuple[float, float] | None]  # (3, 3), as `edge.warp` has it, and the shift that does the same


class Ring:
    """Temporal state of one camera under one model. Capture times must rise from write to write; `reset` where not."""

    def __init__(self, spec: ModelSpec) -> None:
        lags = sorted({state.lag_s for state in spec.states.values() if state.lag_s > 0})
        self._states = spec.states
        self._size = spec.size[1], spec.size[0]  # height and width
        self._lags = lags
        self._spacing = SPACING * lags[0] if lags else math.inf
        slots = enough(lags[-1], self._spacing) if lags else 0
        shapes = {s.source: spec.inputs[name].shape for name, s in spec.states.items()}
        lagged: dict[str, float] = {}  # longest lag of each source
        for state in spec.states.values():
            if state.lag_s > 0:
                lagged[state.source] = max(state.lag_s, lagged.get(state.source, 0.0))
        grounds = sorted({s.source for s in spec.states.values() if s.lag_s == 0 and s.missing == "frame"})
        recent = sorted({s.source for s in spec.states.values() if s.lag_s == 0 and s.missing != "frame"})
        self._history = {source: Packed(enough(lag, self._spacing), shapes[source]) for source, lag in lagged.items()}
        self._recent: dict[str, Array] = {source: np.zeros(shapes[source], np.float32) for source in recent}
        self._grounds: dict[str, Ground] = {source: Ground(*shapes[source][2:]) for source in grounds}
        self._given: dict[str, Array] = {}  # by the last `read`: what the graph's change is measured against
        self._zeros: dict[str, Array] = {
            name: nothing(spec.inputs[name].shape) for name, s in spec.states.items() if s.missing == "zeros"
        }
        self._captured = np.full(slots, NEVER)  # of each slot
        self._views: Array = np.stack([STILL] * slots) if slots else np.zeros((0, 3, 3))  # of each slot
        self._view: Array = STILL  # of the previous step
        self.started = NEVER  # capture time of the first step since the last reset
        self._count = 0  # steps kept since the last reset: each goes into the slot after the last one's
        self._last = NEVER  # capture time of the previous step, kept in a slot or not
        # states in the grey scale of the frame: what `rescale` changes
        pictures = {s.source for s in spec.states.values() if s.missing == "frame"}
        self._pictures = [kept for source, kept in self._history.items() if source in pictures]

    @property
    def last(self) -> float | None:
        """Capture time of the previous step; None after a reset."""
        return None if self._last == NEVER else self._last

    def clock(self, captured: float) -> tuple[float, float]:
        """Seconds since the previous step, and since the first one; 0 for a first one itself."""
        return (0.0, 0.0) if self._last == NEVER else (captured - self._last, captured - self.started)

    def read(self, captured: float, frame: Array, view: Array | None = STILL) -> dict[str, Array]:
        """Every state input for a step at `captured`, as views; `frame` stands in where the ModelSpec says so. Without
        a view nothing is known of the past, and such a step is not to be written."""
        slots = {lag: self._nearest(captured, lag) for lag in self._lags}
        moved = {} if view is None else {s: self._moved(view, self._views[s]) for s in slots.values() if s is not None}
        found: dict[str, Array] = {}
        thread = threading.get_ident()
        for name, state in self._states.items():
            slot, missing = slots.get(state.lag_s), frame if state.missing == "frame" else self._zeros[name]
            if view is None:
                found[name] = missing
            elif state.lag_s == 0 and state.source in self._grounds:
                shown = self._grounds[state.source].read(view, frame[0, 0])
                found[name] = self._given[state.source] = frame if shown.base is frame else shown[None, None]
            elif state.lag_s == 0 and self._last != NEVER:
                found[name] = self._seen(name, self._recent[state.source], self._moved(view, self._view), missing)
            elif slot is not None:
                kept = self._history[state.source]
                into = name if moved[slot] is None else "to be drawn"  # which is done with before the next one comes
                past = kept.get(self._place(state.source, slot), buffer(thread, into, kept.shape))
                found[name] = self._seen(name, past, moved[slot], missing)
            else:
                found[name] = missing
        return found

    def write(self, captured: float, frame: Array, outputs: dict[str, Array], view: Array = STILL) -> None:
        """Remember a step: what it was given and what it computed, `read` before it with the same view."""
        clock = self.clock(captured)
        if self._last == NEVER:
            self.started = captured
        for source, ground in self._grounds.items():
            given = self._given.get(source, frame)
            changed = frame if source == "frame" else outputs[source]
            ground.write(view, frame[0, 0], given[0, 0], changed[0, 0], outputs["logits"][0, 0], clock)
        for source, recent in self._recent.items():
            np.copyto(recent, frame if source == "frame" else outputs[source])
        self._last, self._view = captured, view
        if not self._lags or captured - self._captured[(self._count - 1) % len(self._captured)] < self._spacing:
            return
        for source, kept in self._history.items():
            kept.put(self._count % len(kept), frame if source == "frame" else outputs[source])
        slot = self._count % len(self._captured)
        self._captured[slot], self._views[slot] = captured, view
        self._count += 1

    def skip(self, captured: float) -> None:
        """A step passes of which nothing is remembered."""
        if self._last != NEVER:
            self._last = captured

    def _moved(self, view: Array, then: Array) -> Motion | None:
        """From the present view to a past one; None where both are the same."""
        transform = between(view, then)
        return None if transform is None else (transform, slide(transform, self._size))

    def _seen(self, name: str, past: Array, moved: Motion | None, missing: Array) -> Array:
        """A remembered state (1, C, h, w) as the present view shows it."""
        if moved is None:
            return past
        transform, way = moved
        out = buffer(threading.get_ident(), f"{name} drawn", past.shape)
        cell = self._size[1] / out.shape[3]  # px
        if way is not None:
            draw_planes_aside(past[0], (way[0] / cell, way[1] / cell), out[0], missing[0])
        elif missing is self._zeros.get(name):
            draw_planes(past[0], in_cells(transform, cell), out[0])
        else:
            np.copyto(out, missing)
            for plane, drawn in zip(past[0], out[0], strict=True):
                draw(plane, in_cells(transform, cell), drawn)
        return out

    def age(self, captured: float, lag: float) -> float | None:
        """How old the step is that answers a lag, in seconds; None where it is missing."""
        slot = self._nearest(captured, lag)
        return None if slot is None else float(captured - self._captured[slot])

    def rescale(self, gain: float, offset: float) -> None:
        """Bring the remembered pictures to the scale of a camera that has changed its gain: x -> gain x + offset."""
        for kept in self._pictures:
            kept.rescale(gain, offset)
        for ground in self._grounds.values():
            ground.rescale(gain, offset)

    def reset(self) -> None:
        """Forget everything."""
        self._captured.fill(NEVER)
        self._count = 0
        self._last = NEVER
        for ground in self._grounds.values():
            ground.reset()

    def dump(self) -> dict[str, Array]:
        """A copy of all that is remembered; a ring that loads it goes on bit for bit."""
        return {name: array.copy() for name, array in self._arrays().items()} | {
            "cursor": np.array([self._count, self._last, self.started, *self._view.ravel()], np.float64),
            **{f"{source}/cursor": ground.cursor() for source, ground in self._grounds.items()},
        }

    def load(self, state: dict[str, Array]) -> None:
        """Take over what `dump` gave, from a ring of the same ModelSpec. Raises ModelError where it does not fit."""
        own = self._arrays()
        for name, array in own.items():
            if name not in state or state[name].shape != array.shape:
                found = state[name].shape if name in state else "absent"
                raise ModelError(
                    f"state '{name}' is {found}, this model wants {array.shape}; dump it from the same model"
                )
        for name, array in own.items():
            np.copyto(array, state[name])
        self._count, self._last, self.started = int(state["cursor"][0]), *map(float, state["cursor"][1:3])
        self._view = state["cursor"][3:].reshape(3, 3).copy()
        for source, ground in self._grounds.items():
            ground.resume(state[f"{source}/cursor"])

    def _place(self, source: str, slot: int) -> int:
        """Where a source keeps the step of a slot; its own slots are fewer where its longest lag is shorter."""
        last = self._count - 1
        return (last - (last - slot) % len(self._captured)) % len(self._history[source])

    def _nearest(self, captured: float, lag: float) -> int | None:
        """The slot that answers a lag, None where no age is fit."""
        found, least = None, math.inf
        for slot, then in enumerate(self._captured.tolist()):  # so few are quicker without numpy
            age = captured - then
            if YOUNGEST * lag <= age <= OLDEST * lag and abs(age - lag) < least:
                found, least = slot, abs(age - lag)
        return found

    def _arrays(self) -> dict[str, Array]:
        history = {f"history/{source}": kept.numbers for source, kept in self._history.items()}
        units = {f"units/{source}": kept.units for source, kept in self._history.items()}
        recent = {f"recent/{source}": array for source, array in self._recent.items()}
        grounds = {f"{source}/{n}": a for source, ground in self._grounds.items() for n, a in ground.arrays().items()}
        return {"captured": self._captured, "views": self._views, **history, **units, **recent, **grounds}


@functools.cache
def buffer(thread: int, name: str, shape: tuple[int, ...]) -> Array:
    """Where a thread unpacks a state of that name."""
    return np.empty(shape, np.float32)


@functools.cache
def nothing(shape: tuple[int, ...]) -> Array:
    """Zeros that all cameras share; nobody writes into them."""
    return np.zeros(shape, np.float32)


def enough(lag: float, spacing: float) -> int:
    """Slots that hold every step which may answer a lag, seconds."""
    return math.ceil(OLDEST * lag / spacing) + 2
