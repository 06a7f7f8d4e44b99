"""How much memory does `fgstp-edge run` take with one camera, and does it grow?

    python -m benchmarks.memory --json benchmarks/memory.json
    python -m benchmarks.memory --source clip.mp4 --frames 2000

Starts a broker and the real service on a recording that is played over and over, as fast as it goes, and reads the
service's resident memory from the kernel until it has seen enough frames. The slope is fitted to what comes after the
first fifth of the frames.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from benchmarks.table import show
from calibration import result_file
from edge import broker, contract, selftest
from edge.errors import FgstpError, TransportError
from edge.uplink import MqttSettings

DEVICE, CAMERA = "bench", "cam1"
SILENCE_S = 60.0  # without a health message, the service is taken for dead
SETTLED = 0.2  # share of the frames after which memory should stand still

Point = tuple[int, float]  # frames so far, resident MB (1e6 bytes)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure. Raises FgstpError when there is no broker or the service stops early."""
    with place("memory") as (folder, settings):
        camera = {"name": CAMERA, "realtime": False, **recording(folder, options)}
        config = write_config(folder, settings, options, [camera])
        points, peak, backend = watch(config, settings, options.frames)
    settled = [point for point in points if point[0] >= SETTLED * points[-1][0]]
    spec, _ = contract.load(options.model)
    return result_file.header("memory") | {
        "model": spec.name,
        "sha256": spec.sha256,
        "backend": backend,
        "frames": points[-1][0],
        "rss_mb": {"first": points[0][1], "last": points[-1][1], "peak": peak},
        "slope_kb_per_1000_frames": slope(settled),
        "points": thinned(points, 50),
    }


@contextlib.contextmanager
def place(what: str) -> Iterator[tuple[Path, MqttSettings]]:
    """A folder and a broker for one measurement. Raises TransportError where this machine has no broker."""
    serving = broker.find()
    if serving is None:
        raise TransportError("no MQTT broker on this machine; apt-get install mosquitto")
    port = broker.free_port()
    with tempfile.TemporaryDirectory(prefix=f"fgstp-{what}-") as folder, broker.serve(serving, port):
        yield Path(folder), serving.settings(port)


def slope(points: Sequence[Point]) -> float:
    """Growth in kB per 1,000 frames, a least-squares line; NaN of fewer than two points."""
    return gradient([(frames / 1000, size * 1000) for frames, size in points])


def gradient(points: Sequence[tuple[float, float]]) -> float:
    """dy / dx of a least-squares line through (x, y); NaN of fewer than two points."""
    x, y = np.array(points, float).reshape(-1, 2).T
    if len(x) < 2 or np.ptp(x) == 0:
        return float("nan")
    return float(np.polyfit(x, y, 1)[0])


def thinned(points: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the points, evenly spread, the first and last among them."""
    chosen = np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).round().astype(int))
    return [points[index] for index in chosen]


def recording(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The camera keys of what is played over and over."""
    if options.source is None:
        return {"repeat": "loop", **golden_images(folder / "golden")}
    return {"repeat": "loop", "source": options.source}


def write_config(
    folder: Path,
    settings: MqttSettings,
    options: argparse.Namespace,
    cameras: Sequence[dict[str, Any]],
    health_every_s: float = 0.5,
    threads: int = 1,
) -> Path:
    """The configuration of the measured service."""
    config = {
        "device": DEVICE,
        "cameras": list(cameras),
        "model": {"name": options.model, "backend": options.backend, "threads": threads},
        "mqtt": {"host": settings.host, "port": settings.port, "protocol": settings.protocol},
        "outbox": {"path": str(folder / "outbox.db")},
        "evidence": {"path": str(folder / "evidence")},
        "health": {"every_s": health_every_s},
        "self_test": not options.skip_self_test,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def golden_images(folder: Path) -> dict[str, Any]:
    """The golden clip as a folder of images, and the camera keys that name it. They are not compressed: GigE and USB
    cameras give plain grey pictures, and what a decoder costs is another measurement."""
    clip = selftest.golden()
    folder.mkdir()
    for number, frame in enumerate(clip.frames):
        cv2.imwrite(str(folder / f"{number:06d}.bmp"), frame)
    return {"source": str(folder), "fps": clip.fps}


def watch(config: Path, settings: MqttSettings, frames: int) -> tuple[list[Point], float, str]:
    """Memory at every health message until `frames` have passed; the kernel's own peak; the backend in use."""
    points: list[Point] = []
    with health(settings) as reports, running(config) as service:
        while not points or points[-1][0] < frames:
            report = next_report(reports, service)
            points.append((report["cameras"][CAMERA]["frames"], resident(service.pid, "VmRSS")))
            print(f"\r{points[-1][0]} frames, {points[-1][1]:.0f} MB", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return points, resident(service.pid, "VmHWM"), report["backend"]


def next_report(reports: queue.Queue[dict[str, Any]], service: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The next health message. Raises FgstpError when the service is gone or silent."""
    until = time.monotonic() + SILENCE_S
    while time.monotonic() < until:
        if service.poll() is not None:
            raise FgstpError(f"fgstp-edge run stopped with exit code {service.returncode}; its own message is above")
        with contextlib.suppress(queue.Empty):
            return reports.get(timeout=0.5)
    raise FgstpError(f"fgstp-edge run said nothing for {SILENCE_S:.0f} s; try it by hand: fgstp-edge run --config FILE")


def resident(pid: int, key: str) -> float:
    """A process's memory in MB (1e6 bytes): VmRSS now, VmHWM at its highest."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise FgstpError(f"process {pid} has ended; its own message is above")


@contextlib.contextmanager
def health(settings: MqttSettings) -> Iterator[queue.Queue[dict[str, Any]]]:
    """The device's health messages as they arrive."""
    import paho.mqtt.client as paho

    reports: queue.Queue[dict[str, Any]] = queue.Queue()
    version = {"5": paho.MQTTv5, "3.1.1": paho.MQTTv311}[settings.protocol]
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=version)
    client.on_connect = lambda *_: client.subscribe(f"fgstp/{DEVICE}/health")
    client.on_message = lambda _client, _data, message: reports.put(json.loads(message.payload))
    client.connect(settings.host, settings.port)
    client.loop_start()
    try:
        yield reports
    finally:
        client.disconnect()
        client.loop_stop()


@contextlib.contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The service as a process of its own, asked to stop at the end."""
    service = subprocess.Popen([sys.executable, "-m", "edge", "run", "--config", str(config)])
    try:
        yield service
    finally:
        broker.stop(service, 10)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--frames", type=int, default=20_000)
    add("--source", help="a recording, best 320x240 (default: the golden clip)")
    add("--model", default="student.int8")
    add("--backend", default="auto")
    add("--skip-self-test", action="store_true", help="for a model that the golden masks are not made for")
    add("--json", type=Path, help="write the result here")
    options = parser.parse_args(argv)
    try:
        result = run(options)
        memory = result["rss_mb"]
        print(
            show(
                ["frames", "first MB", "last MB", "peak MB", "kB / 1000 frames"],
                [
                    [
                        result["frames"],
                        *(f"{memory[key]:.1f}" for key in ("first", "last", "peak")),
                        f"{result['slope_kb_per_1000_frames']:.1f}",
                    ]
                ],
            )
        )
        if options.json:
            result_file.write(options.json, result)
    except FgstpError as error:
        print(f"benchmarks.memory: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
