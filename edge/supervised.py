"""Life under systemd: log lines that carry their priority, and starts that come no faster than they help.

Units restart us for ever, always after the same RestartSec: the systemd of Debian 12 and Ubuntu 22.04 knows no
RestartSteps. So a process that was started often of late waits by itself before it loads anything.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))  # sd-daemon(3); what is less is 7
FORMAT = "%(levelname)s %(name)s: %(message)s"  # journald has the time

FREE = 5  # starts within WINDOW_S that cost no wait: one kill, or the watchdog's word, is mended at once
WINDOW_S = 600.0
FIRST_S, LONGEST_S = 2.0, 60.0  # waits: the first, twice that after each further start; below TimeoutStartSec


class JournalFormatter(logging.Formatter):
    """Each line with the prefix that journald takes for its priority."""

    def format(self, record: logging.LogRecord) -> str:
        """A traceback has many lines, and journald makes an entry of each."""
        priority = next((number for level, number in PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def start_log(environ: Mapping[str, str] = os.environ) -> None:
    """Log to stderr, as whoever reads it there wants it."""
    handler = logging.StreamHandler(sys.stderr)
    journal = is_journal(sys.stderr.fileno(), environ)
    handler.setFormatter(JournalFormatter(FORMAT) if journal else logging.Formatter(f"%(asctime)s {FORMAT}"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def is_journal(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Whether journald is at the other end, as systemd.exec(5) has it."""
    found = os.fstat(descriptor)
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class Starts:
    """The times of our last starts, in systemd's runtime directory; without one we were started by hand."""

    def __init__(self, environ: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.time) -> None:
        folder = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        self._file = Path(folder) / "starts" if folder else None
        self._clock = clock

    def begin(self) -> float:
        """Note one more start; how long to wait before it goes on, s."""
        if self._file is None:
            return 0.0
        now, earlier = self._clock(), []
        with contextlib.suppress(OSError, ValueError):  # none yet, or not readable: then this is the first
            earlier = [at for at in map(float, self._file.read_text().split()) if 0 <= now - at <= WINDOW_S]
        with contextlib.suppress(OSError):
            self._file.write_text("\n".join(map(str, [*earlier, now])))
        many = len(earlier) - FREE
        return 0.0 if many < 0 else float(min(LONGEST_S, FIRST_S * 2 ** min(many, 10)))

    def over(self) -> None:
        """We end because somebody wants it: the next start is the first again."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
