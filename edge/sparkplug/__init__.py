"""Sparkplug B 3.0: this device as an edge node, each camera as a device of it.

    payload dicts ──table──▶ node ──Publication──▶ publisher ──▶ link (paho) ──▶ broker
                              ▲                       │  ▲
                 session, host, command               │  └─ PINGRESP: what went before it has arrived
                                                      └─ history (outbox): what has no such proof yet

`codec`, `table`, `node`, `session`, `host` and `command` are pure; `history` writes to the disk, `link` to the network,
`publisher` has the clock and the thread. docs/sparkplug.md lists the clauses of the specification that are tested.
"""

from __future__ import annotations

from edge.sparkplug.command import Command
from edge.sparkplug.publisher import Publisher

__all__ = ["Command", "Publisher"]
