"""Clips as a virtual camera sees them: the same footage, still and moving, with its truth moved along.

    Flown.over(clip, FLIGHTS["pan"], seed=1)     any clip, through a smaller window that goes about in its view
    flights(data)                                an hour of gas-free views from moving cameras

A seed and a clip's name make one flight, whichever process asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np

from calibration.clips import Box, Clip, GasFree, Truth, aerial_stills, index, thermal_background
from calibration.flight import Flight, draw_flight, look, roll_rows, rows_late, track
from calibration.footage import MOVING
from edge.records import Array, Frame

WINDOW = 0.7  # of a clip's width and height: 224x168 of 320x240
BLOCK = 4096  # frames that a track is made for at a time

# the hour of gas-free flights
STILL_S, STILL_FPS, STILL_SIZE = 46.0, 15.0, (256, 320)
STILL_SCALE = (0.8, 1.4)  # px of the still to each px of the view: altitudes
NOISE = 1.0  # grey levels, standard deviation: a still has none of its own from frame to frame
LEAST = 0.3  # px in 1/15 s: a flight that moves less does not count
PASSES = 2  # over each clip of a camera that stands still


@dataclass(frozen=True, slots=True)
class Way:
    """A flight over pictures of (height, width) through a window of `size`."""

    flight: Flight
    seed: int
    name: str
    whole: tuple[int, int]
    size: tuple[int, int]

    def window(self, image: Array, index: int, *, nearest: bool = False) -> Array:
        """What of a picture (H, W) or (H, W, 3) is seen at a frame."""
        path, late = _course(self, 1 + index // BLOCK)
        aside = [(full - part) / 2 for full, part in zip(self.whole[::-1], self.size[::-1], strict=True)]
        place = np.array([[1, 0, aside[0]], [0, 1, aside[1]], [0, 0, 1.0]])
        seen = look(image, place @ path[index], self.size, nearest=nearest)
        return seen if late is None else roll_rows(seen, late[index], nearest=nearest)


@lru_cache(maxsize=4)
def _course(way: Way, blocks: int) -> tuple[Array, Array | None]:
    """The track, and the rolling shutter's lag where it rolls; longer ones begin as shorter ones do."""
    seed = [way.seed, crc32(way.name.encode())]
    path = track(np.random.default_rng(seed), way.flight, way.size, blocks * BLOCK)
    if not way.flight.readout:
        return path, None
    return path, rows_late(np.random.default_rng(seed), way.flight, path, way.size[0])


@dataclass(frozen=True, slots=True)
class Moved:
    """The truth of a clip along a way."""

    truth: Truth
    way: Way

    def at(self, index: int) -> Array | Box | None:
        known = self.truth.at(index)
        if known is None:
            return None
        if not isinstance(known, Box):
            return self.way.window(known.astype(np.uint8), index, nearest=True) > 0
        whole = np.zeros(self.way.whole, np.uint8)
        whole[known.y1 : known.y2 + 1, known.x1 : known.x2 + 1] = 1
        x, y, width, height = cv2.boundingRect(self.way.window(whole, index, nearest=True))
        return Box(x, y, x + width - 1, y + height - 1) if width else None


@dataclass(frozen=True, slots=True)
class Flown(Clip):
    """A clip as a camera sees it that goes about within its view."""

    way: Way = field(kw_only=True)

    @classmethod
    def over(cls, clip: Clip, flight: Flight, seed: int, name: str | None = None) -> Flown:
        """Reads the first frame, for its size. Raises SourceError."""
        first = next(iter(clip.frames()))
        whole = first.image.shape[:2]
        size = round(WINDOW * whole[0]), round(WINDOW * whole[1])
        room = (whole[1] - size[1]) / 2, (whole[0] - size[0]) / 2
        way = Way(replace(flight, room=tuple(map(min, flight.room, room))), seed, name or clip.name, whole, size)
        truth = GasFree(size) if isinstance(clip.truth, GasFree) else Moved(clip.truth, way)
        told = {one.name: getattr(clip, one.name) for one in fields(Clip)}
        return cls(**{**told, "truth": truth, "name": name or clip.name}, way=way)

    def frames(self) -> Iterator[Frame]:
        """Decode from the beginning. Raises SourceError."""
        for frame in Clip.frames(self):
            yield replace(frame, image=self.way.window(frame.image, frame.index))


