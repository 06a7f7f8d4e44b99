"""Evidence on its way to the disk: what `edge.recorder` made of a leak is written and announced.

A thread of its own, for all cameras, draws and writes. Each file that is on disk is announced by an `evidence` message,
with or without its content. A disk that fails costs evidence, never an alarm.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge import payload
from edge.archive import Archive, Kept
from edge.config import EvidenceSettings
from edge.errors import StorageError
from edge.outbox import default_path

log = logging.getLogger("evidence")

FINISH_S = 4.0  # for the file in hand when we leave; a disk that hangs must not keep us
WAITING = 64  # files that may wait for a slow disk
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
