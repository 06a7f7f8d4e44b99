"""How much does a camera say? Messages and bytes a second by topic, from the real service to a real broker.

    python -m benchmarks.rates --json benchmarks/rates.json
    python -m benchmarks.rates --seconds 20 --cameras 2 --fleet 10000

Twice: over a view without gas, and over the golden clip in a loop, where a leak stays open throughout. Bytes are those
of MQTT 5 PUBLISH packets and, for QoS 1, of their PUBACK; TCP, IP and TLS come on top, some 40 to 100 bytes a packet.
The fleet is worked out from these: per camera and per device what belongs to each.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from benchmarks import memory
from benchmarks.table import show
from calibration import result_file
from edge import mqtt
from edge.errors import FgstpError
from edge.uplink import MqttSettings

GROUP = "bench"
FPS = 25.0
BOX = 8  # cameras that one device carries, in the fleet
LEAKING = 0.01  # share of a fleet's cameras at which a leak goes on


@dataclass(slots=True)
class Count:
    """Of one kind of message."""

    messages: int = 0
    bytes: int = 0


def kind(topic: str) -> tuple[str, bool]:
    """What a message is, and whether it belongs to a camera (else to its device)."""
    parts = topic.split("/")
    if parts[0] == "spBv1.0":
        return f"sparkplug {parts[2]}", len(parts) > 4
    return ("/".join(parts[3:]), True) if len(parts) > 3 else (parts[2], False)


def wire(topic: str, payload: int, qos: int) -> int:
    """Bytes of a PUBLISH with a payload of that many, and of the PUBACK."""
    rest = 2 + len(topic.encode()) + (2 if qos else 0) + 1 + payload
    length, left = 1, rest
    while left > 127:
        length, left = length + 1, left >> 7
    return 1 + length + rest + (4 if qos else 0)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure. Raises FgstpError."""
    views = {name: measure(name, options) for name in ("quiet", "leaking")}
    return result_file.header("rates") | {
        "cameras": options.cameras,
        "camera_fps": FPS,
        "seconds": options.seconds,
        "views": views,
        "fleet": fleet(views, options.fleet),
    }


def measure(view: str, options: argparse.Namespace) -> dict[str, Any]:
    """One service over one view for so many seconds, once all of its cameras have begun."""
    with memory.place("rates") as (folder, settings):
        footage = {**(memory.golden_images if view == "leaking" else quiet_images)(folder / "view"), "fps": FPS}
        cameras = [{"name": f"cam{n}", "repeat": "loop", **footage} for n in range(1, options.cameras + 1)]
        config = memory.write_config(folder, settings, options, cameras, 10.0)
        said = yaml.safe_load(config.read_text(encoding="utf-8")) | {"sparkplug": {"group_id": GROUP}}
        said["sparkplug"]["outbox"] = {"path": str(folder / "sparkplug.db")}
        config.write_text(yaml.safe_dump(said), encoding="utf-8")
        with (
            counting(settings) as (counts, lock),
            memory.health(settings) as reports,
            memory.running(config) as service,
        ):
            report = memory.next_report(reports, service)
            while any(camera["frames"] == 0 for camera in report["cameras"].values()):
                report = memory.next_report(reports, service)
            with lock:
                counts.clear()
            began = time.monotonic()
            while time.monotonic() - began < options.seconds:
                if service.poll() is not None:
                    raise FgstpError(
                        f"fgstp-edge run stopped with exit code {service.returncode}; its message is above"
                    )
                time.sleep(0.1)
            with lock:
                found, seconds = dict(counts), time.monotonic() - began
    return rates(found, seconds, options.cameras)


def rates(found: Mapping[tuple[str, bool], Count], seconds: float, cameras: int) -> dict[str, Any]:
    """A second's messages and bytes: of a camera, of a device beside its cameras, and of each kind."""
    said: dict[str, Any] = {"camera": _sum(found, True, seconds * cameras), "device": _sum(found, False, seconds)}
    said["kinds"] = {
        name: {
            "per": "camera" if of_camera else "device",
            "messages_per_s": count.messages / seconds / (cameras if of_camera else 1),
            "bytes_per_s": count.bytes / seconds / (cameras if of_camera else 1),
        }
        for (name, of_camera), count in sorted(found.items())
    }
    return said


