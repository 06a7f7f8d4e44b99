"""Views from a camera that flies over the ground, and what a registration makes of its flight.

The ground is a still from a drone, a frame of gas-free footage or a procedural scene, larger than the view; structures
nearer to the camera shift by more than the ground does, which no registration of the ground undoes: what is left of
them in every difference is no gas. Footage of a camera that moved is registered as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.flight import draw_flight, look, misread, registered, texture, track
from calibration.footage import Crop, Footage
from calibration.noise import NoiseBank
from calibration.scene import procedural, structure
from calibration.view import Course, View
from edge.records import Array

BEFORE = (20, 11, 4)  # frames before the first one, from which its background is
CANVAS = 1.7  # sides of a procedural ground and of a layer, in those of the view


@dataclass(frozen=True, slots=True)
class Layer:
    """Structures on a canvas around the hovering view, float32 0..1; `parallax` times the ground's shift."""

    grey: Array
    solid: Array
    parallax: float

    def place(self, matrix: Array, size: tuple[int, int]) -> Array:
        """From the px of a view of (height, width) that the ground sees at `matrix` to those of the canvas."""
        centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2, 1.0])
        aside = (np.array(self.grey.shape[::-1]) - size[::-1]) / 2
        placed = matrix.copy()
        placed[:2, 2] += (self.parallax - 1) * (matrix[:2] @ centre - centre[:2]) + aside
        return placed


def overflight(
    rng: np.random.Generator,
    bank: NoiseBank,
    footage: Footage | None,
    size: tuple[int, int],
    frames: int,
    pace: float = 1.0,
) -> View:
    """A random flight over random ground; `pace` is the time between frames, in units of 1/15 s."""
    flight = draw_flight(rng, size, pace)
    path = track(rng, flight, size, frames, BEFORE[0])
    picture, place = ground(rng, bank, footage, size)
    layers = [layer(rng, bank, size) for _ in range(int(rng.choice([0, 0, 0, 1, 1, 2])))]
    told, first = path[BEFORE[0] :], path[BEFORE[0]]
    bare = [look(picture, place @ matrix, size).astype(np.float32) / np.float32(255) for matrix in told]
    shown, near = [seen.copy() for seen in bare], np.zeros((frames, *size), np.float32)
    for one in layers:
        for seen, solid, matrix in zip(shown, near, told, strict=True):
            np.maximum(solid, stand_before(seen, one, one.place(matrix, size)), out=solid)
    earlier, fresh = [], np.zeros(size, bool)
    for past in (path[BEFORE[0] - back] for back in BEFORE):
        aligned, back = bare[0].copy(), np.linalg.inv(past) @ first
        for one in layers:  # the ground is where it is now, what is nearer was elsewhere
            stand_before(aligned, one, one.place(past, size) @ back)
        earlier.append(aligned)
        fresh |= look(np.ones(size, np.uint8), back, size, nearest=True, outside=0) == 0
    read = misread(rng, told, texture(shown[0]))
    return View(np.stack(shown), np.stack(earlier), course=Course(told, read, flight, near if layers else None, fresh))


def ground(
    rng: np.random.Generator, bank: NoiseBank, footage: Footage | None, size: tuple[int, int]
) -> tuple[Array, Array]:
    """A picture (h, w) uint8, and the matrix from the px of the hovering view to its px."""
    kind = rng.random()
    if footage is None or kind < 0.25:
        canvas = round(CANVAS * size[0]), round(CANVAS * size[1])
        view = procedural(rng, bank, canvas, 1, 1)
        picture, scale = np.rint(255 * view.frames[0]).astype(np.uint8), rng.uniform(0.7, 1.0)
    elif kind < 0.7 and footage.stills:
        picture, scale = footage.stills[rng.integers(len(footage.stills))], rng.uniform(1.0, 2.2)
    else:
        films = footage.scenes[rng.integers(len(footage.scenes))]
        film = films[rng.integers(len(films))][0]
        picture, scale = film[rng.integers(len(film))], rng.uniform(0.7, 1.2)
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.4 else 0.0
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    middle = np.array(picture.shape[::-1]) * rng.uniform(0.35, 0.65, 2)
    x, y = (size[1] - 1) / 2, (size[0] - 1) / 2
    return picture, np.array([[c, -s, middle[0] - c * x + s * y], [s, c, middle[1] - s * x - c * y], [0, 0, 1]])


def layer(rng: np.random.Generator, bank: NoiseBank, size: tuple[int, int]) -> Layer:
    """One to three structures that stand nearer to the camera than the ground."""
    canvas = round(CANVAS * size[0]), round(CANVAS * size[1])
    grey, solid = np.zeros(canvas, np.float32), np.zeros(canvas, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        structure(rng, grey, solid)
    if rng.random() < 0.5:  # rust, dents, shadows: what there is to register on them
        grey = grey + np.float32(rng.uniform(0.01, 0.08)) * bank.still(rng, canvas, rng.uniform(0.3, 1.5))
    return Layer(grey.clip(0, 1).astype(np.float32), solid, float(1 + np.exp(rng.uniform(np.log(0.05), np.log(1.0)))))


def stand_before(seen: Array, one: Layer, matrix: Array) -> Array:
    """Put a layer into a view, in place; gives its opacity there."""
    solid = look(one.solid, matrix, seen.shape, outside=0)
    seen += (look(one.grey, matrix, seen.shape) - seen) * solid
    return solid


def chase(rng: np.random.Generator, footage: Footage, size: tuple[int, int], frames: int, stride: int) -> View | None:
    """Footage of a moving camera, registered; None where there is none or it cannot be registered."""
    if not footage.chases:
        return None
    film = footage.chases[rng.integers(len(footage.chases))]
    if len(film) < (frames + 1) * stride:
        return None
    start = int(rng.integers(0, len(film) - frames * stride))
    crop = Crop(rng, film.shape[1:], size)
    shown = np.stack([crop(film[start + t * stride]) for t in range(frames)])
    path = registered(np.rint(255 * shown).astype(np.uint8))
    if path is None:
        return None
    return View(shown, shown[:1], course=Course(path, path, fresh=np.ones(size, bool)))
