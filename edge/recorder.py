"""What a leak looked like: a still with and without overlay, and a clip from before its start to some seconds after.

The frame loop only encodes a JPEG a frame and hands over references; `edge.evidence` draws and writes. The start event
carries the sha256 of the still, which is known before it is written: no event waits for a disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from edge import clip, overlay, payload
from edge.condition import Phase
from edge.evidence import File, Keeper
from edge.pipeline import Step
from edge.records import Array, Event

GAP_S = 2.0  # a longer time without a frame ends a clip
HISTORY = 600  # events of one leak that are remembered for its events.jsonl; then every other one goes


class Recorder:
    """One camera's recent past. Call it from the thread that has the frames."""

    def __init__(self, camera: str, keeper: Keeper) -> None:
        self._camera, self._keeper, self._settings = camera, keeper, keeper.settings
        self._ring = clip.Ring(self._settings.buffer_bytes)
        self._last: Step | None = None
        self._unfinished: list[Event] = []  # leaks whose clip is not complete yet, the oldest first
        self._history: dict[str, list[Event]] = {}  # of leaks that are not over

    def offer(self, step: Step) -> None:
        """Every frame, before its events."""
        if not self._settings.enabled:
            return
        now = step.summary.captured
        if self._last is not None and not 0 <= now - self._last.summary.captured <= GAP_S:
            self.interrupted()
        self._last = step
        self._ring.add(_picture(step), now)
        while self._unfinished and now >= self._unfinished[0].captured + self._settings.after_s:
            self._finish(self._unfinished.pop(0))
        first = self._unfinished[0].captured if self._unfinished else now
        self._ring.forget_before(first - self._settings.before_s)

    def leak_started(self, event: Event) -> Event:
        """The start event as it is to be sent, with the sha256 of its still; all evidence follows by itself."""
        if self._last is None:
            return event
        self._keeper.opened(event.event_id)
        still = clip.jpeg(overlay.to_bgr(self._last.segmentation.frame.image), clip.STILL)
        event = replace(event, snapshot_sha256=hashlib.sha256(still).hexdigest())
        self._put(event, "event.json", 4096, _bytes(payload.encode(payload.event(event)).encode()))
        self._put(event, "snapshot.jpg", len(still), _bytes(still))
        self._put(event, "overlay.jpg", 10 * len(still), partial(_overlay, self._last, event.event_id))
        self._unfinished.append(event)
        self._history[event.event_id] = [event]
        return event

    def leak_went_on(self, event: Event) -> None:
        """Remember this step for the leak's history."""
        if (history := self._history.get(event.event_id)) is not None:  # None: it began before we did
            if len(history) >= HISTORY:
                del history[1::2]
            history.append(event)

    def leak_ended(self, event: Event) -> None:
        """Its history is complete; its evidence may go when its time has come."""
        if history := self._history.pop(event.event_id, None):
            lines = "".join(payload.encode(payload.event(one)) + "\n" for one in (*history, event)).encode()
            self._put(history[0], "events.jsonl", len(lines), _bytes(lines))
        self._keeper.closed(event.event_id)

    def snapshot(self) -> tuple[str, str] | None:
        """A still on an operator's request: its file below the evidence folder, its sha256. None: no picture now."""
        if self._last is None:
            return None
        still = clip.jpeg(overlay.to_bgr(self._last.segmentation.frame.image), clip.STILL)
        file = File(self._camera, None, self._last.summary.utc, "snapshot.jpg", len(still), _bytes(still))
        self._keeper.put(file)
        return f"{file.folder}/{file.name}", hashlib.sha256(still).hexdigest()

    def interrupted(self) -> None:
        """No more frames for now: clips end here, and the next frame is not of this view."""
        for event in self._unfinished:
            self._finish(event)
        self._unfinished.clear()
        self._ring.clear()
        self._last = None

    def _finish(self, event: Event) -> None:
        first, last = event.captured - self._settings.before_s, event.captured + self._settings.after_s
        pictures = self._ring.between(first, last)
        size = 2 * sum(len(picture.jpeg) for picture in pictures)
        if pictures:
            self._put(event, "clip.avi", size, partial(clip.write, pictures))

    def _put(self, event: Event, name: str, size: int, write: Callable[[Path], None]) -> None:
        self._keeper.put(File(self._camera, event.event_id, event.utc, name, size, write))


def _picture(step: Step) -> Array:
    """The frame for a clip. Of 16 bits the model's view is taken: its grey levels do not jump from frame to frame."""
    image = step.segmentation.frame.image
    if image.dtype == np.uint8:
        return image
    seen: Array = np.clip(step.segmentation.image * 255, 0, 255).astype(np.uint8)
    return seen


def _overlay(step: Step, event_id: str, path: Path) -> None:
    segmentation = step.segmentation
    drawn = overlay.draw(segmentation.frame.image, segmentation.mask, step.summary, Phase.ACTIVE, event_id)
    path.write_bytes(clip.jpeg(drawn, clip.STILL))


def _bytes(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write
