"""How well are the pictures of a moving camera laid over each other, when is it said that they cannot be, at what cost?

    python -m benchmarks.registration --data ../shared/data --json benchmarks/registration.json
    python -m benchmarks.registration --data ../shared/data --stills 4 --seconds 2

A virtual camera cuts 320 x 240 px out of larger stills, by a motion that is known to the last digit: a pan, a tilt, a
shake, a turn, a zoom, each seeded. Noise of one grey level and the rounding to 8 bits come after the cut. The error is
that of a place of the past picture, 0.133 s and 0.533 s ago, as `edge.steady` lays it: the root mean square over a grid
of the present view, in px of the model's input. Frames that are flagged as lost have none and are counted.

Untextured pictures are the same stills, all structure taken away but the noise: there every frame must be flagged once
the camera has moved. The cost is the CPU time of one frame, that of the registration and that of the ring.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import machine
from benchmarks.table import show
from calibration.clips import aerial_stills, root, thermal_background
from edge import contract
from edge.errors import FgstpError, SourceError
from edge.quality import CHECK_S
from edge.records import STILL, Array
from edge.ring import Ring
from edge.steady import State, Steady
from edge.warp import between, carried

WIDTH, HEIGHT, FPS = 320, 240, 15.0
LAGS = {"short": 2, "long": 8}  # frames: 0.133 s and 0.533 s
MOTIONS = ("still", "pan", "tilt", "shake", "turn", "zoom")
FLAT_AFTER = 2.0  # seconds into a flight whose ground loses its structure
GRID: Array = np.stack(np.meshgrid(np.linspace(20, 300, 5), np.linspace(20, 220, 4)), axis=-1).reshape(-1, 2)


def flight(motion: str, size: tuple[int, int], frames: int, rng: np.random.Generator) -> Iterator[Array]:
    """Px of each frame -> px of the still (width, height), (3, 3)."""
    speed, angle = rng.uniform(0.5, 2.5), {"pan": 0.0, "tilt": np.pi / 2}.get(motion, 0.0)
    room = np.array([size[0] - WIDTH, size[1] - HEIGHT]) / 2 - 10
    for at in range(frames):
        turn, zoom, shift = 0.0, 1.0, np.zeros(2)
        if motion in ("pan", "tilt"):
            way = speed * at * np.array([np.cos(angle), np.sin(angle)])
            shift = room - np.abs((way + room) % (4 * room) - 2 * room)  # there and back
        elif motion == "shake":
            shift, turn = rng.normal(0, 3, 2), rng.normal(0, 0.003)
        elif motion == "turn":
            turn = 0.15 * np.sin(2 * np.pi * at / 60)
        elif motion == "zoom":
            zoom = 1 + 0.1 * np.sin(2 * np.pi * at / 60)
        yield placed(np.array(size) / 2 + shift, turn, zoom)


def placed(middle: Array, turn: float, zoom: float) -> Array:
    """The view whose middle lies there on the still."""
    cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
    linear = np.array([[cos, -sin], [sin, cos]])
    made = np.eye(3)
    made[:2, :2], made[:2, 2] = linear, middle - linear @ np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    return made


def shot(still: Array, view: Array, rng: np.random.Generator, noise: float) -> Array:
    """The plane (h, w) float32 0..1 that the camera sees there, through 8 bits."""
    cut = cv2.warpAffine(still, view[:2], (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    grey = np.clip(np.rint(cut + rng.normal(0, noise, cut.shape)), 0, 255)
    return grey.astype(np.float32) / np.float32(255)


def fly(still: Array, motion: str, frames: int, seed: int, noise: float) -> dict[str, Any]:
    """Errors (px) by lag, how many frames were flagged, and CPU seconds a frame."""
    rng = np.random.default_rng(seed)
    steady = Steady()
    past: list[tuple[Array, Array, State]] = []
    cost: list[float] = []
    errors: dict[str, list[float]] = {name: [] for name in LAGS}
    lost = 0
    for at, truth in enumerate(flight(motion, still.shape[::-1], frames, rng)):
        plane = shot(still, truth, rng, noise)
        began = time.thread_time()
        sight = steady.step(plane, at / FPS, look=at % round(CHECK_S * FPS) == 0)
        cost.append(time.thread_time() - began)
        past = [] if sight.renewed else past
        past.append((truth, sight.view, sight.state))
        lost += sight.state is State.LOST
        for name, lag in LAGS.items():
            if len(past) > lag and State.LOST not in (sight.state, past[-1 - lag][2]):
                errors[name].append(apart(past[-1], past[-1 - lag]))
    return {"errors": errors, "lost": lost, "frames": frames, "cost": cost}


def apart(now: tuple[Array, Array, State], then: tuple[Array, Array, State]) -> float:
    """How far off the found transform is from the true one, px, root mean square over the view."""
    found, true = (between(a, b) for a, b in ((now[1], then[1]), (now[0], then[0])))
    off = carried(GRID, STILL if found is None else found) - carried(GRID, STILL if true is None else true)
    return float(np.sqrt(np.square(off).sum(axis=1).mean()))


def faded(still: Array, seed: int, noise: float, frames: int) -> dict[str, Any]:
    """A pan whose ground loses its structure: how many frames are flagged after half a second without."""
    rng = np.random.default_rng(seed)
    steady, flagged, seen = Steady(), 0, 0
    for at, view in enumerate(flight("pan", still.shape[::-1], frames, rng)):
        flat = at / FPS >= FLAT_AFTER
        plane = shot(np.full_like(still, still.mean()) if flat else still, view, rng, noise)
        sight = steady.step(plane, at / FPS)
        if at / FPS >= FLAT_AFTER + 0.5:
            seen, flagged = seen + 1, flagged + (sight.state is State.LOST)
    return {"frames": seen, "flagged": flagged}


def ring_cost(frames: int) -> dict[str, float]:
    """CPU ms that a step of the shipped model's ring takes, with a view that stands and one that moves."""
    spec, _ = contract.load("student.int8")
    rng = np.random.default_rng(0)
    frame = rng.random(spec.inputs["frame"].shape, np.float32)
    outputs = {name: rng.random(tensor.shape, np.float32) for name, tensor in spec.outputs.items()}
    found = {}
    for name, speed in (("still", 0.0), ("moving", 1.7)):
        ring, cost = Ring(spec), []
        for at in range(frames):
            view = np.eye(3)
            view[0, 2] = speed * at
            began = time.thread_time()
            ring.read(at / FPS, frame, view)
            ring.write(at / FPS, frame, outputs, view)
            cost.append(time.thread_time() - began)
        found[name] = 1e3 * float(np.median(cost[10:]))
    return found


