"""The whole way from pictures to numbers, in one screen.

    with capture.open("clip.mp4") as frames:
        for step in process(frames, open_segmenter(), Summariser()):
            print(step.summary.area_px)

Commands, service and benchmarks all go through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from edge.records import Frame, Segmentation, Summary
from edge.summary import Summariser


class MaskMaker(Protocol):
    """A Segmenter, or whatever else makes masks of one camera's frames."""

    def step(self, frame: Frame) -> Segmentation: ...

    def reset(self) -> None:
        """Forget the past: the next frame is the first one."""


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one frame."""

    segmentation: Segmentation
    summary: Summary


def process(frames: Iterable[Frame], segmenter: MaskMaker, summariser: Summariser) -> Iterator[Step]:
    """One Step a frame, as the frames come. Raises whatever the source raises."""
    for frame in frames:
        segmentation = segmenter.step(frame)
        yield Step(segmentation, summariser.step(segmentation))
