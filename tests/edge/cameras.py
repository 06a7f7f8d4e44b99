"""Cameras that are processes of their own, under Debian's Python, and pictures that carry their number."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.records import Array

DEBIAN_PYTHON = "/usr/bin/python3"
HERE = Path(__file__).parent
SIZE = (160, 120)
FPS = 25.0


def numbered(number: int) -> Array:
    """A grey picture of SIZE that says `number` in 16 fields of dark and bright."""
    bits = np.array([(number >> i) & 1 for i in range(16)], np.uint8).reshape(4, 4)
    return np.asarray(cv2.resize(40 + 170 * bits, SIZE, interpolation=cv2.INTER_NEAREST))


def number(image: Array) -> int:
    """What `numbered` said, through any codec."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    fields = cv2.resize(grey, (4, 4), interpolation=cv2.INTER_AREA).ravel()
    return sum(int(level > 125) << i for i, level in enumerate(fields))


def write_clip(path: Path, frames: int) -> Path:
    """Numbered pictures as Motion JPEG."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIZE)
    assert video.isOpened()
    for i in range(frames):
        video.write(cv2.cvtColor(numbered(i), cv2.COLOR_GRAY2BGR))
    video.release()
    return path


@functools.cache
def debian_has(*libraries: str) -> bool:
    """Whether Debian's Python has PyGObject and these libraries, such as "Gst 1.0"."""
    lines = ["import gi", *(f"gi.require_version(*{library.split()!r})" for library in libraries)]
    with contextlib.suppress(OSError):
        return subprocess.run([DEBIAN_PYTHON, "-c", "\n".join(lines)], capture_output=True, check=False).returncode == 0
    return False


def need(*libraries: str) -> None:
    """Skip the test where they are not; `./dev test` installs them where it may."""
    if not debian_has(*libraries):
        pytest.skip(f"{', '.join(libraries)} for {DEBIAN_PYTHON} not installed: see apt_install in ./dev")


class Helper:
    """A script beside this file, running until the end of `with`."""

    def __init__(self, script: str, *arguments: object) -> None:
        self._command = [DEBIAN_PYTHON, str(HERE / script), *map(str, arguments)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Helper:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Until it says that it is ready."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "ready", "the camera does not start"

    def kill(self) -> None:
        """As a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """It neither answers nor goes away."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)