def grounds(data: Path, count: int) -> list[Array]:
    """Larger pictures (H, W) float32: stills of a drone, and first frames of thermal clips at twice their size."""
    stills = [next(iter(clip.frames())).image for clip in spaced(aerial_stills(data, "val"), count)]
    clips = [next(iter(clip.frames())).image for clip in spaced(thermal_background(data, "val"), count // 2)]
    grey = [image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (*stills, *clips)]
    larger = [cv2.resize(g, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) if g.shape[1] < 640 else g for g in grey]
    return [picture.astype(np.float32) for picture in larger]


def spaced(clips: Sequence[Any], count: int) -> Sequence[Any]:
    """As many of them, evenly."""
    return [clips[round(at)] for at in np.linspace(0, len(clips) - 1, min(count, len(clips)))]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure. Raises SourceError."""
    cv2.setNumThreads(1)
    pictures, frames = grounds(root(options.data), options.stills), round(options.seconds * FPS)
    if not pictures:
        raise SourceError(f"{options.data}: no stills to fly over; --data must name the footage folder")
    motions: dict[str, Any] = {}
    for motion in MOTIONS:
        flown = [fly(picture, motion, frames, seed, options.noise) for seed, picture in enumerate(pictures)]
        motions[motion] = {
            "frames": sum(one["frames"] for one in flown),
            "flagged": sum(one["lost"] for one in flown),
            "cost_ms": 1e3 * float(np.median(np.concatenate([one["cost"][2:] for one in flown]))),
            **{name: quantiles([error for one in flown for error in one["errors"][name]]) for name in LAGS},
        }
    blind = [faded(picture, seed, options.noise, frames + 30) for seed, picture in enumerate(pictures)]
    return machine.header("registration") | {
        "stills": len(pictures),
        "noise": options.noise,
        "motions": motions,
        "untextured": {key: sum(one[key] for one in blind) for key in ("frames", "flagged")},
        "ring_ms": ring_cost(100),
    }


def quantiles(errors: list[float]) -> dict[str, float | None]:
    """Median and 95th percentile, px; None of nothing."""
    if not errors:
        return {"median": None, "p95": None}
    return {"median": float(np.median(errors)), "p95": float(np.quantile(errors, 0.95))}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="footage folder; default: $FGSTP_DATA")
    parser.add_argument("--stills", type=int, default=20, help="to fly over, and half as many clips")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each flight")
    parser.add_argument("--noise", type=float, default=1.0, help="grey levels")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        found = run(options)
    except FgstpError as error:
        parser.error(str(error))
    rows = [
        (name, m["frames"], m["flagged"], *(m[lag][q] for lag in LAGS for q in ("median", "p95")), m["cost_ms"])
        for name, m in found["motions"].items()
    ]
    print(show(("motion", "frames", "flagged", "0.13 s: median px", "p95", "0.53 s: median px", "p95", "ms"), rows))
    blind = found["untextured"]
    print(f"without structure: {blind['flagged']} of {blind['frames']} frames flagged")
    print(f"ring: {found['ring_ms']['still']:.2f} ms still, {found['ring_ms']['moving']:.2f} ms moving")
    if options.json:
        machine.write(options.json, found)


if __name__ == "__main__":
    main()
