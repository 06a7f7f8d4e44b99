"""A plume as a scalar carried, stirred and spread by a gusty, meandering wind.

The column optical depth is advected (semi-Lagrangian) through a divergence-free field of eddies of many sizes that
itself drifts with the mean wind; the mean wind gusts and turns. What a camera sees of it follows Beer-Lambert, in
calibration.render.

    python -m calibration.plume --preview out.png     # a sheet of rendered clips with their labels
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.noise import NoiseBank
from edge.records import Array

MARGIN, WIDE_MARGIN = 0.1, 0.4  # beyond the view at either side, where the gas is followed; wide: for a moving camera
RIM = 0.15  # of that wider field over which the gas thins out, or its end would be seen as an edge


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


class Wind:
    """Mean wind plus drifting eddies, on a grid of cells."""

    def __init__(self, rng: np.random.Generator, bank: NoiseBank, leak: Leak, shape: tuple[int, int]) -> None:
        self.rng, self.leak, self.shape = rng, leak, shape
        self.eddies = (bank.wind(rng), bank.wind(rng))
        self.offset = rng.uniform(0, 128, (2, 2))
        self.phase = rng.uniform(0, 2 * np.pi)
        self.gust = self.turn = 0.0
        yy, xx = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        self.grid = xx, yy

    def step(self, source: tuple[float, float], frames: float) -> Array:
        """(2, h, w) displacement in cells over `frames` frames; moves the weather on."""
        leak = self.leak
        h, w = self.shape
        # Ornstein-Uhlenbeck gusts and turns with a memory of ~15 cells of travel
        travel = max(leak.speed / leak.cell * frames, 1e-3)
        decay = np.exp(-travel / 15.0)
        kick = np.sqrt(1.0 - decay**2)
        self.gust = decay * self.gust + kick * self.rng.normal(0, leak.gust)
        self.turn = decay * self.turn + kick * self.rng.normal(0, leak.meander)
        angle = leak.angle + self.turn
        mean = travel * max(0.1, 1.0 + self.gust) * np.array([np.cos(angle), np.sin(angle)])
        # frozen eddies ride on the mean wind (Taylor), two sets of them so that they also live and die
        self.phase += travel / 40.0
        self.offset += mean * np.array([[1.0], [0.7]])
        flow = np.empty((2, h, w), np.float32)
        flow[0], flow[1] = mean
        for eddy, offset, weight in zip(
            self.eddies, self.offset, (np.cos(self.phase), np.sin(self.phase)), strict=True
        ):
            x, y = (-offset % 128).astype(int)
            flow += np.float32(weight * travel * leak.turbulence) * eddy[:, y : y + h, x : x + w]
        if leak.jet:
            reach = 6.0 * leak.radius / leak.cell
            xx, yy = self.grid
            near = np.exp(-((xx - source[0]) ** 2 + (yy - source[1]) ** 2) / (2 * reach**2))
            push = leak.jet / leak.cell * frames
            flow[0] += push * np.cos(leak.jet_angle) * near
            flow[1] += push * np.sin(leak.jet_angle) * near
        return flow


def simulate(
    rng: np.random.Generator,
    bank: NoiseBank,
    leak: Leak,
    size: tuple[int, int],
    frames: int,
    earlier: int = 4,
    track: Array | None = None,
) -> tuple[Array, Array]:
    """Column optical depth of one leak.

    Returns (frames, H, W) for the clip and (earlier, H, W) well before it (zeros where the leak opens in the clip), for
    the slow background. float32; the dense part of the developed plume has optical depth ~ `leak.depth`. Seen by a
    camera that follows `track` (frames, 3, 3) the gas stays with the ground; what came before is as the first frame
    sees it.
    """
    height, width = size
    share = MARGIN if track is None else WIDE_MARGIN
    cell = max(leak.cell, max(size) * (1 + 2 * share) / 127)
    margin = share * max(size)
    shape = (int((height + 2 * margin) / cell), int((width + 2 * margin) / cell))
    source = ((leak.x + margin) / cell, (leak.y + margin) / cell)
    wind = Wind(rng, bank, leak, shape)
    xx, yy = wind.grid
    radius = max(leak.radius / cell, 0.9)  # less would come out as beads
    opening = np.exp(-((xx - source[0]) ** 2 + (yy - source[1]) ** 2) / (2 * radius**2)).astype(np.float32)
    gas = np.zeros(shape, np.float32)
    stride = 2.0 * cell / (leak.speed + 0.5 * leak.jet)  # frames in which the gas moves about two cells
    keep = np.exp(-leak.fading * 2.0 / max(shape))
    puff = 1.0

    def advance(gas: Array, span: float, opened: float) -> Array:
        nonlocal puff
        steps = max(1, int(np.ceil(span / stride)))
        part = span / steps
        for _ in range(steps):
            flow = wind.step(source, part)
            gas = cv2.remap(gas, xx - flow[0], yy - flow[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
            moved = part / stride
            if leak.pulsing and rng.random() < 0.15 * moved:
                puff = 1.0 - leak.pulsing * rng.random()
            if leak.diffusion**2 * moved > 0.02:
                gas = cv2.GaussianBlur(gas, (0, 0), leak.diffusion * np.sqrt(moved))
            gas *= keep**moved
            gas += opening * np.float32(opened * puff * moved)
        return gas

    developed = leak.onset < 0
    before: list[Array] = []
    clip: list[Array] = []
    crossing = min(int(max(shape) / 2.0), 48)
    if developed:
        for step in range(crossing):
            gas = advance(gas, stride, 1.0)
            if step >= crossing // 2 and len(before) < earlier and step % max(1, crossing // (2 * earlier)) == 0:
                before.append(gas.copy())
    for t in range(frames):
        gas = advance(gas, 1.0, 1.0 if developed else min(1.0, max(0.0, t - leak.onset) / leak.opening))
        clip.append(gas)

    dense = max(float(np.quantile(c[c > 0.02 * c.max()], 0.8)) if c.max() > 0 else 0.0 for c in clip[-2:])
    scale = np.float32(leak.depth / max(dense, 1e-6))
    downwind = leak.speed * np.array([[np.cos(leak.angle), np.sin(leak.angle)]])
    path = np.arange(frames + earlier)[:, None] * downwind
    where = np.tile(np.eye(3), (frames + earlier, 1, 1))
    if track is not None:
        where[:frames], where[frames:] = track, track[0]
        scale = scale * np.minimum.outer(ramp(shape[0], RIM), ramp(shape[1], RIM))
    texture = bank.drifting(rng, size, path, rng.uniform(0.5, 2.0), None if track is None else where)
    view = np.array([[1 / cell, 0, margin / cell], [0, 1 / cell, margin / cell]])

    def seen(grid: Array, index: int) -> Array:
        window = (view @ where[index]).astype(np.float32)
        fine = cv2.warpAffine(grid * scale, window, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return fine * cv2.exp(leak.texture * texture[index] - 0.5 * leak.texture**2)

    past = [seen(g, frames + i) for i, g in enumerate(before)] or [np.zeros(size, np.float32)]
    return np.stack([seen(g, i) for i, g in enumerate(clip)]), np.stack(past)


def ramp(length: int, share: float) -> Array:
    """(length,) float32: 0 at both ends, 1 from `share` of the length on."""
    at = np.arange(length) + 0.5
    return np.minimum(1.0, np.minimum(at, length - at) / (share * length)).astype(np.float32)


def main() -> None:
    from calibration.render import preview  # the sheet shows whole clips, which are made of plumes

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preview", metavar="PNG", required=True, help="where to draw the sheet")
    parser.add_argument("--data", default=None, help="footage to render over (default: procedural scenes)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--moving", type=float, default=0.0, help="share of clips in which the camera moves")
    options = parser.parse_args()
    cv2.imwrite(options.preview, preview(options.data, options.seed, options.clips, options.moving))
    print(f"wrote {options.preview}")


if __name__ == "__main__":
    main()
