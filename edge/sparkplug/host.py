"""What the primary host application says of itself on spBv1.0/STATE/<host>."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostState:
    """One STATE message."""

    online: bool
    timestamp: int  # ms since the epoch, by the host's clock: only good for comparing with its other messages


def read(body: bytes) -> HostState | None:
    """A STATE message, {"online": true, "timestamp": 1668114759262}; None for anything else."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    online, timestamp = said.get("online"), said.get("timestamp")
    if not isinstance(online, bool) or isinstance(timestamp, bool) or not isinstance(timestamp, int):
        return None
    return HostState(online, timestamp)
