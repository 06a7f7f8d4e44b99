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
from edge.uplink import MqttSettings

SEEN = ("event", "alarm", "status")
SHOWN_EVENTS = 8
STYLES = {  # of the alarm's state by ISA-18.2, then of the leak itself
    "normal": "green",
    "unacknowledged": "bold white on red",
    "acknowledged": "bold red",
    "returned_unacknowledged": "bold black on yellow",
    "latched_unacknowledged": "bold black on yellow",
    "latched_acknowledged": "yellow",
    "shelved": "magenta",
    "suppressed_by_design": "magenta",
    "out_of_service": "magenta",
    "active": "bold red",
    "returning": "red",
    "pending": "yellow",
}
HEADINGS = ("device", "camera", "zone", "alarm", "priority", "leak", "since (UTC)", "peak px", "quality")


@dataclass(frozen=True, slots=True)
class Row:
    """One alarm as it stands: of a zone, or of the whole view."""

    zone: str
    alarm: str  # its state by ISA-18.2
    until: str  # when shelving ends; "": it is not shelved
    priority: str
    leak: str
    since: str
    peak: str
    quality: str

    def cells(self, *, offline: bool) -> tuple[Text | str, ...]:
        """What the table shows of it, from the zone on."""
        alarm = Text(self.alarm.replace("_", " ") + self.until, STYLES.get(self.alarm, ""))
        leak = Text(self.leak, STYLES.get(self.leak, ""))
        quality = "device offline" if offline else self.quality
        return self.zone, alarm, self.priority, leak, self.since, self.peak, quality


@dataclass(slots=True)
class Board:
    """What is known of every camera so far; fed with messages, it can be drawn."""

    cameras: dict[tuple[str, str], list[Row]] = field(default_factory=dict)  # (device, camera) -> its alarms
    devices: dict[str, str] = field(default_factory=dict)  # device -> online | offline
    recent: list[str] = field(default_factory=list)  # events as lines
    leaks: int = 0  # events that started while we watched

    def take(self, topic: str, message: bytes) -> str | None:
        """Take one message; give it as a line, or None for what is not ours."""
        _, device, *rest = (*topic.split("/"), "", "")
        try:
            said = json.loads(message)
            match rest:
                case ["status", "", ""]:
                    return self._status(device, said)
                case [camera, "alarm", "", ""]:
                    return self._alarm(device, camera, said)
                case [camera, "event", "", ""]:
                    return self._event(device, camera, said)
        except (ValueError, KeyError, TypeError, IndexError):
            pass  # anyone may publish anything on a broker
        return None

    def _status(self, device: str, said: dict[str, Any]) -> str:
        line = f"{device} {said['state']}" + (f" ({said['reason']})" if said["reason"] else "")
        self.devices[device] = str(said["state"])
        return line

    def _alarm(self, device: str, camera: str, said: dict[str, Any]) -> str:
        self.cameras[device, camera] = [_row(one) for one in said["zones"] or [said]]
        worst = _row(said)
        words = [worst.alarm.replace("_", " ") + worst.until]
        words += [f"priority {worst.priority}"] if worst.priority else []
        words += [f"zone {worst.zone}"] if worst.zone else []
        return f"{device}/{camera} alarm {', '.join(words)}, leak {worst.leak}, quality {worst.quality}"

    def _event(self, device: str, camera: str, said: dict[str, Any]) -> str:
        where = "" if said["origin"] is None else f", origin {said['origin'][0]:.0f},{said['origin'][1]:.0f}"
        line = (
            f"{said['utc'][11:19]} {device}/{camera} leak {said['type']:<6} {said['duration_s']:6.1f} s"
            f"{said['area_px']:7d} px{where}  {said['event_id'][:8]}"
        )
        self.leaks += said["type"] == "start"
        self.recent = [*self.recent, line][-SHOWN_EVENTS:]
        return line

    def draw(self) -> Group:
        """The present state, for a terminal."""
        table = Table(title="leak alarms")
        for heading in HEADINGS:
            table.add_column(heading)
        for (device, camera), rows in sorted(self.cameras.items()):
            offline = self.devices.get(device) == "offline"
            for row in rows:
                table.add_row(device, camera, *row.cells(offline=offline))
        return Group(table, *map(Text, self.recent))


def _row(said: dict[str, Any]) -> Row:
    """One alarm of an alarm message. Raises KeyError and TypeError for what is none."""
    until = said["shelved_until_utc"]
    return Row(
        zone=str(said["zone"] or ""),
        alarm=str(said["alarm_state"]),
        until=f" until {until[11:16]}" if until else "",
        priority=str(said["priority"] or ""),
        leak=str(said["state"]),
        since=(said["since_utc"] or "")[:19].replace("T", " "),
        peak=str(said["peak_area_px"] or ""),
        quality=" ".join((said["quality"], *said["reasons"])),
    )


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
