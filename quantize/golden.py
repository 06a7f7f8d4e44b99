"""The golden clip: a few seconds of a rendered plant with a leak, and the masks that every device must give for it.

    python -m quantize.golden runs/student.pt --out edge/golden

Procedural from end to end, so that it may ship; seeded, so that it can be made again. The masks come from the FP32
student in torch, through the runtime's own ring and preprocessing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from calibration.leak import Leak
from calibration.noise import NoiseBank
from calibration.plume import simulate
from edge import contract, selftest
from edge.records import Array
from edge.segmenter import Segmenter
from quantize.export import TorchBackend, load_student

FPS = 15.0
FRAMES = 75
SIZE = (240, 320)  # height, width

# least IoU with the masks of the FP32 student: the INT8 file may differ by its rounding, not by more
REQUIRED = {"student.fp32": 0.99, "student.int8": 0.94}

# x of the left edge, width, top, base (px), grey at the brightest
VESSELS = ((18, 46, 168, 206, 0.62), (76, 7, 92, 206, 0.75), (196, 34, 150, 206, 0.7), (242, 64, 160, 208, 0.58))
PIPES = (((64, 190), (196, 190), 4, 0.5), ((120, 178), (242, 178), 3, 0.66), ((150, 178), (150, 206), 4, 0.6))

LEAK = Leak(
    x=150, y=174, radius=1.6, jet=1.0, jet_angle=-1.3, speed=2.2, angle=-0.55, turbulence=0.55, gust=0.25, meander=0.25,
    pulsing=0.0, diffusion=0.6, fading=0.5, texture=0.5, depth=0.7, cell=2.0, onset=6.0, opening=1.0,
)  # fmt: skip


def plant(rng: np.random.Generator, bank: NoiseBank) -> Array:
    """(H, W) float32: dusk sky over open ground with vessels, a stack and pipes."""
    height, width = SIZE
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    image = 0.08 + 0.16 * rows**2 + 0.012 * bank.still(rng, SIZE, 3.0)
    ground = 0.34 + 0.02 * bank.still(rng, SIZE, 1.2)
    image = np.where(np.arange(height)[:, None] > 204 + 1.5 * bank.still(rng, (1, width), 2.0), ground, image)
    for x, wide, top, base, grey in VESSELS:
        profile = np.cos(np.linspace(-1.25, 1.1, wide, dtype=np.float32))
        image[top:base, x : x + wide] = grey * profile
        cv2.ellipse(image, (x + wide // 2, top), (wide // 2, max(2, wide // 7)), 0, 180, 360, grey * 0.8, -1)
    for start, end, thick, grey in PIPES:
        cv2.line(image, start, end, grey, thick, cv2.LINE_AA)
    return image.astype(np.float32)


def golden_frames(seed: int = 4) -> Array:
    """(FRAMES, H, W) uint8: gas-free at first, then a leak at a flange that the wind carries off."""
    rng = np.random.default_rng(seed)
    bank = NoiseBank(rng)
    still = plant(rng, bank)
    depth, _ = simulate(rng, bank, LEAK, SIZE, FRAMES)
    opacity = 1.0 - np.exp(-depth)
    seen = still + (0.46 - still) * opacity
    return np.rint(seen * 255.0 + rng.normal(0, 0.3, seen.shape)).clip(0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="as given to quantize.export")
    parser.add_argument("--out", type=Path, default=selftest.GOLDEN)
    parser.add_argument("--models", nargs="+", default=list(REQUIRED))
    options = parser.parse_args()
    student, _ = load_student(*options.checkpoints)
    clip = selftest.Clip(golden_frames(), FPS)
    spec, _ = contract.load(options.models[0])
    masks = selftest.masks(Segmenter(spec, TorchBackend(student, spec)), clip)
    selftest.write(options.out, clip, dict.fromkeys(options.models, masks), REQUIRED)
    size = sum(file.stat().st_size for file in options.out.iterdir())
    print(f"{options.out}: {len(masks)} frames, {int(masks.any((1, 2)).sum())} with gas, {size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
