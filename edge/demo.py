"""`fgstp-edge demo`: the whole way on one machine: camera clip, `run`, a broker, `watch`, and pictures to look at.

The camera is the golden clip of the package, played at camera rate, forwards and backwards without a cut.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import yaml

from edge import broker, overlay, selftest
from edge.errors import StorageError, TransportError
from edge.segment import segment
from edge.uplink import MqttSettings
from edge.watch import Board, watch

PATIENCE_S = 25.0  # for the first leak
LINGER_S = 5.0  # after it, to see updates
PICTURES = 6  # on the contact sheet


def demo(out: Path) -> int:
    """Play it; the exit code is 0 when a leak alarm arrived. Raises TransportError without a broker, StorageError."""
    serving = broker.find()
    if serving is None:
        raise TransportError("no MQTT broker on this machine: apt-get install mosquitto, or pip install amqtt")
    with tempfile.TemporaryDirectory(prefix="fgstp-demo-") as folder:
        frames, fps = _unpack(Path(folder) / "frames")
        port = broker.free_port()
        with broker.serve(serving, port):
            settings = serving.settings(port)
            print(
                f"broker: {serving.name} on {settings.host}:{port}; camera: the golden clip at {fps:g} fps", flush=True
            )
            config = _write_config(Path(folder) / "demo.yaml", frames, fps, settings)
            log = Path(folder) / "run.log"
            with _running(config, log) as process:
                leaks = watch(settings, until=_after_a_leak(process)).leaks
        if not leaks:
            said = log.read_text(encoding="utf-8", errors="replace")
            print(f"{said}fgstp-edge demo: no leak alarm arrived; above is what `run` said", file=sys.stderr)
            return 1
        segment(str(frames), out, fps=fps, with_overlay=True)
    sheet = _contact_sheet(out)
    print(f"{leaks} leak alarm{'s' * (leaks > 1)} arrived over MQTT")
    print(f"overlay video: {out / 'overlay.mp4'}\ncontact sheet: {sheet}")
    return 0


def _unpack(folder: Path) -> tuple[Path, float]:
    """The golden clip as a folder of lossless pictures, and its frame rate."""
    clip = selftest.golden()
    folder.mkdir()
    for number, image in enumerate(clip.frames):
        cv2.imwrite(str(folder / f"{number:06d}.png"), image)
    return folder, clip.fps


def _write_config(path: Path, frames: Path, fps: float, settings: MqttSettings) -> Path:
    camera = {"name": "golden", "source": str(frames), "fps": fps, "realtime": True, "repeat": "pingpong"}
    broker_of = {"host": settings.host, "port": settings.port, "protocol": settings.protocol, "required_at_start": True}
    outbox = {"path": str(path.with_name("outbox.db"))}
    whole = {"device": "demo", "cameras": [camera], "mqtt": broker_of, "outbox": outbox}
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return path


@contextlib.contextmanager
def _running(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`fgstp-edge run` as a process of its own, asked to stop at the end; its log would tear the table of `watch`."""
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", "edge", "run", "--config", str(config)], stderr=file)
    try:
        yield process
    finally:
        broker.stop(process, 10)


def _after_a_leak(process: subprocess.Popen[bytes]) -> Any:
    """Stop watching a little after the first leak, when patience ends, or when `run` is gone."""
    deadline = time.monotonic() + PATIENCE_S
    lingers = False

    def over(board: Board) -> bool:
        nonlocal deadline, lingers
        if board.leaks and not lingers:
            lingers, deadline = True, time.monotonic() + LINGER_S
        return time.monotonic() > deadline or process.poll() is not None

    return over


def _contact_sheet(out: Path) -> Path:
    """Pictures of the overlay video, evenly spaced."""
    video = cv2.VideoCapture(str(out / "overlay.mp4"))
    pictures = []
    while (read := video.read())[0]:
        pictures.append(read[1])
    video.release()
    if not pictures:
        raise StorageError(f"{out / 'overlay.mp4'}: the overlay video cannot be read back; is the disk full?")
    chosen = [pictures[round(n * (len(pictures) - 1) / (PICTURES - 1))] for n in range(PICTURES)]
    path = out / "contact-sheet.png"
    if not cv2.imwrite(str(path), overlay.sheet(chosen)):
        raise StorageError(f"{path}: cannot write; free some space or choose another --out")
    return path
