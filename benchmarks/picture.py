"""The README's picture: what the shipped model makes of the golden clip, which is rendered on a procedural scene.

python -m benchmarks.picture --out docs/detection.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from edge import condition, overlay, selftest
from edge.condition import Condition
from edge.pipeline import process
from edge.records import Array, Frame
from edge.rules import AlarmSettings
from edge.segmenter import open_segmenter
from edge.summary import Summariser


def picture(index: int) -> Array:
    """Frame `index` as the camera gives it, and beside it what is found in it."""
    clip = selftest.golden()
    frames = (Frame(image, i, i / clip.fps, i / clip.fps) for i, image in enumerate(clip.frames[: index + 1]))
    state = Condition()
    for step in process(frames, open_segmenter(), Summariser()):
        state, _ = condition.step(state, step.summary, AlarmSettings(), camera="golden")
    event_id = state.leak.event_id if state.leak else ""
    found = overlay.draw(clip.frames[index], step.segmentation.mask, step.summary, state.phase, event_id)
    plain = cv2.resize(clip.frames[index], found.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.hstack([cv2.cvtColor(plain, cv2.COLOR_GRAY2BGR), found])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/detection.png"))
    parser.add_argument("--frame", type=int, default=66)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out), picture(options.frame))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
