"""`fgstp-edge calibrate`: one camera's noise, places that fire without gas, threshold and smallest plume.

    gas-free footage ─▶ segmenter ─▶ Study ─▶ maps ─▶ replay of the alarm at each setting ─▶ CameraCalibration

False alarms are counted on each half of the footage with the exclusion that the *other* half gives: a map may not be
judged by the frames that it was drawn from. Settings only ever get stricter than the shipped ones, and no stricter
than the target asks. A few minutes cannot show a low rate: the interval in the file says how much they do show.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from edge import __version__, capture, condition, mask, rate
from edge.camera import CameraCalibration, FalseAlarms, Plane
from edge.capture import SourceOptions
from edge.capture.credentials import find
from edge.condition import Condition
from edge.contract import ModelSpec
from edge.errors import ConfigError, SourceError
from edge.exclusion import flickering, still
from edge.progress import progress
from edge.records import Array, Frame, Summary
from edge.rendering import PLAIN, Rendering
from edge.rules import AlarmSettings
from edge.segmenter import NEVER, Segmenter, open_segmenter
from edge.study import Glimpse, Study
from edge.summary import confidence, contour, sampled

SHORTEST_S = 10.0  # of believable footage; less says nothing of a place
THRESHOLDS = (0.6, 0.7, 0.8, 0.9, 0.95, 0.98)  # tried above the model's own, mild ones first
AREAS = (1, 2, 4, 8, 16, 32)  # times the shipped smallest plume


@dataclass(frozen=True, slots=True)
class Setting:
    """What a calibration chooses."""

    threshold: float
    min_area_share: float


def calibrate_sources(
    sources: Sequence[str],
    target_per_hour: float,
    *,
    model: str = "student.int8",
    backend: str = "auto",
    threads: int = 1,
    polarity: Literal["white_hot", "black_hot"] = "white_hot",
    rendering: Rendering = PLAIN,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    minutes: float | None = None,
) -> CameraCalibration:
    """Calibrate from recordings, or a live camera for some minutes. Raises SourceError, ModelError or ConfigError."""
    live = [source for source in sources if source.startswith(capture.LIVE)]
    if live and minutes is None:
        raise ConfigError(f"{capture.without_credentials(live[0])}: a live camera has no end; give --minutes")
    segmenter = open_segmenter(model, backend, threads, polarity=polarity, rendering=rendering)
    return calibrate(_films(sources, fps, size, minutes), segmenter, target_per_hour)


def _films(
    sources: Sequence[str], fps: float | None, size: tuple[int, int] | None, minutes: float | None
) -> Iterator[tuple[str, Iterator[Frame]]]:
    """Each source's name and frames; the frames are to be taken before the next source is asked for."""
    options = SourceOptions(fps, size, credentials=find(None, None))
    for source in sources:
        with capture.open(source, options) as footage, progress(footage.name, footage.frames) as tick:
            yield footage.name, _frames(footage, minutes, tick)


def _frames(footage: Iterable[Frame], minutes: float | None, tick: Callable[[], None]) -> Iterator[Frame]:
    began = None
    for frame in footage:
        began = frame.captured if began is None else began
        if minutes is not None and frame.captured - began > 60 * minutes:
            return
        yield frame
        tick()


def calibrate(
    films: Iterable[tuple[str, Iterable[Frame]]],
    segmenter: Segmenter,
    target_per_hour: float,
    rules: AlarmSettings | None = None,
) -> CameraCalibration:
    """Calibrate from named stretches of frames of one camera, for alarms raised by `rules` (default: the shipped ones);
    the segmenter must have no calibration of its own.

    Raises SourceError where too little is seen, ConfigError where sizes differ.
    """
    study = Study(segmenter)
    for name, frames in films:
        study.begin(name)
        for frame in frames:
            study.step(frame)
    if study.seconds < SHORTEST_S:
        raise SourceError(
            f"{', '.join(study.names)}: only {study.seconds:.1f} s in which the view stands still and shows a scene; "
            f"calibrate with minutes of footage of a fixed camera, {SHORTEST_S:g} s at the very least"
        )
    spec = segmenter.spec
    rules = rules or AlarmSettings()
    shipped = Setting(spec.threshold, rules.min_area_share)
    nothing = np.zeros(study.cells, bool)
    frozen = still(study)
    halves = study.halves()
    maps = [frozen | flickering(study, half) for half in reversed(halves)]
    before = count(study, halves, [nothing, nothing], spec, rules, [shipped])[shipped]
    after = count(study, halves, maps, spec, rules, settings(shipped))
    chosen = choose(after, target_per_hour)
    fires, restless = study.shares(study.glimpses)
    excluded = frozen | flickering(study, study.glimpses)
    if excluded.all():
        raise SourceError(f"{', '.join(study.names)}: nothing of the view is left once what never changes is excluded")
    return CameraCalibration(
        software=__version__,
        model=spec.name,
        model_sha256=spec.sha256,
        sources=tuple(study.names),
        size=study.size,
        polarity=segmenter.polarity,
        footage_s=study.seconds,
        noise=study.noise,
        threshold=chosen.threshold,
        min_area_share=chosen.min_area_share,
        target_per_hour=target_per_hour,
        before=before,
        after=after[chosen],
        frozen=Plane.of(frozen),
        flicker=Plane.of(np.rint(255 * fires)),
        restless=Plane.of(np.rint(255 * restless)),
        excluded=Plane.of(excluded),
    )


