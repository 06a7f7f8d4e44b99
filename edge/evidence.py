"""What a leak looked like: a still with and without overlay, and a clip from before its start to some seconds after.

The frame loop only encodes a JPEG a frame and hands over references; a thread of its own, for all cameras, draws and
writes. The start event carries the sha256 of the still, which is known before it is written: no event waits for a disk.
Each file that is on disk is announced by an `evidence` message, with or without its content. A disk that fails costs
evidence, never an alarm.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from edge import clip, overlay, payload
from edge.archive import Archive, Kept
from edge.condition import Phase
from edge.config import EvidenceSettings
from edge.errors import StorageError
from edge.outbox import default_path
from edge.pipeline import Step
from edge.records import Array, Event

log = logging.getLogger("evidence")

FINISH_S = 4.0  # for the file in hand when we leave; a disk that hangs must not keep us
GAP_S = 2.0  # a longer time without a frame ends a clip
WAITING = 64  # files that may wait for a slow disk
HISTORY = 600  # events of one leak that are remembered for its events.jsonl; then every other one goes
CHUNK = 12_288  # bytes of a file in one message: 16 kB of base64, so that a thin link stays responsive
MEDIA = {".jpg": "image/jpeg", ".avi": "video/x-msvideo"}

Publish = Callable[[str, payload.Payload, str], None]  # kind, payload, camera: edge.mqtt.Publisher.publish


@dataclass(frozen=True, slots=True)
class File:
    """One that is to be written."""

    camera: str
    event_id: str | None  # None: a snapshot on request
    utc: float
    name: str
    size: int  # bytes, about
    write: Callable[[Path], None]

    @property
    def folder(self) -> str:
        """Sorts by time; ends in what it belongs to."""
        time = payload.iso(self.utc).replace("-", "").replace(":", "")
        return f"{self.camera}/{time}-{self.event_id or 'snapshot'}"


class Keeper:
    """The thread that writes the evidence of all cameras and announces it."""

    def __init__(self, device: str, settings: EvidenceSettings, publish: Publish) -> None:
        self.settings, self._publish = settings, publish
        root = settings.path or default_path(device).with_name(f"evidence-{device}")
        self._archive = Archive(root, settings.max_bytes, settings.min_free_bytes)
        self._files: queue.Queue[File | None] = queue.Queue(WAITING)
        self._open: frozenset[str] = frozenset()  # leaks whose evidence stays; replaced, never changed
        self._lock = threading.Lock()  # over replacing it
        self._kept = self._lost = 0
        self._fault: str | None = None  # the present trouble, said once
        self._leaving = threading.Event()  # nothing more is begun
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def recorder(self, camera: str) -> Recorder:
        """The part that belongs to one camera."""
        return Recorder(camera, self)

    def opened(self, event_id: str) -> None:
        """This leak is open, also when it was before we started: its evidence stays."""
        with self._lock:
            self._open |= {event_id}

    def closed(self, event_id: str) -> None:
        """This leak is over: its evidence goes when its time has come."""
        with self._lock:
            self._open -= {event_id}

    def put(self, file: File) -> None:
        """Have it written soon; never waits."""
        try:
            self._files.put_nowait(file)
        except queue.Full:
            self._trouble(f"{file.camera}/{file.name}: the disk is too slow, {WAITING} files wait already")

    def report(self) -> payload.Payload:
        """Evidence's part of the health message."""
        return {"kept": self._kept, "lost": self._lost, "bytes": self._archive.bytes, "fault": self._fault}

    def close(self, patience_s: float) -> None:
        """Write what waits, within `patience_s`; then only finish the file in hand: a process that ends while OpenCV
        works in a thread is aborted instead."""
        if self._thread.ident is not None:
            until = time.monotonic() + patience_s
            with contextlib.suppress(queue.Full):
                self._files.put(None, timeout=patience_s)
            self._thread.join(max(0.0, until - time.monotonic()))
            self._leaving.set()
            with contextlib.suppress(queue.Full):  # it may have been full until now, and the thread waits for a word
                self._files.put_nowait(None)
            self._thread.join(FINISH_S)

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # drawing and encoding give way to inference
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while (file := self._files.get()) is not None and not self._leaving.is_set():
            try:
                kept = self._archive.keep(file.folder, file.name, file.write, file.size, self._open)
                self._kept, self._fault = self._kept + 1, None
                for message in announcements(file, kept, self.settings.publish):
                    self._publish("evidence", message, file.camera)
            except (StorageError, OSError, cv2.error) as error:
                self._trouble(" ".join(str(error).split()))

    def _trouble(self, what: str) -> None:
        self._lost += 1
        if self._fault is None:
            log.error("%s; alarms go on without evidence", what)
        self._fault = what


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


def announcements(file: File, kept: Kept, publish: str) -> Iterator[payload.Payload]:
    """The messages about a file on disk: one, or one for each chunk of its content. Raises OSError."""
    media_type = MEDIA.get(kept.path.suffix)
    if media_type is None:
        return  # event.json, events.jsonl: they have been sent as events
    with_content = publish == "all" or (publish == "snapshot" and media_type == "image/jpeg")
    content = kept.path.read_bytes() if with_content else b""
    parts = max(1, -(-len(content) // CHUNK))
    for part in range(parts):
        chunk = content[part * CHUNK : (part + 1) * CHUNK]
        yield {
            "camera": file.camera,
            "event_id": file.event_id,
            "utc": payload.iso(file.utc),
            "kind": kept.path.stem,
            "file": f"{file.folder}/{file.name}",
            "media_type": media_type,
            "bytes": kept.bytes,
            "sha256": kept.sha256,
            "part": part + 1,
            "parts": parts,
            "data": base64.b64encode(chunk).decode() if with_content else None,
        }


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
