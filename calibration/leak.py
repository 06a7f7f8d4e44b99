"""A leak to be simulated: its opening, its gas and its weather; drawn at random for training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Leak:
    """One source and its weather; lengths in px of the view, speeds in px a frame."""

    x: float
    y: float
    radius: float  # of the opening
    jet: float  # speed at the opening
    jet_angle: float
    speed: float  # mean wind
    angle: float
    turbulence: float  # rms eddy speed over mean wind
    gust: float  # relative standard deviation of speed over the clip
    meander: float  # standard deviation of the wind's direction, rad
    pulsing: float  # 0 steady … 1 comes in puffs
    diffusion: float  # spread by eddies below the grid, cells for each two cells of travel
    fading: float  # dilution over one crossing of the view, e-foldings: above ten, a jet that ends near its source
    texture: float  # strength of the fine structure that the grid cannot hold
    depth: float  # optical depth of the dense part
    cell: float  # grid cell, px
    onset: float  # frames before the leak opens; negative: developed when the clip begins
    opening: float  # frames that it takes to open fully

    def opened(self, frame: int) -> float:
        """How far, 0..1."""
        return 1.0 if self.onset < 0 else min(1.0, max(0.0, frame - self.onset) / self.opening)


def draw_leak(rng: np.random.Generator, size: tuple[int, int], frames: int) -> Leak:
    """A random leak: thin threads to plumes that fill the view, still air to time-lapse."""
    height, width = size
    wide = rng.random() < 0.5  # fills much of the view
    speed = float(np.exp(rng.uniform(np.log(0.2), np.log(10.0))))
    edge_source = rng.random() < 0.1
    return Leak(
        x=float(rng.uniform(-0.1, 1.1) * width if edge_source else rng.uniform(0.08, 0.92) * width),
        y=float(rng.uniform(0.2, 1.05) * height),
        radius=float(rng.uniform(3.0, 14.0) if wide else rng.uniform(0.7, 3.0)),
        jet=float(speed * rng.choice([0.0, 0.0, 1.0, 2.0])),
        jet_angle=float(rng.uniform(0, 2 * np.pi)),
        speed=speed,
        # gas in the open rises a little more often than it sinks
        angle=float(rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else -np.pi / 2 + rng.normal(0, 0.9)),
        turbulence=float(rng.uniform(0.6, 1.5) if wide else rng.uniform(0.1, 0.8)),
        gust=float(rng.uniform(0.0, 0.5)),
        meander=float(rng.uniform(0.0, 0.6)),
        pulsing=float(rng.choice([0.0, 0.0, rng.uniform(0.2, 1.0)])),
        diffusion=float(rng.uniform(0.5, 1.5) if wide else rng.uniform(0.15, 0.7)),
        fading=float(np.exp(rng.uniform(np.log(0.1), np.log(1.0 if wide else 16.0)))),
        texture=float(rng.uniform(0.1, 0.8)),
        depth=float(np.exp(rng.uniform(np.log(0.1), np.log(3.0)))),
        cell=float(rng.uniform(3.0, 7.0) if wide else rng.uniform(1.4, 2.2)),
        onset=float(rng.uniform(1, frames * 0.6) if rng.random() < 0.4 else -1.0),
        opening=float(rng.choice([1.0, rng.uniform(1.0, 2.0 * frames)])),
    )