@dataclass(frozen=True, slots=True)
class Surveyed(Clip):
    """A still, flown over for a time, with the noise of a camera; no gas."""

    way: Way = field(kw_only=True)
    scale: float = 1.0  # px of the still to each px of the picture that the way goes over

    def frames(self) -> Iterator[Frame]:
        """Decode the still, and fly. Raises SourceError."""
        (still,) = islice(Clip.frames(self), 1)
        grey = still.image if still.image.ndim == 2 else cv2.cvtColor(still.image, cv2.COLOR_BGR2GRAY)
        ground = cv2.resize(
            grey, self.way.whole[::-1], interpolation=cv2.INTER_AREA if self.scale > 1 else cv2.INTER_CUBIC
        )
        rng = np.random.default_rng(self.way.seed)
        for at in range(round(STILL_S * STILL_FPS)):
            seen = self.way.window(ground.astype(np.float32), at)
            noisy = seen + NOISE * rng.standard_normal(seen.shape, np.float32)
            image = np.rint(noisy).clip(0, 255).astype(np.uint8)
            yield Frame(image, at, at / STILL_FPS, still.utc + at / STILL_FPS)


def flights(data: Path) -> list[Clip]:
    """Gas-free views of moving cameras that training did not see, an hour in all: clips of cameras that moved, virtual
    flights over clips of cameras that stood still, and over stills; names say which. Raises SourceError."""
    shifts = {Path(row["file"]).stem: float(row["max_shift_px_per_s"]) for row in index(data, "val")}
    films = thermal_background(data, "val")
    moved = [replace(clip, name=f"moved/{clip.name}") for clip in films if shifts[clip.name] > MOVING]
    still = [clip for clip in films if shifts[clip.name] <= MOVING]
    over = [_pass(clip, number) for number in range(PASSES) for clip in still]
    return [*moved, *over, *(_survey(clip) for clip in aerial_stills(data, "val"))]


def _pass(clip: Clip, number: int) -> Clip:
    """A virtual flight over a film of 30 frames a second."""
    name = f"film/{clip.name}.{number}"
    shape = np.asarray(clip.truth.at(0)).shape
    flight = _under_way(np.random.default_rng(crc32(name.encode())), shape, pace=0.5)
    return Flown.over(clip, flight, number, name)


def _survey(clip: Clip) -> Clip:
    """A virtual flight over a still."""
    name = f"still/{clip.name}"
    rng = np.random.default_rng(crc32(name.encode()))
    scale = float(np.exp(rng.uniform(*np.log(STILL_SCALE))))
    height, width = np.asarray(clip.truth.at(0)).shape
    whole = round(height / scale), round(width / scale)
    room = (whole[1] - STILL_SIZE[1]) / 2, (whole[0] - STILL_SIZE[0]) / 2
    flight = _under_way(rng, STILL_SIZE)
    way = Way(replace(flight, room=tuple(map(min, flight.room, room))), 0, name, whole, STILL_SIZE)
    return Surveyed(name, clip.source, GasFree(STILL_SIZE), STILL_FPS, way=way, scale=scale)


def _under_way(rng: np.random.Generator, size: tuple[int, int], pace: float = 1.0) -> Flight:
    """A random flight that can be seen to move."""
    while True:
        flight = draw_flight(rng, size, pace)
        if max(np.hypot(flight.pan, flight.tilt), flight.shake, abs(flight.orbit) * max(size) / 2) > LEAST * pace:
            return flight
