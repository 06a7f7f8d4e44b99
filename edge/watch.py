"""`fgstp-edge watch`: what the devices say, for people without a SCADA: a table on a terminal, else one line each."""

from __future__ import annotations

import contextlib
import json
import queue
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge import mqtt
from edge.config import MqttSettings

SEEN = ("event", "alarm", "status")
SHOWN_EVENTS = 8
STYLES = {"active": "bold white on red", "returning": "bold red", "pending": "yellow", "normal": "green"}


@dataclass(slots=True)
class Board:
    """What is known of every camera so far; fed with messages, it can be drawn."""

    cameras: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # (device, camera) -> alarm message
    devices: dict[str, str] = field(default_factory=dict)  # device -> online | offline
    recent: list[str] = field(default_factory=list)
    leaks: int = 0  # events that started while we watched

    def take(self, topic: str, message: bytes) -> str | None:
        """Take one message; give it as a line, or None for what is not ours."""
        parts = topic.split("/")
        try:
            said = json.loads(message)
            if parts[-1] == "status":
                self.devices[parts[1]] = said["state"]
                return f"{parts[1]} {said['state']}" + (f" ({said['reason']})" if said["reason"] else "")
            device, camera, kind = parts[1:4]
            if kind == "alarm":
                self.cameras[device, camera] = said
                reasons = f" {' '.join(said['reasons'])}" if said["reasons"] else ""
                return f"{device}/{camera} alarm {said['state']}, quality {said['quality']}{reasons}"
            return self._event(device, camera, said)
        except (ValueError, KeyError, TypeError, IndexError):
            return None

    def _event(self, device: str, camera: str, said: dict[str, Any]) -> str:
        self.leaks += said["type"] == "start"
        where = "" if said["origin"] is None else f", origin {said['origin'][0]:.0f},{said['origin'][1]:.0f}"
        line = (
            f"{said['utc'][11:19]} {device}/{camera} leak {said['type']:<6} {said['duration_s']:6.1f} s"
            f"{said['area_px']:7d} px{where}  {said['event_id'][:8]}"
        )
        self.recent = [*self.recent, line][-SHOWN_EVENTS:]
        return line

    def draw(self) -> Group:
        """The present state, for a terminal."""
        table = Table(title="leak alarms")
        for heading in ("device", "camera", "state", "since (UTC)", "peak px", "quality"):
            table.add_column(heading)
        for (device, camera), said in sorted(self.cameras.items()):
            offline = self.devices.get(device) == "offline"
            state = Text(said["state"], STYLES.get(said["state"], ""))
            quality = "device offline" if offline else " ".join((said["quality"], *said["reasons"]))
            since = (said["since_utc"] or "")[:19].replace("T", " ")
            table.add_row(device, camera, state, since, str(said["peak_area_px"] or ""), quality)
        return Group(table, *map(Text, self.recent))


def watch(
    settings: MqttSettings,
    *,
    device: str = "+",
    until: Callable[[Board], bool] = lambda board: False,
    console: Console | None = None,
) -> Board:
    """Show what arrives until `until` says so; it is asked after each message and at least twice a second.

    Raises TransportError when the broker cannot be reached.
    """
    console = console or Console()
    arrived: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    topics = [mqtt.TOPICS[kind].path(device, "+") for kind in SEEN]
    listener = mqtt.subscribe(
        settings, f"fgstp-watch-{secrets.token_hex(4)}", topics, lambda topic, message: arrived.put((topic, message))
    )
    board = Board()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    try:
        with live or contextlib.nullcontext():
            while not until(board):
                try:
                    line = board.take(*arrived.get(timeout=0.5))
                except queue.Empty:
                    continue
                if live is not None:
                    live.update(board.draw(), refresh=True)
                elif line is not None:
                    console.print(line, highlight=False, markup=False, soft_wrap=True)
    finally:
        listener.disconnect()
        listener.loop_stop()
    return board
