"""The whole way from pictures to numbers, in one screen.

    with capture.open("clip.mp4") as frames:
        for step in process(frames, open_segmenter(), Summariser()):
            print(step.summary.area_px)

Commands, service and benchmarks all go through here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from edge.records import Array, Frame, Segmentation, Summary
from edge.summary import Summariser
from edge.zones import ZonedSummariser


class MaskMaker(Protocol):
    """A Segmenter, or whatever else makes masks of one camera's frames."""

    def step(self, frame: Frame) -> Segmentation: ...

    def reset(self) -> None:
        """Forget the past: the next frame is the first one."""


class Guided(MaskMaker, Protocol):
    """A MaskMaker that can be told how its camera has moved; see `Segmenter.step`."""

    def step(self, frame: Frame, prior: Array | None = None) -> Segmentation: ...


@dataclass(frozen=True, slots=True)
class Informed:
    """One whose camera's motion somebody knows: `motion` gives its `prior`, asked for every frame in order."""

    segmenter: Guided
    motion: Callable[[Frame], Array | None]

    def step(self, frame: Frame) -> Segmentation:
        """The mask of one frame."""
        return self.segmenter.step(frame, self.motion(frame))

    def reset(self) -> None:
        """Forget the past."""
        self.segmenter.reset()


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one frame."""

    segmentation: Segmentation
    summary: Summary
    zones: tuple[Summary, ...] = ()  # of each zone that is watched, for its alarm; only from a ZonedSummariser


def process(frames: Iterable[Frame], segmenter: MaskMaker, summariser: Summariser | ZonedSummariser) -> Iterator[Step]:
    """One Step a frame, as the frames come. Raises whatever the source raises."""
    for frame in frames:
        yield taken(segmenter.step(frame), summariser)


def taken(segmentation: Segmentation, summariser: Summariser | ZonedSummariser) -> Step:
    """The second half of it, for who schedules the first."""
    if isinstance(summariser, Summariser):
        return Step(segmentation, summariser.step(segmentation))
    segmentation = summariser.masked(segmentation)
    return Step(segmentation, *summariser.step(segmentation))
