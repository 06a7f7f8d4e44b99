"""What a power cut does to an SQLite database in WAL mode: the end of the log is not there, or by half."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEADER, FRAME = 32, 24  # bytes; https://www.sqlite.org/fileformat2.html#the_write_ahead_log


def commits(log: bytes) -> list[int]:
    """Where each committed write of the log ends, bytes. What an earlier use of the log left behind it is not seen."""
    if len(log) < HEADER:
        return []
    page, salts, ends = int.from_bytes(log[8:12], "big"), log[16:24], []
    for start in range(HEADER, len(log) - FRAME - page + 1, FRAME + page):
        if log[start + 8 : start + 16] != salts:
            break
        if int.from_bytes(log[start + 4 : start + 8], "big"):  # the database's size: the frame ends a write
            ends.append(start + FRAME + page)
    return ends


def forget_the_last_write(
    database: Path, scratch: Path, heard: Callable[[dict[str, Any]], bool], chance: random.Random
) -> bool:
    """Cut the log of a database that nobody has open at a random byte of its last write, where nobody has heard of a
    message in it; else behind it. Gives whether a write was forgotten."""
    file = Path(f"{database}-wal")
    log = file.read_bytes() if file.exists() else b""
    ends = [HEADER, *commits(log)]
    if len(ends) == 1:
        return False
    cut = chance.randrange(ends[-2], ends[-1])
    before = _messages(database, log[:cut], scratch / "without")
    last = [body for body in _messages(database, log[: ends[-1]], scratch / "with") if body not in before]
    forget = not any(heard(body) for body in last)
    file.write_bytes(log[:cut] if forget else log[: ends[-1]])
    return forget


def _messages(database: Path, log: bytes, scratch: Path) -> list[dict[str, Any]]:
    """What waits in a copy of the database with this log."""
    scratch.mkdir(parents=True)
    copy = scratch / database.name
    shutil.copy(database, copy)
    Path(f"{copy}-wal").write_bytes(log)
    with contextlib.closing(sqlite3.connect(copy)) as opened:
        return [json.loads(body) for (body,) in opened.execute("SELECT body FROM messages ORDER BY id")]
