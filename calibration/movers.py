"""Things that move through a scene and are no gas: people, birds, vehicles."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from calibration.noise import NoiseBank
from edge.records import Array


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

    def outline(t: int) -> Array:
        """(H, W) 0..1 at frame t; -1: in the past."""
        x, y = np.array([x0, y0]) + walked[t if t >= 0 or stays else 0]
        beat = np.sin(rhythm * (min(max(t, 0), stops) if speed else t) + phase)
        canvas = np.zeros(size, np.uint8)
        DRAW[kind](canvas, x, y, tall, swing * beat)
        soft: Array = cv2.GaussianBlur(canvas, (0, 0), blur).astype(np.float32) / 255.0
        return soft

    past = outline(-1) if stays or rng.random() < 0.3 else np.zeros(size, np.float32)
    return Mover(np.stack([outline(t) for t in range(frames)]), np.stack(skin).clip(0, 1).astype(np.float32), past)


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


DRAW = {"person": draw_person, "bird": draw_bird, "vehicle": draw_vehicle}
