"""How the device is doing: speed, delay, losses and memory, and the datagrams that systemd waits for."""

from __future__ import annotations

import ctypes
import math
import os
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge import payload
from edge.records import Quality

RECENT = 512  # frames over which delay is taken
RECENT_S = 10.0  # over which speed is taken; a camera that has gone has none left by then
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


@dataclass(slots=True)
class CameraHealth:
    """One camera's running figures."""

    frames: int = 0
    dropped: int = 0  # frames that came while the one before was computed
    faults: int = 0  # times the camera was lost
    connected: bool = True
    quality: Quality = Quality.GOOD
    _delays: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))  # s
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))  # of completion, s

    def done(self, now: float, delay_s: float, quality: Quality) -> None:
        """One frame went all the way through."""
        self.frames += 1
        self.quality = quality
        self._delays.append(delay_s)
        self._times.append(now)

    def fps(self, now: float) -> float:
        """Frames a second over the last `RECENT_S`; 0 before the second one."""
        recent = [time for time in self._times if now - time <= RECENT_S]
        return (len(recent) - 1) / (now - recent[0]) if len(recent) > 1 and now > recent[0] else 0.0

    def report(self, now: float) -> dict[str, Any]:
        """This camera's part of the health message; `now` on the clock of `done`, s."""
        p50, p95 = np.percentile(self._delays, (50, 95)) * 1000 if self._delays else (None, None)
        return {
            "frames": self.frames,
            "fps": self.fps(now),
            "latency_p50_ms": p50,
            "latency_p95_ms": p95,
            "dropped": self.dropped,
            "faults": self.faults,
            "connected": self.connected,
            **payload.quality(self.quality),
        }


class Heartbeat:
    """systemd's service protocol (sd_notify): one datagram each; silent where nobody listens."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        watchdog_us = os.environ.get("WATCHDOG_USEC", "")
        self._every = int(watchdog_us) / 2e6 if watchdog_us.isdigit() else None  # twice as often as asked
        self._last = float("-inf")

    @property
    def every_s(self) -> float:
        """How often systemd wants a sign of life from us, s; infinite where it wants none."""
        return math.inf if self._every is None else self._every

    def ready(self) -> None:
        """Start-up is over."""
        self._send("READY=1")

    def beat(self) -> None:
        """Work goes on; call it as often as convenient."""
        now = time.monotonic()
        if self._every is not None and now - self._last >= self._every:
            self._last = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """We go on purpose."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address  # "@": abstract
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.sendto(text.encode(), address)
        except OSError:
            pass  # the supervisor went away; monitoring gas matters more


def rss_mb() -> float:
    """Resident memory of this process, MB (1e6 bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def temperatures(zones: Path = Path("/sys/class/thermal")) -> dict[str, float] | None:
    """Degrees Celsius of each thermal zone by its type, numbered where a type comes twice; None: there are none."""
    found: dict[str, float] = {}
    for zone in sorted(zones.glob("thermal_zone*"), key=lambda path: int(path.name.removeprefix("thermal_zone"))):
        try:
            name, degrees = (zone / "type").read_text().strip(), int((zone / "temp").read_text()) / 1000
        except (OSError, ValueError):
            continue  # a sensor that is switched off gives an error instead of a figure
        found[f"{name}_{zone.name.removeprefix('thermal_zone')}" if name in found else name] = degrees
    return found or None


def clock_synchronised() -> bool | None:
    """Whether the kernel's clock follows a reference (NTP, PTP); None where it cannot be asked."""
    try:
        timex = ctypes.create_string_buffer(512)  # struct timex with modes = 0: only ask
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    return None if state < 0 else bool(state != _TIME_ERROR)
