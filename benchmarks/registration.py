"""How well are the pictures of a moving camera laid over each other, when is it said that they cannot be, at what cost?

    python -m benchmarks.registration --data ../shared/data --json benchmarks/registration.json
    python -m benchmarks.registration --data ../shared/data --stills 4 --seconds 2

`calibration.flight`'s virtual camera of 320 x 240 px flies over larger stills by a motion that is known to the last
digit: a pan, a tilt, a shake, an orbit, a zoom, each seeded. Noise of one grey level and the rounding to 8 bits come
after the cut, then what the device makes of it: the picture that the model looks at. The error is that of a place of
the past picture, 0.133 s and 0.533 s ago, as `edge.steady` lays it: the root mean square over a grid of the present
view, in px of the camera. Frames that are flagged as lost have none and are counted.

Untextured pictures are the same stills, all structure taken away but the noise: there every frame must be flagged once
the camera has moved. The cost is CPU time: here that of the registration, and what it adds to a frame of the shipped
pipeline as `benchmarks.cost` measures it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import cost
from benchmarks.cost import shot
from benchmarks.table import show
from calibration import result_file
from calibration.clips import aerial_stills, root, thermal_background
from calibration.flight import FLIGHTS, Flight, track
from edge.contract import ModelSpec
from edge.errors import FgstpError, SourceError
from edge.preprocess import Preprocessor
from edge.quality import CHECK_S
from edge.records import STILL, Array
from edge.segmenter import load_model
from edge.steady import State, Steady
from edge.warp import between, carried, in_cells, shifted

MODEL = "student.int8"
WIDTH, HEIGHT, FPS = 320, 240, 15.0  # of the camera
LAGS = {"short": 2, "long": 8}  # frames: 0.133 s and 0.533 s
MOTIONS = ("still", "pan", "tilt", "shake", "orbit", "zoom")
SPEED, ZOOM = (0.5, 2.5), 0.1  # px a frame of a pan or tilt; e-foldings of scale to either side, in a second
EDGE = 10  # px of the still that no pan reaches
FLAT_AFTER = 2.0  # seconds into a flight whose ground loses its structure
GRID: Array = np.stack(np.meshgrid(np.linspace(20, 300, 5), np.linspace(20, 220, 4)), axis=-1).reshape(-1, 2)


def flight(motion: str, size: tuple[int, int], rng: np.random.Generator) -> Flight:
    """How the camera goes over a still (width, height)."""
    speed = float(rng.uniform(*SPEED))
    room = (size[0] - WIDTH) / 2 - EDGE, (size[1] - HEIGHT) / 2 - EDGE
    return {
        "still": FLIGHTS["still"],
        "pan": Flight(pan=speed, room=room),
        "tilt": Flight(tilt=speed, room=room),
        "shake": FLIGHTS["shake"],
        "orbit": FLIGHTS["orbit"],
        "zoom": Flight(climb=ZOOM / FPS, height=ZOOM),
    }[motion]


def flown(still: Array, motion: str, frames: int, rng: np.random.Generator) -> Iterator[Array]:
    """Px of each frame -> px of the still, (3, 3); the flight begins in its middle."""
    height, width = still.shape
    middle = shifted((width - WIDTH) / 2, (height - HEIGHT) / 2)
    yield from middle @ track(rng, flight(motion, (width, height), rng), (HEIGHT, WIDTH), frames)


class Eye:
    """What the device's registration makes of a camera's pictures."""

    def __init__(self, spec: ModelSpec) -> None:
        self._preprocessor = Preprocessor(spec)
        self._steady = Steady()
        self._px = spec.size[0] / WIDTH
        self.cost: list[float] = []  # CPU seconds of each picture

    def step(self, image: Array, at: int) -> tuple[Array, State, bool]:
        """The view (3, 3), px of the camera -> px of its ground, what is known of it, and whether the ground is new."""
        plane = self._preprocessor.step(image)[0, 0]
        began = time.thread_time()
        sight = self._steady.step(plane, at / FPS, look=at % round(CHECK_S * FPS) == 0)
        self.cost.append(time.thread_time() - began)
        return in_cells(sight.view, self._px), sight.state, sight.renewed


def fly(spec: ModelSpec, still: Array, motion: str, frames: int, seed: int, noise: float) -> dict[str, Any]:
    """Errors (px of the camera) by lag, how many frames were flagged, and CPU seconds a frame."""
    rng = np.random.default_rng(seed)
    eye = Eye(spec)
    past: list[tuple[Array, Array, State]] = []
    errors: dict[str, list[float]] = {name: [] for name in LAGS}
    lost = 0
    for at, truth in enumerate(flown(still, motion, frames, rng)):
        view, state, renewed = eye.step(shot(still, truth, rng, noise), at)
        past = [] if renewed else past
        past.append((truth, view, state))
        lost += state is State.LOST
        for name, lag in LAGS.items():
            if len(past) > lag and State.LOST not in (state, past[-1 - lag][2]):
                errors[name].append(apart(past[-1][:2], past[-1 - lag][:2]))
    return {"errors": errors, "lost": lost, "frames": frames, "cost": eye.cost}


def apart(now: tuple[Array, Array], then: tuple[Array, Array]) -> float:
    """How far off the found transform is from the true one, px, root mean square over the view. `now` and `then` are
    the true and the found view."""
    true, found = (between(a, b) for a, b in zip(now, then, strict=True))
    off = carried(GRID, STILL if found is None else found) - carried(GRID, STILL if true is None else true)
    return float(np.sqrt(np.square(off).sum(axis=1).mean()))


def faded(spec: ModelSpec, still: Array, seed: int, noise: float, frames: int) -> dict[str, Any]:
    """A pan whose ground loses its structure: how many frames are flagged after half a second without."""
    rng = np.random.default_rng(seed)
    eye, flagged, seen = Eye(spec), 0, 0
    for at, view in enumerate(flown(still, "pan", frames, rng)):
        flat = at / FPS >= FLAT_AFTER
        _, state, _ = eye.step(shot(np.full_like(still, still.mean()) if flat else still, view, rng, noise), at)
        if at / FPS >= FLAT_AFTER + 0.5:
            seen, flagged = seen + 1, flagged + (state is State.LOST)
    return {"frames": seen, "flagged": flagged}


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
    spec, backend = load_model(MODEL)
    pictures, frames = grounds(root(options.data), options.stills), round(options.seconds * FPS)
    if not pictures:
        raise SourceError(f"{options.data}: no stills to fly over; --data must name the footage folder")
    motions: dict[str, Any] = {}
    for motion in MOTIONS:
        found = [fly(spec, picture, motion, frames, seed, options.noise) for seed, picture in enumerate(pictures)]
        motions[motion] = {
            "frames": sum(one["frames"] for one in found),
            "flagged": sum(one["lost"] for one in found),
            "cost_ms": 1e3 * float(np.median(np.concatenate([one["cost"][2:] for one in found]))),
            **{name: quantiles([error for one in found for error in one["errors"][name]]) for name in LAGS},
        }
    blind = [faded(spec, picture, seed, options.noise, frames + 30) for seed, picture in enumerate(pictures)]
    return result_file.header("registration") | {
        "model": MODEL,
        "sha256": spec.sha256,
        "stills": len(pictures),
        "noise": options.noise,
        "motions": motions,
        "untextured": {key: sum(one[key] for one in blind) for key in ("frames", "flagged")},
        "cost": cost.measure(spec, backend, pictures[0], options.noise),
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
    for name, added in found["cost"]["added"].items():
        shares = ", ".join(f"{added[of]:.1%} {of.replace('_', ' ')}" for of in ("of_step", "of_frame", "of_leak_frame"))
        print(f"{name}: {added['ms']:.2f} ms, mean {added['mean_ms']:.2f}: {shares}")
    if options.json:
        result_file.write(options.json, found)


if __name__ == "__main__":
    main()
