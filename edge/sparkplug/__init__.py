"""Sparkplug B 3.0: this device as an edge node, each camera as a device of it.

    payload dicts ──table──▶ node ──Change──▶ speaker ──Publication──▶ link (paho) ──▶ broker
                                               │   ▲                      │
          publisher (thread, clock)            ▼   └──────────────────────┘ PINGRESP: all before it has arrived
            └─ session (when to do what)    history (outbox): what has no such proof yet

`codec`, `table`, `node`, `session`, `host` and `command` are pure. docs/sparkplug.md lists the clauses of the
specification that are tested.
"""

from __future__ import annotations

from edge.sparkplug.command import Command
from edge.sparkplug.publisher import Publisher

__all__ = ["Command", "Publisher"]