def settings(shipped: Setting) -> list[Setting]:
    """All that is tried, mildest first. A step of threshold counts for two: it costs part of every plume, where a step
    of area costs the small ones."""
    thresholds = [shipped.threshold, *(value for value in THRESHOLDS if value > shipped.threshold)]
    steps = itertools.product(enumerate(AREAS), enumerate(thresholds))
    ranked = sorted(steps, key=lambda step: (step[0][0] + 2 * step[1][0], step[1][0]))
    return [Setting(threshold, shipped.min_area_share * area) for (_, area), (_, threshold) in ranked]


def choose(found: dict[Setting, FalseAlarms], target_per_hour: float) -> Setting:
    """The mildest setting that reaches the target; where none does, the mildest of those with the fewest alarms."""
    reached = [one for one, alarms in found.items() if alarms.events <= target_per_hour * alarms.hours]
    return reached[0] if reached else min(found, key=lambda one: found[one].events)


def count(
    study: Study,
    parts: Sequence[Sequence[Glimpse]],
    maps: Sequence[Array],
    spec: ModelSpec,
    rules: AlarmSettings,
    tried: Sequence[Setting],
) -> dict[Setting, FalseAlarms]:
    """False alarms at each setting, by rules that are else the same, over parts of the footage and their exclusions."""
    events = dict.fromkeys(tried, 0)
    seconds = 0.0
    own = {one: rules.model_copy(update={"min_area_share": one.min_area_share}) for one in tried}
    for part, excluded in zip(parts, maps, strict=True):
        for _, film in itertools.groupby(part, key=lambda glimpse: glimpse.film):
            states = dict.fromkeys(tried, Condition())
            for glimpse in film:
                summaries = {
                    threshold: summarise(glimpse, study, excluded, spec, threshold)
                    for threshold in {one.threshold for one in tried}
                }
                for one in tried:
                    states[one], said = condition.step(states[one], summaries[one.threshold], own[one], camera="site")
                    events[one] += sum(event.type == "start" for event in said)
            seconds += states[tried[0]].clock
    hours = seconds / 3600
    return {one: _false_alarms(number, hours) for one, number in events.items()}


def _false_alarms(events: int, hours: float) -> FalseAlarms:
    low, high = rate.interval(events, hours)
    return FalseAlarms(events=events, hours=hours, low_per_hour=low, high_per_hour=high)


def summarise(glimpse: Glimpse, study: Study, excluded: Array, spec: ModelSpec, threshold: float) -> Summary:
    """What the alarm wants to know of a frame: size, place and confidence of the plume. Whatever is seen counts as
    flickering, since the pictures are not kept: the false alarms are rather too many."""
    width, height = study.size
    logits = study.logits(glimpse)
    area, sure = 0, 0.0
    box: tuple[int, int, int, int] | None = None
    outline: tuple[tuple[int, int], ...] = ()
    if logits is not None:
        logits[excluded] = NEVER
        found = mask.from_logits(logits, study.size, threshold, spec.min_component_px, spec.certain)
        area = cv2.countNonZero(found)
        if area:
            x, y, w, h = cv2.boundingRect(found)
            box = x, y, w, h
            outline = contour(found[y : y + h, x : x + w], (x, y))
            sure = confidence(logits, *sampled(found, box, logits.shape))
    return Summary(
        index=glimpse.index,
        captured=glimpse.captured,
        utc=glimpse.captured,
        width=width,
        height=height,
        area_px=area,
        area_share=area / (width * height),
        box=box,
        contour=outline,
        centroid=None,
        drift=None,
        origin=None,
        cnr=0.0,
        confidence=sure,
        flicker=math.inf,
        noise=study.noise,
        quality=glimpse.quality,
    )


def report(made: CameraCalibration) -> str:
    """What a person wants to know of a camera file."""

    def alarms(found: FalseAlarms) -> str:
        bounds = f"{found.low_per_hour:.3g} to {found.high_per_hour:.3g} an hour (95 %)"
        return f"{found.events} in {found.hours:.3g} h, {bounds}"

    shown = made.after.high_per_hour <= made.target_per_hour
    needed = rate.interval(0, 1.0)[1] / made.target_per_hour
    verdict = "shown" if shown else f"not shown: that takes {needed:.3g} h without an alarm"
    if made.after.events > made.target_per_hour * made.after.hours:
        verdict = "missed, with the strictest settings that help; watch another view, or mend what fires"
    return "\n".join(
        (
            f"footage       {made.footage_s:.0f} s believable, {made.size[0]}x{made.size[1]}, {made.polarity}",
            f"noise         {made.noise:.2f} grey levels",
            f"excluded      {made.excluded.array.mean():.1%} of the view ({made.frozen.array.mean():.1%} frozen)",
            f"threshold     {made.threshold:g}",
            f"smallest      {made.min_area_share:.2%} of the view",
            f"false alarms  {alarms(made.after)}; before: {alarms(made.before)}",
            f"target        {made.target_per_hour:g} an hour: {verdict}",
        )
    )
