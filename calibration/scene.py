"""What stands before and behind the gas: thermal scenes, things that move in them, and the camera's own artefacts.

Backgrounds are real thermal footage where it is at hand (gas-free, split "train" only) and procedural scenes elsewhere.
Grey levels are float32, 0..1.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from calibration.flight import Flight
from calibration.noise import NoiseBank
from edge.records import Array

MOVING = 3.0  # px/s of measured camera shift above which a clip counts as moving


@dataclass(frozen=True, slots=True)
class Course:
    """The way of a camera whose registration works; tracks as in `calibration.flight`."""

    track: Array  # (T, 3, 3) as it is
    read: Array  # (T, 3, 3) as it is registered
    flight: Flight = field(default_factory=Flight)  # a rolling shutter, a hum; of footage it is in the frames already
    near: Array | None = None  # (T, H, W) float32: opacity of what stands before ground and gas
    fresh: Array | None = None  # (H, W) bool: what has come into the first view just now; the background knows it not


@dataclass(frozen=True, slots=True)
class View:
    """A gas-free clip: (T, H, W) float32 0..1, and the same view some time earlier, (E, H, W)."""

    frames: Array
    earlier: Array
    moving: bool = False  # the camera moves and nobody knows how: what is fixed to the ground does not stay where it is
    course: Course | None = None  # the camera moves as told; `earlier` is brought to the first view


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


def procedural(rng: np.random.Generator, bank: NoiseBank, size: tuple[int, int], frames: int, earlier: int = 3) -> View:
    """Sky with or without drifting cloud, ground, tanks, stacks and pipes; pure arithmetic, free of any footage."""
    height, width = size
    yy = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    sky = rng.uniform(0.02, 0.4) + rng.uniform(-0.1, 0.35) * yy**2 + np.zeros(size, np.float32)
    still = sky.copy()
    if rng.random() < 0.6:
        horizon = rng.uniform(0.4, 0.95)
        ground = rng.uniform(0.15, 0.7) + rng.uniform(0.02, 0.12) * bank.still(rng, size, rng.uniform(0.5, 3))
        edge = horizon * height + 4 * bank.still(rng, (1, width), 2.0)
        land = (np.arange(height)[:, None] > edge).astype(np.float32)
        still = still * (1 - land) + ground * land
    solid = np.zeros(size, np.float32)
    for _ in range(rng.integers(0, 8)):
        structure(rng, still, solid)
    total = frames + earlier
    shown = [still] * total
    if rng.random() < 0.75:
        # cloud drifts behind whatever stands on the ground
        times = np.concatenate([np.sort(rng.uniform(-60, -5, earlier)), np.arange(frames)])
        strength, cover = np.float32(rng.uniform(0.02, 0.25)), np.float32(rng.uniform(-0.5, 1.5))
        open_sky = strength * (1 - solid) * (still == sky)
        shown = [still + open_sky * np.maximum(c - cover, 0) for c in clouds(rng, bank, size, times)]
    stack = np.stack(shown).clip(0, 1).astype(np.float32)
    return View(stack[earlier:], stack[:earlier])


def clouds(rng: np.random.Generator, bank: NoiseBank, size: tuple[int, int], times: Array) -> list[Array]:
    """Billows to wisps at `times` (frames): two layers that drift each its own way and wax as the other wanes, so that
    shapes form and dissolve, as in a time-lapse of a sky."""
    speed, angle = rng.choice([0.0, 0.03, 0.1, 0.3, 0.6]), rng.uniform(0, 2 * np.pi)
    zoom = np.exp(rng.uniform(np.log(0.4), np.log(2.5)))
    layers = []
    for turn, share in ((0.0, 1.0), (rng.normal(0, 0.5), rng.uniform(0.5, 1.2))):
        drift = share * speed * np.array([[np.cos(angle + turn), np.sin(angle + turn)]])
        layers.append(bank.drifting(rng, size, times[:, None] * drift, zoom))
    phase = rng.uniform(0, 2 * np.pi) + rng.choice([0.0, 0.002, 0.005, 0.012]) * times
    mix = np.stack((np.cos(phase), np.sin(phase)), axis=1).astype(np.float32)
    return [a * one + b * other for (a, b), one, other in zip(mix, *layers, strict=True)]


def structure(rng: np.random.Generator, image: Array, solid: Array) -> None:
    """Draw a tank, a stack, a box or a pipe into `image`, its silhouette into `solid`."""
    height, width = image.shape
    grey = float(rng.uniform(0.05, 1.0))
    x, y = int(rng.integers(0, width)), int(rng.integers(height // 3, height))
    if rng.random() < 0.6:
        w, h = int(rng.integers(3, max(4, width // 5))), int(rng.integers(5, height // 2))
        top = max(0, y - h)
        profile = np.cos(np.linspace(-1.2, 1.2, w, dtype=np.float32)) if rng.random() < 0.6 else np.ones(w, np.float32)
        part = image[top:y, x : x + w]
        part[:] = (grey * profile)[None, : part.shape[1]]
        solid[top:y, x : x + w] = 1.0
    else:
        end = (int(rng.integers(0, width)), y + int(rng.integers(-3, 4)))
        thick = int(rng.integers(1, 6))
        cv2.line(image, (x, y), end, grey, thick)
        cv2.line(solid, (x, y), end, 1.0, thick)


def sway(rng: np.random.Generator, bank: NoiseBank, scene: Array, past: Array) -> tuple[Array, Array]:
    """Parts of the scene that move in place: foliage in the wind, a flag, a person's limbs, air over something hot.

    Each part is shifted to and fro by some tenths of a pixel to a few pixels; its texture stays, which gas would veil.
    """
    frames, height, width = scene.shape
    yy, xx = np.mgrid[:height, :width].astype(np.float32)
    parts, paths = [], []
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        rx, ry = rng.uniform(0.04, 0.35, 2) * (width, height)
        part = cv2.exp(
            -((((xx - np.float32(x)) / np.float32(rx)) ** 2 + ((yy - np.float32(y)) / np.float32(ry)) ** 2) ** 2)
        )
        if rng.random() < 0.5:  # not all of it alike
            part = part * bank.still(rng, (height, width), rng.uniform(0.2, 1.0))
        strength, angle = np.exp(rng.uniform(np.log(0.2), np.log(3.0))), rng.uniform(0, 2 * np.pi)
        phase = rng.uniform(0, 2 * np.pi, 2) + rng.uniform(0.1, 1.5, 2) * np.arange(frames + 1)[:, None]
        swing = np.sin(phase[:, 0]) + 0.5 * np.sin(phase[:, 1]) + rng.normal(0, 0.3, frames + 1)
        parts.append(part)
        paths.append(strength * swing[:, None] * np.array([np.cos(angle), np.sin(angle)]))
    moved = []
    for t, image in enumerate((*scene, past)):
        dx, dy = (
            sum((np.float32(p[t, i]) * part for p, part in zip(paths, parts, strict=True)), np.float32(0))
            for i in (0, 1)
        )
        moved.append(cv2.remap(image, xx + dx, yy + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return np.stack(moved[:-1]), moved[-1]


def creep(rng: np.random.Generator, bank: NoiseBank, past: Array) -> Array:
    """The past with its parts shifted by up to some pixels: cloud and shadows have drifted on since, slower than any
    lag would show; a mast has sagged."""
    size = past.shape
    yy, xx = np.mgrid[: size[0], : size[1]].astype(np.float32)
    strength, zoom = np.exp(rng.uniform(np.log(0.3), np.log(5.0))), rng.uniform(0.5, 4.0)
    dx, dy = (np.float32(strength) * (bank.still(rng, size, zoom) + np.float32(rng.normal())) for _ in range(2))
    return cv2.remap(past, xx + dx, yy + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@dataclass(frozen=True, slots=True)
class Mover:
    """A person-, bird- or vehicle-like thing: one opacity map and one grey-level map a frame, and one for the past
    (zeros unless it already stood there when the background was taken)."""

    opacity: Array  # (T, H, W)
    grey: Array  # (T, H, W)
    past: Array  # (H, W)


def mover(rng: np.random.Generator, bank: NoiseBank, size: tuple[int, int], frames: int) -> Mover:
    """Something solid that moves: walks, flies past, drives, or stays and only swings an arm."""
    height, width = size
    kind = rng.choice(["person", "person", "bird", "vehicle"])
    tall = {
        "person": np.exp(rng.uniform(np.log(8), np.log(140))),
        "bird": rng.uniform(2, 8),
        "vehicle": rng.uniform(8, 30),
    }[kind]
    top_speed = {"person": 2.5, "bird": 8.0, "vehicle": 6.0}[kind]
    stays = kind != "bird" and rng.random() < 0.45
    speed = 0.0 if stays else np.exp(rng.uniform(np.log(0.05), np.log(top_speed))) * rng.choice([-1, 1])
    stops = int(rng.integers(1, frames)) if rng.random() < 0.4 else frames  # and stays where it then is
    climb = rng.normal(0, 0.3) * abs(speed) if kind == "bird" else 0.0
    x0, y0 = rng.uniform(0, width), rng.uniform(0.2, 1.0) * height
    base = rng.uniform(0.0, 1.0)
    contrast, weave = np.float32(rng.choice([0.05, 0.15, 0.3])), rng.uniform(0.1, 1.0)
    rhythm, phase = rng.uniform(0.2, 1.2), rng.uniform(0, 2 * np.pi)
    swing = rng.uniform(0.1, 0.9)
    blur = rng.uniform(0.4, 1.2)
    walked = np.minimum(np.arange(frames + 1), stops)[:, None] * np.array([[speed, climb]])
    if stays:  # nobody stands quite still; the last of these places is that of the past
        pace, reach = (np.exp(rng.uniform(np.log(low), np.log(high), 2)) for low, high in ((0.004, 0.4), (0.2, 10.0)))
        beats = rng.uniform(0, 2 * np.pi, 2) + pace * np.append(np.arange(frames), -100)[:, None]
        walked = reach * np.sin(beats) * np.array([[1.0, 0.3]])
    cloth = base + contrast * bank.still(rng, size, weave)
    skin = [np.roll(cloth, (round(dy), round(dx)), (0, 1)) for dx, dy in walked[:-1]]  # what it wears goes with it
    opacity = np.empty((frames, height, width), np.float32)
    for t in range(-1, frames):
        x, y = np.array([x0, y0]) + walked[t if t >= 0 or stays else 0]
        beat = np.sin(rhythm * (min(max(t, 0), stops) if speed else t) + phase)
        canvas = np.zeros(size, np.uint8)
        {"person": draw_person, "bird": draw_bird, "vehicle": draw_vehicle}[kind](canvas, x, y, tall, swing * beat)
        soft = cv2.GaussianBlur(canvas, (0, 0), blur).astype(np.float32) / 255.0
        if t < 0:
            past = soft
        else:
            opacity[t] = soft
    there = stays or rng.random() < 0.3
    return Mover(opacity, np.stack(skin).clip(0, 1).astype(np.float32), past if there else np.zeros(size, np.float32))


SUBPIXEL = 4  # binary digits: what creeps must not jump from pixel to pixel


def fixed(*lengths: float) -> tuple[int, ...]:
    """Pixels in OpenCV's fixed-point form."""
    return tuple(round(length * 2**SUBPIXEL) for length in lengths)


