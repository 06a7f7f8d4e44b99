"""Periodic random fields with a power-law spectrum: the raw material of wind, cloud, ground and plume texture."""

from __future__ import annotations

import cv2
import numpy as np

from edge.records import Array


def spectrum(rng: np.random.Generator, side: int, slope: float, lowest: float = 1.0) -> Array:
    """Random complex Fourier amplitudes ~ k^-slope on a side x side grid, nothing below wave number `lowest`."""
    ky = np.fft.fftfreq(side)[:, None] * side
    kx = np.fft.rfftfreq(side)[None, :] * side
    k = np.hypot(ky, kx)
    amplitude = np.where(k >= lowest, np.maximum(k, 1.0) ** -slope, 0.0)
    phase = rng.uniform(0, 2 * np.pi, k.shape)
    return amplitude * np.exp(1j * phase)


def unit(field: Array) -> Array:
    return (field / (field.std() + 1e-9)).astype(np.float32)


def fractal(rng: np.random.Generator, side: int = 256, slope: float = 2.0, lowest: float = 1.0) -> Array:
    """(side, side) float32, periodic, mean 0, standard deviation 1."""
    return unit(np.fft.irfft2(spectrum(rng, side, slope, lowest), (side, side)))


def divergence_free(rng: np.random.Generator, side: int = 128, slope: float = 2.8, lowest: float = 1.0) -> Array:
    """(2, side, side) float32 velocity (x, y), the curl of a random stream function: periodic, rms speed 1."""
    psi = spectrum(rng, side, slope, lowest)
    ky = 1j * np.fft.fftfreq(side)[:, None] * side
    kx = 1j * np.fft.rfftfreq(side)[None, :] * side
    wind = np.stack([np.fft.irfft2(psi * ky, (side, side)), np.fft.irfft2(-psi * kx, (side, side))])
    return (wind / np.sqrt((wind**2).sum(0).mean())).astype(np.float32)


class NoiseBank:
    """A few dozen fields, drawn once; a random one at a random place, turned and mirrored, costs next to nothing."""

    def __init__(self, rng: np.random.Generator, count: int = 24, side: int = 256) -> None:
        self.side = side
        # slopes from crisp (1.4) to billowing (2.6)
        self.fields = [fractal(rng, side, rng.uniform(1.4, 2.6), rng.choice([1, 2, 4])) for _ in range(count)]
        self.winds = [divergence_free(rng, 128, rng.uniform(2.2, 3.2), rng.choice([1, 2, 3])) for _ in range(count)]

    def wind(self, rng: np.random.Generator) -> Array:
        """(2, 256, 256): a periodic wind field of side 128, tiled so that any window of 128 can be cut out."""
        return np.tile(self.winds[rng.integers(len(self.winds))], (1, 2, 2))

    def drifting(
        self,
        rng: np.random.Generator,
        size: tuple[int, int],
        offsets: Array,
        zoom: float = 1.0,
        track: Array | None = None,
    ) -> list[Array]:
        """The same field seen through a window that moves: one (H, W) image an offset (px, (T, 2) as x, y); `track` is
        that of a moving camera (`calibration.flight`), a matrix an offset."""
        field = self.fields[rng.integers(len(self.fields))]
        if rng.random() < 0.5:
            field = field.T
        start = rng.uniform(0, self.side, 2)
        height, width = size
        images = []
        for at, (dx, dy) in enumerate(offsets):
            x, y = (start[0] - dx / zoom) % self.side, (start[1] - dy / zoom) % self.side
            window = np.array([[1 / zoom, 0, x], [0, 1 / zoom, y]])
            if track is not None:
                window = window @ track[at]
            images.append(
                cv2.warpAffine(
                    field,
                    window.astype(np.float32),
                    (width, height),
                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                    borderMode=cv2.BORDER_WRAP,
                )
            )
        return images

    def still(self, rng: np.random.Generator, size: tuple[int, int], zoom: float = 1.0) -> Array:
        return self.drifting(rng, size, np.zeros((1, 2)), zoom)[0]