def _sum(found: Mapping[tuple[str, bool], Count], of_camera: bool, over: float) -> dict[str, float]:
    chosen = [count for (_, belongs), count in found.items() if belongs is of_camera]
    return {
        "messages_per_s": sum(count.messages for count in chosen) / over,
        "bytes_per_s": sum(count.bytes for count in chosen) / over,
    }


def fleet(views: Mapping[str, Any], cameras: int) -> dict[str, Any]:
    """What so many cameras say together, `LEAKING` of them at a leak."""
    devices = -(-cameras // BOX)
    said: dict[str, Any] = {"cameras": cameras, "devices": devices, "cameras_per_device": BOX, "leaking": LEAKING}
    for name, skipped in (("all", ()), ("without_summaries", ("summary",))):
        said[name] = {}
        for key in ("messages_per_s", "bytes_per_s"):
            quiet, leaking = (_of_cameras(views[view]["kinds"], key, skipped) for view in ("quiet", "leaking"))
            each = (1 - LEAKING) * quiet + LEAKING * leaking
            said[name][key] = cameras * each + devices * views["quiet"]["device"][key]
    return said


def _of_cameras(kinds: Mapping[str, Any], key: str, skipped: Sequence[str]) -> float:
    """What one camera says, without some kinds."""
    return float(sum(one[key] for name, one in kinds.items() if one["per"] == "camera" and name not in skipped))


def quiet_images(folder: Path) -> dict[str, Any]:
    """Two seconds of noise over a view, as a folder of images, and the camera key that names it."""
    rng = np.random.default_rng(0)
    view = cv2.GaussianBlur(rng.normal(110, 60, (240, 320)), (0, 0), 8)
    folder.mkdir()
    for number in range(50):
        frame = (view + rng.normal(0, 1.5, view.shape)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:06d}.png"), frame)
    return {"source": str(folder)}


@contextmanager
def counting(settings: MqttSettings) -> Iterator[tuple[dict[tuple[str, bool], Count], threading.Lock]]:
    """All that goes over a broker, by kind; hold the lock to read it."""
    counts: dict[tuple[str, bool], Count] = defaultdict(Count)
    lock = threading.Lock()

    def add(_client: Any, _data: Any, message: Any) -> None:
        with lock:
            count = counts[kind(message.topic)]
            count.messages += 1
            count.bytes += wire(message.topic, len(message.payload), message.qos)

    client = mqtt.client(settings, "fgstp-rates")
    client.on_connect = lambda *_: client.subscribe([("fgstp/#", 1), ("spBv1.0/#", 1)])
    client.on_message = add
    client.connect(settings.host, settings.port)
    client.loop_start()
    try:
        yield counts, lock
    finally:
        client.disconnect()
        client.loop_stop()


def print_report(result: Mapping[str, Any]) -> None:
    """By kind, then the fleet."""
    for name, view in result["views"].items():
        rows = [
            [what, one["per"], one["messages_per_s"], f"{one['bytes_per_s']:.0f}"]
            for what, one in view["kinds"].items()
        ]
        print(f"\n{name}\n{show(['kind', 'of a', 'messages/s', 'bytes/s'], rows)}")
    found = result["fleet"]
    print(
        f"\n{found['cameras']} cameras on {found['devices']} devices, {found['leaking']:.0%} of them at a leak: "
        f"{found['all']['messages_per_s']:.0f} messages/s, {8e-6 * found['all']['bytes_per_s']:.1f} Mbit/s; without "
        f"summaries {found['without_summaries']['messages_per_s']:.0f} and "
        f"{8e-6 * found['without_summaries']['bytes_per_s']:.1f}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cameras", type=int, default=2, help="of the measured device")
    add("--seconds", type=float, default=60.0, help="of each view")
    add("--fleet", type=int, default=10_000, help="cameras of the fleet that is worked out")
    add("--model", default="student.int8")
    add("--backend", default="auto")
    add("--skip-self-test", action="store_true", help="for a model that the golden masks are not made for")
    add("--json", type=Path, help="write the result here")
    options = parser.parse_args(argv)
    try:
        result = run(options)
        print_report(result)
        if options.json:
            result_file.write(options.json, result)
    except FgstpError as error:
        print(f"benchmarks.rates: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
