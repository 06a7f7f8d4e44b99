"""Does the camera stand, move, or is there no telling? And where does it look?

    STILL ──the view leaves its place, and the fit is good──▶ MOVING ──a second in one place──▶ STILL
      └── corners move, no fit is good ──▶ LOST ◀── no fit is good ──┘      LOST ──a good fit──▶ MOVING

A camera that stands has one view, exactly, whatever noise does to the fit: a camera of which nothing is known moves not
at all. One that has moved is believed only as long as pictures fit: without structure there is no telling, and nothing
is guessed. What was lost is sought where it was last for half a second; after that the ground is new.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from edge.records import Array
from edge.registration import Fit, Key, Structure
from edge.warp import STILL, between, inverse

# px are those of the reduced pictures that registration compares
LEFT = 0.2  # px that its structure must be off before a view that stood has left its place…
SURE = 4.0  # …and this many standard deviations
UNEXPLAINED = 0.5  # share of the difference that may be left, or it is the scene that has changed
AT_ONCE = 0.6  # px; less must be seen twice in a row
WAKE = 0.125  # px that one step of the fit must find before a whole fit is worth its time
RESTED, REST_S = 0.15, 1.0  # px within which it must stay for so long to have come to rest
RENEW_S = 5.0  # a key for a still view is as old at most: shadows wander
FRESH_S = 1.0  # and for a view that moves: gas and people wander
OVERLAP = 0.85  # share of the view that must lie over the key
STALE = 0.9  # correlation with the key below which it is renewed while it still will do
LOST_S = 0.5  # for so long it is sought where it was


class State(enum.Enum):
    """What is known of the camera."""

    STILL = "still"
    MOVING = "moving"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Sight:
    """Of one picture."""

    state: State
    view: Array  # (3, 3): px of the picture -> px of the ground; of no meaning when lost
    renewed: bool = False  # the ground is another one: what was seen before cannot be placed on it
    fit: Fit | None = None  # where one was made


class Steady:
    """Looks at every picture of one camera in turn."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The next picture is the first one, and its view the ground."""
        self._state = State.STILL
        self._key: Key | None = None
        self._at: Array = STILL  # view of the key
        self._view: Array = STILL  # last that was good
        self._speed: Array = STILL  # px of a picture -> px of the one before it
        self._keyed = 0.0  # capture time
        self._off = 0  # pictures in a row that a still view was seen off its place
        self._rest: tuple[Array, float] = (STILL, 0.0)  # where it has been resting, and since when
        self._lost = 0.0  # capture time since which nothing fits
        self._doubted = False  # nothing but corners says that it is lost

    def step(self, plane: Array, captured: float, *, look: bool = True, prior: Array | None = None) -> Sight:
        """A picture (h, w) float32 0..1. `look`: whether a view that stands is due for a whole fit; `prior` (3, 3) is
        the motion that gyro or telemetry report, px of this picture -> px of the one before; it helps to search."""
        structure = Structure(plane)
        if self._key is None or self._key.structure.size != structure.size:
            self.reset()
            self._renew(structure, captured, STILL)
            return Sight(State.STILL, STILL, renewed=True)
        if self._state is State.STILL:
            return self._stand(structure, captured, look, prior)
        return self._move(structure, captured, prior)

    def told(self, moving: bool, captured: float) -> State:
        """What to make of it when corners, looked at now and then, say that the view moves, or that it does not."""
        if moving and self._state is State.STILL:
            self._state, self._lost, self._doubted = State.LOST, captured, True
        elif not moving and self._state is State.LOST and self._doubted:
            self._state, self._off = State.STILL, 0
        return self._state

    def _stand(self, structure: Structure, captured: float, look: bool, prior: Array | None) -> Sight:
        key = self._key
        assert key is not None
        told = prior is not None and key.way(prior) > LEFT
        if not (look or told or self._off or key.nudge(structure) > WAKE):
            return Sight(State.STILL, self._view)
        fit = key.fit(structure, STILL if prior is None or not told else prior)
        away = key.way(fit.matrix)
        if not fit.good or away < max(LEFT, SURE * fit.sigma) or fit.rest > UNEXPLAINED * key.rest(structure):
            self._off = 0
            if captured - self._keyed > RENEW_S:
                self._renew(structure, captured, self._view)
            return Sight(State.STILL, self._view, fit=fit)
        self._off += 1
        if away < AT_ONCE and self._off < 2:
            return Sight(State.STILL, self._view, fit=fit)
        self._state, self._off, self._speed = State.MOVING, 0, STILL
        return self._found(structure, captured, fit)

    def _move(self, structure: Structure, captured: float, prior: Array | None) -> Sight:
        key = self._key
        assert key is not None
        last = inverse(self._at) @ self._view
        guess = last @ (self._speed if prior is None else prior) if self._state is State.MOVING else last
        fit = key.fit(structure, guess, last if prior is None else guess)
        if fit.good:
            return self._found(structure, captured, fit)
        if self._state is State.MOVING:
            self._state, self._lost, self._doubted = State.LOST, captured, False
        if captured - self._lost < LOST_S:
            return Sight(State.LOST, self._view, fit=fit)
        self._renew(structure, captured, self._view)  # about there: an open leak may still be in its place
        self._lost = captured
        return Sight(State.LOST, self._view, renewed=True, fit=fit)

    def _found(self, structure: Structure, captured: float, fit: Fit) -> Sight:
        """A good fit of a view that moves."""
        key = self._key
        assert key is not None
        view: Array = self._at @ fit.matrix
        self._speed = inverse(self._view) @ view if self._state is State.MOVING else STILL
        self._state, self._view = State.MOVING, view
        old = captured - self._keyed > FRESH_S or fit.alike < STALE
        if old or overlap(fit.matrix, structure.plane) < OVERLAP:
            self._renew(structure, captured, view)
        off = between(view, self._rest[0])
        if off is not None and key.way(off) > RESTED:
            self._rest = view, captured
        elif captured - self._rest[1] >= REST_S:
            self._state, self._view = State.STILL, self._rest[0]
            self._renew(structure, captured, self._view)
        return Sight(self._state, self._view, fit=fit)

    def _renew(self, structure: Structure, captured: float, view: Array) -> None:
        self._key, self._at, self._keyed = Key(structure), view, captured


def overlap(transform: Array, size: tuple[int, int]) -> float:
    """Share of a picture (width, height) that lies over the key after a transform, roughly: 1 less its middle's way."""
    width, height = size
    right, down, far = map(float, transform @ (width / 2, height / 2, 1.0))
    return max(0.0, 1 - abs(right / far / width - 0.5)) * max(0.0, 1 - abs(down / far / height - 0.5))