def dot(canvas: Array, x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> None:
    cv2.ellipse(canvas, fixed(x, y), fixed(max(1.0, rx), max(1.0, ry)), turn, 0, 360, 255, -1, shift=SUBPIXEL)


def limb(canvas: Array, x: float, y: float, length: float, angle: float, thick: float) -> None:
    end = fixed(x + length * np.sin(angle), y + length * np.cos(angle))
    cv2.line(canvas, fixed(x, y), end, 255, max(1, int(thick)), shift=SUBPIXEL)


def draw_person(canvas: Array, x: float, y: float, tall: float, swing: float) -> None:
    dot(canvas, x, y - 0.92 * tall, 0.07 * tall, 0.08 * tall)
    dot(canvas, x, y - 0.65 * tall, 0.13 * tall, 0.22 * tall)
    for side in (-1, 1):
        limb(canvas, x, y - 0.45 * tall, 0.45 * tall, side * (0.1 + 0.5 * swing), 0.1 * tall)
        limb(canvas, x + side * 0.1 * tall, y - 0.8 * tall, 0.4 * tall, side * (0.2 + swing), 0.07 * tall)


def draw_bird(canvas: Array, x: float, y: float, tall: float, swing: float) -> None:
    dot(canvas, x, y, 0.6 * tall, 0.3 * tall)
    for side in (-1, 1):
        limb(canvas, x, y, tall, side * (np.pi / 2 + swing), 0.3 * tall)


def draw_vehicle(canvas: Array, x: float, y: float, tall: float, swing: float) -> None:
    cv2.rectangle(canvas, fixed(x - tall, y - 0.6 * tall), fixed(x + tall, y), 255, -1, shift=SUBPIXEL)
    cabin = fixed(x - 0.5 * tall, y - tall), fixed(x + 0.6 * tall, y - 0.5 * tall)
    cv2.rectangle(canvas, *cabin, 255, -1, shift=SUBPIXEL)


def window(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """(H, W) float32: 1 where the camera shows the scene. Some recordings have black borders, which are without noise:
    what is measured over the whole view must not be fooled by them."""
    seen = np.ones(size, np.float32)
    if rng.random() < 0.15:
        for axis in rng.permutation(2)[: rng.integers(1, 3)]:
            first, last = (rng.uniform(0, 0.22, 2) * size[axis]).astype(int)
            edges = seen if axis == 0 else seen.T
            edges[:first] = edges[size[axis] - last :] = 0.0
    return seen


class Camera:
    """What the camera and its codec add; one of these holds for a clip, so that the past and the clip share it."""

    def __init__(self, rng: np.random.Generator, bank: NoiseBank, size: tuple[int, int]) -> None:
        self.rng = rng
        self.gain = float(np.exp(rng.uniform(np.log(0.25), np.log(1.3))))
        self.offset = float(rng.uniform(0.0, 0.3) if self.gain < 0.8 else rng.uniform(-0.15, 0.1))
        self.inverted = rng.random() < 0.2
        # detector noise in grey levels; codecs and built-in filters leave many clips with next to none
        self.noise = float(rng.choice([0.0, 0.3, rng.uniform(0.3, 1.5), rng.uniform(1.0, 4.0)])) / 255.0
        self.rows = self.noise * float(rng.choice([0.0, 0.0, 0.5, rng.uniform(0.5, 1.5)]))
        self.stripes = np.zeros((size[0], 1), np.float32)  # the rows' offsets wander
        self.pattern = self.noise * rng.uniform(0, 1) * rng.standard_normal(size).astype(np.float32)
        self.shake = float(rng.choice([0.0, 0.0, 0.0, 0.1, 0.4]))
        self.quality = int(
            rng.choice([0, 0, int(rng.integers(25, 60)), int(rng.integers(60, 96))])
        )  # JPEG; 0: lossless
        self.dead_zone = (
            float(rng.choice([0.0, 0.0, 0.4, rng.uniform(0.4, 1.2)])) / 255.0
        )  # skipped blocks of a video codec
        self.lens = float(rng.choice([0.0, 0.0, 0.5, rng.uniform(0.5, 1.2)]))  # blur, px
        # detail enhancement against a local mean, as in many uncooled cameras: a halo around whatever stands out, over
        # a bare sky stronger than any plume
        self.halo = float(rng.choice([0.0, 0.0, np.exp(rng.uniform(np.log(0.2), np.log(3.0)))]))
        self.reach = int(np.exp(rng.uniform(np.log(9), np.log(60))))  # of the boxes that make up the mean, px
        self.window = window(rng, size)
        self.grain = rng.standard_normal((4, size[0] + 32, size[1] + 32)).astype(np.float32)

    @property
    def hides(self) -> float:
        """Contrast of a patch, 0..1, that the codec swallows: half a DC step of JPEG, the dead zone of video."""
        scale = (50.0 / self.quality if self.quality < 50 else 2.0 - self.quality / 50.0) if self.quality else 0.0
        return max(0.5 * 16.0 * scale / 8.0 / 255.0, 1.2 * self.dead_zone)

    def expose(self, scene: Array) -> Array:
        """Scene radiance to grey levels, before noise. (…, H, W) float32."""
        grey = scene * np.float32(self.gain) + np.float32(self.offset)
        return (1.0 - grey if self.inverted else grey).astype(np.float32)

    def enhance(self, grey: Array) -> Array:
        """(H, W) with local contrast raised, where this camera does that."""
        if not self.halo:
            return grey
        box = (self.reach, self.reach)
        return grey + np.float32(self.halo) * (grey - cv2.blur(cv2.blur(grey, box), box))

    def remember(self, past: Array) -> Array:
        """(H, W) float32 0..1: what a mean over many frames of the exposed `past` has left."""
        return ((self.enhance(past) + self.pattern).clip(0, 1) * self.window).astype(np.float32)

    def disturb(self, grey: Array) -> Array:
        """One frame with lens, shake and noise, float32."""
        rng = self.rng
        if self.shake:
            dx, dy = rng.normal(0, self.shake, 2)
            move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
            grey = cv2.warpAffine(grey, move, grey.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        if self.lens:
            grey = cv2.GaussianBlur(grey, (0, 0), self.lens)
        grey = self.enhance(grey) + self.pattern
        if self.noise:
            y, x = rng.integers(0, 32, 2)
            h, w = grey.shape
            grey = grey + np.float32(self.noise) * self.grain[rng.integers(4), y : y + h, x : x + w]
        if self.rows:
            self.stripes = 0.8 * self.stripes + 0.6 * rng.standard_normal(self.stripes.shape).astype(np.float32)
            grey = grey + np.float32(self.rows) * self.stripes
        return grey

    def record(self, frames: list[Array]) -> Array:
        """(T, H, W) uint8 as they come out of the codec; AGC steps and shutter freezes happen here."""
        rng = self.rng
        if rng.random() < 0.06:
            step, at = rng.uniform(-0.06, 0.06), int(rng.integers(1, len(frames)))
            frames = [f + np.float32(step) if t >= at else f for t, f in enumerate(frames)]
        if rng.random() < 0.05:
            at = int(rng.integers(1, len(frames)))
            frames = [frames[at - 1] if at <= t < at + 2 else f for t, f in enumerate(frames)]
        shown: list[Array] = []
        kept: Array | None = None
        for frame in frames:
            if self.dead_zone and kept is not None:
                h, w = frame.shape
                change = cv2.resize(np.abs(frame - kept), (w // 8, h // 8), interpolation=cv2.INTER_AREA)
                same = cv2.resize(change, (w, h), interpolation=cv2.INTER_NEAREST) < self.dead_zone
                frame = np.where(same, kept, frame)
            kept = frame
            image = np.rint(frame * self.window * 255.0).clip(0, 255).astype(np.uint8)
            if self.quality:
                packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
                image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE))
            shown.append(image)
        return np.stack(shown)
