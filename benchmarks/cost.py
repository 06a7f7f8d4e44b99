"""What does it cost that a camera moves, and that it might? Part of `benchmarks.registration`.

    python -m benchmarks.registration --data ../shared/data --json benchmarks/registration.json

One ground without gas is filmed by one virtual camera that stands, that pans (2 px a frame) and that shakes (3 px rms),
and each film goes through a pipeline of its own, a frame of each in turn, so that whatever else the machine does falls
on all alike. What a moving camera adds is the difference to the standing one in the same turn: registration, drawing
what is remembered as the present view shows it, the background on its ground. What a standing one pays is `Watch.step`,
the registration with all the other questions that are asked of a picture; four times a second these take longer, so its
mean is given, too.

Each is set against the step of the segmenter while the camera stands, against all of that frame (step, summary, alarm),
and against the frame of `benchmarks.speed`: the golden clip, in which there is gas, through the same pipeline in the
same turns. All is CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from calibration.flight import FLIGHTS, Kind, look, track
from edge import condition, selftest
from edge.backend import Backend
from edge.condition import Condition
from edge.contract import ModelSpec
from edge.pipeline import taken
from edge.preprocess import Preprocessor
from edge.quality import Watch
from edge.records import Array, Frame
from edge.rules import AlarmSettings
from edge.segmenter import Segmenter
from edge.summary import Summariser
from edge.warp import shifted

SIZE = 240, 320  # height and width of the camera's picture
FPS = 15.0
MOVING: tuple[Kind, ...] = ("pan", "shake")
WARM = 30  # frames before costs count
TURNS = 300
clock: Callable[[], float] = time.process_time


class Channel:
    """A film through the production pipeline."""

    def __init__(self, spec: ModelSpec, backend: Backend, film: list[Array]) -> None:
        self._segmenter, self._summariser = Segmenter(spec, backend), Summariser()
        self._state, self._settings = Condition(), AlarmSettings()
        self._film = film
        self.steps: list[float] = []  # CPU ms of the segmenter
        self.frames: list[float] = []  # and of the whole frame

    def step(self, at: int) -> None:
        """One frame."""
        frame = Frame(self._film[at], at, at / FPS, at / FPS)
        began = clock()
        found = self._segmenter.step(frame)
        stepped = clock()
        summary = taken(found, self._summariser).summary
        self._state, _ = condition.step(self._state, summary, self._settings, camera="cost")
        self.steps.append(1e3 * (stepped - began))
        self.frames.append(1e3 * (clock() - began))


class Looks:
    """A film through what asks whether the camera moves."""

    def __init__(self, spec: ModelSpec, film: list[Array]) -> None:
        self._preprocessor, self._watch, self._film = Preprocessor(spec), Watch(), film
        self.steps: list[float] = []  # CPU ms

    def step(self, at: int) -> None:
        """One frame."""
        picture = self._preprocessor.geometry.crop(self._preprocessor.step(self._film[at])[0, 0])
        began = clock()
        self._watch.step(self._film[at], picture, at / FPS)
        self.steps.append(1e3 * (clock() - began))


def filmed(ground: Array, motion: Kind, frames: int, noise: float) -> list[Array]:
    """A flight over the middle of a ground (H, W), which it never leaves."""
    rng = np.random.default_rng(0)
    room = (ground.shape[1] - SIZE[1]) / 2, (ground.shape[0] - SIZE[0]) / 2
    views = shifted(*room) @ track(rng, replace(FLIGHTS[motion], room=room), SIZE, frames)
    return [shot(ground, view, rng, noise) for view in views]


def shot(ground: Array, view: Array, rng: np.random.Generator, noise: float) -> Array:
    """What the camera sees of a ground (H, W) in one view, uint8."""
    seen = look(ground, view, SIZE) + rng.normal(0, noise, SIZE)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def leaking(frames: int) -> list[Array]:
    """The golden clip there and back, at the camera's size."""
    clip = [cv2.resize(image, SIZE[::-1]) for image in selftest.golden().frames]
    there_and_back = clip + clip[-2:0:-1]
    return [there_and_back[at % len(there_and_back)] for at in range(frames)]


def measure(spec: ModelSpec, backend: Backend, ground: Array, noise: float, turns: int = TURNS) -> dict[str, Any]:
    """Medians in CPU ms of each step and frame; what is added by a motion, and what a standing camera pays for being
    watched, each with its shares."""
    frames = WARM + turns
    films: dict[str, list[Array]] = {motion: filmed(ground, motion, frames, noise) for motion in ("still", *MOVING)}
    channels = {name: Channel(spec, backend, film) for name, film in (films | {"leak": leaking(frames)}).items()}
    looks = Looks(spec, films["still"])
    for at in range(frames):
        for channel in channels.values():
            channel.step(at)
        looks.step(at)
    step = {name: middle(one.steps) for name, one in channels.items()}
    frame = {name: middle(one.frames) for name, one in channels.items()}
    added = {motion: np.subtract(channels[motion].steps, channels["still"].steps)[WARM:] for motion in MOVING} | {
        "watched": np.array(looks.steps[WARM:])
    }
    wholes = {"of_step": step["still"], "of_frame": frame["still"], "of_leak_frame": frame["leak"]}
    return {
        "turns": turns,
        "step_ms": step,
        "frame_ms": frame,
        "added": {
            name: {"ms": float(np.median(ms)), "mean_ms": float(ms.mean())}
            | {of: float(np.median(ms)) / whole for of, whole in wholes.items()}
            for name, ms in added.items()
        },
    }


def middle(ms: list[float]) -> float:
    """Median once warm."""
    return float(np.median(ms[WARM:]))
