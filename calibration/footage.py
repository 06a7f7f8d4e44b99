"""Views of real thermal footage: gas-free clips and stills, cropped, or flown over.

Rendered clips have it as their background where it is at hand; training takes the split "train" only.
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from calibration.view import View
from edge.records import Array

MOVING = 3.0  # px/s of measured camera shift above which a clip counts as moving


class Footage:
    """Gas-free thermal clips and stills of one split, in memory as 8-bit; each scene is drawn as often, however many
    clips it has."""

    def __init__(self, data: Path, split: str = "train", per_scene: int = 8) -> None:
        scenes: dict[str, list[tuple[str, bool]]] = {}
        with (data / "thermal_background" / "index.csv").open() as rows:
            for row in csv.DictReader(rows):
                if row["split"] == split:
                    scenes.setdefault(row["scene"], []).append((row["file"], float(row["max_shift_px_per_s"]) > MOVING))
        self.scenes = [
            [(self.decode(data / "thermal_background" / name), moving) for name, moving in files[:per_scene]]
            for files in scenes.values()
        ]
        names: list[str] = []
        if (data / "aerial_thermal_stills").is_dir():  # one's own footage may have none
            with (data / "aerial_thermal_stills" / "index.csv").open() as rows:
                names = [row["file"] for row in csv.DictReader(rows) if row["split"] == split]
        stills = [cv2.imread(str(data / "aerial_thermal_stills" / name), cv2.IMREAD_GRAYSCALE) for name in names]
        self.stills = [still for still in stills if still is not None]
        self.chases = [film for scene in self.scenes for film, moving in scene if moving]

    @staticmethod
    def decode(path: Path) -> Array:
        capture = cv2.VideoCapture(str(path))
        frames = []
        while capture.grab():
            if int(capture.get(cv2.CAP_PROP_POS_FRAMES)) % 2:
                frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2GRAY))
        capture.release()
        return np.stack(frames)

    def clip(self, rng: np.random.Generator, size: tuple[int, int], frames: int, stride: int, earlier: int = 5) -> View:
        """A random crop of a random clip, every `stride`-th stored frame; the earlier view is up to 5 s before it."""
        scene = self.scenes[rng.integers(len(self.scenes))]
        film, moving = scene[rng.integers(len(scene))]
        start = int(rng.integers(0, max(1, len(film) - frames * stride)))
        # the film's own mean where nothing is earlier
        before = rng.integers(*((max(0, start - 75), start) if start >= 5 else (0, len(film))), earlier)
        crop = Crop(rng, film.shape[1:], size)
        last = len(film) - 1
        times = last - np.abs(last - (start + np.arange(frames) * stride) % (2 * last))  # to and fro without a cut
        shown = [crop(film[at]) for at in times]
        return View(np.stack(shown), np.stack([crop(film[i]) for i in before]), moving)

    def flight(self, rng: np.random.Generator, size: tuple[int, int], frames: int) -> View:
        """A camera that pans and shakes over a still, or over a frame of a clip; half of the flights hover."""
        stills = self.stills or self.scenes[rng.integers(len(self.scenes))][0][0]
        still = stills[rng.integers(len(stills))]
        zoom = rng.uniform(0.35, 0.8)
        speed = 0.0 if rng.random() < 0.5 else float(np.exp(rng.uniform(np.log(0.1), np.log(4.0))))
        angle = rng.uniform(0, 2 * np.pi)
        shake = rng.choice([0.0, 0.15, 0.6]) * rng.normal(size=(frames + 3, 2))
        centre = np.array(still.shape[::-1]) * rng.uniform(0.35, 0.65, 2)
        turn = np.deg2rad(rng.uniform(0, 360))
        shown = []
        for t in range(frames + 3):
            path = centre + (speed * (t - frames / 2) * np.array([np.cos(angle), np.sin(angle)]) + shake[t]) / zoom
            shown.append(warp(still, path, turn, 1 / zoom, size))
        stack = np.stack(shown)
        return View(stack[3:], stack[:3], moving=speed > 0)


def warp(image: Array, centre: Array, turn: float, scale: float, size: tuple[int, int]) -> Array:
    height, width = size
    c, s = np.cos(turn) * scale, np.sin(turn) * scale
    matrix = np.array(
        [
            [c, -s, centre[0] - c * width / 2 + s * height / 2],
            [s, c, centre[1] - s * width / 2 - c * height / 2],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return seen.astype(np.float32) / 255.0


class Crop:
    """One random window of a picture, mirrored or not, brought to `size`; the same for each frame that it is given."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], size: tuple[int, int]) -> None:
        self.size = size
        largest = min(shape[0] / size[0], shape[1] / size[1])
        zoom = rng.uniform(min(0.9, largest), largest)
        self.h, self.w = int(size[0] * zoom), int(size[1] * zoom)
        self.y, self.x = rng.integers(0, shape[0] - self.h + 1), rng.integers(0, shape[1] - self.w + 1)
        self.mirrored = rng.random() < 0.5

    def __call__(self, image: Array) -> Array:
        part = image[self.y : self.y + self.h, self.x : self.x + self.w]
        part = cv2.resize(part, self.size[::-1], interpolation=cv2.INTER_AREA)
        return (part[:, ::-1] if self.mirrored else part).astype(np.float32) / 255.0
