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

from calibration.leak import Leak
from calibration.noise import NoiseBank
from edge.records import Array

MARGIN, WIDE_MARGIN = 0.1, 0.4  # beyond the view at either side, where the gas is followed; wide: for a moving camera
RIM = 0.15  # of that wider field over which the gas thins out, or its end would be seen as an edge


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


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells in which gas is followed: those of the view and of a margin around it."""

    shape: tuple[int, int]
    cell: float  # px
    margin: float  # px at either side

    @classmethod
    def around(cls, size: tuple[int, int], cell: float, share: float) -> Grid:
        """Cells of `cell` px, or of more where eddies (128 cells) would not reach across; a margin of `share` of the
        view's longer side."""
        cell = max(cell, max(size) * (1 + 2 * share) / 127)
        margin = share * max(size)
        height, width = size
        return cls((int((height + 2 * margin) / cell), int((width + 2 * margin) / cell)), cell, margin)

    @property
    def place(self) -> Array:
        """(2, 3), from px of the view to cells."""
        return np.array([[1 / self.cell, 0, self.margin / self.cell], [0, 1 / self.cell, self.margin / self.cell]])


class Gas:
    """What has come out of one leak, and where the wind has carried it."""

    def __init__(self, rng: np.random.Generator, bank: NoiseBank, leak: Leak, grid: Grid) -> None:
        self.rng, self.leak = rng, leak
        self.wind = Wind(rng, bank, leak, grid.shape)
        self.source = ((leak.x + grid.margin) / grid.cell, (leak.y + grid.margin) / grid.cell)
        xx, yy = self.wind.grid
        radius = max(leak.radius / grid.cell, 0.9)  # less would come out as beads
        off = (xx - self.source[0]) ** 2 + (yy - self.source[1]) ** 2
        self.opening = np.exp(-off / (2 * radius**2)).astype(np.float32)
        self.column = np.zeros(grid.shape, np.float32)  # (h, w) column density, in any unit; replaced, never changed
        self.stride = 2.0 * grid.cell / (leak.speed + 0.5 * leak.jet)  # frames in which it moves about two cells
        self.keep = np.exp(-leak.fading * 2.0 / max(grid.shape))
        self.puff = 1.0

    def advance(self, span: float, opened: float) -> Array:
        """The column density `span` frames later; the leak is `opened` meanwhile, 0..1."""
        steps = max(1, int(np.ceil(span / self.stride)))
        for _ in range(steps):
            self._step(span / steps, opened)
        return self.column

    def _step(self, span: float, opened: float) -> None:
        leak, (xx, yy) = self.leak, self.wind.grid
        flow = self.wind.step(self.source, span)
        column = cv2.remap(self.column, xx - flow[0], yy - flow[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        moved = span / self.stride
        if leak.pulsing and self.rng.random() < 0.15 * moved:
            self.puff = 1.0 - leak.pulsing * self.rng.random()
        if leak.diffusion**2 * moved > 0.02:
            column = cv2.GaussianBlur(column, (0, 0), leak.diffusion * np.sqrt(moved))
        column *= self.keep**moved
        column += self.opening * np.float32(opened * self.puff * moved)
        self.column = column


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
    grid = Grid.around(size, leak.cell, MARGIN if track is None else WIDE_MARGIN)
    gas = Gas(rng, bank, leak, grid)
    before = developed(gas, grid, earlier) if leak.onset < 0 else []
    columns = [*(gas.advance(1.0, leak.opened(t)) for t in range(frames)), *before]

    scale = np.float32(leak.depth / max(max(map(dense, columns[max(0, frames - 2) : frames])), 1e-6))
    where = np.tile(np.eye(3), (frames + earlier, 1, 1))
    if track is not None:
        where[:frames], where[frames:] = track, track[0]
        scale = scale * np.minimum.outer(ramp(grid.shape[0], RIM), ramp(grid.shape[1], RIM))
    downwind = leak.speed * np.array([[np.cos(leak.angle), np.sin(leak.angle)]])
    path = np.arange(frames + earlier)[:, None] * downwind
    texture = bank.drifting(rng, size, path, rng.uniform(0.5, 2.0), None if track is None else where)

    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    depth = []
    for column, at, grain in zip(columns, where, texture, strict=False):  # a new leak has nothing before the clip
        window = (grid.place @ at).astype(np.float32)
        smooth = cv2.warpAffine(column * scale, window, size[::-1], flags=flags)
        depth.append(smooth * cv2.exp(leak.texture * grain - 0.5 * leak.texture**2))
    return np.stack(depth[:frames]), np.stack(depth[frames:] or [np.zeros(size, np.float32)])


def developed(gas: Gas, grid: Grid, earlier: int) -> list[Array]:
    """Let the gas fill the view; gives up to `earlier` column densities from the second half of that time."""
    crossing = min(int(max(grid.shape) / 2.0), 48)
    before: list[Array] = []
    for step in range(crossing):
        column = gas.advance(gas.stride, 1.0)
        if step >= crossing // 2 and len(before) < earlier and step % max(1, crossing // (2 * earlier)) == 0:
            before.append(column)
    return before


def dense(column: Array) -> float:
    """The column density of the dense part; 0 without gas."""
    highest = column.max()
    return float(np.quantile(column[column > 0.02 * highest], 0.8)) if highest > 0 else 0.0


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
