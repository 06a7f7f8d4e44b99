"""Jobs that several processes work off together: in order, each once, and again where a process has died over it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WAIT_S = 5.0  # for what another process is at


@dataclass(frozen=True)
class Job:
    """Something to do once; it is done when `done` says so, whoever did it."""

    name: str
    done: Callable[[], bool]
    work: Callable[[], None]
    needs: tuple[str, ...] = ()  # names of jobs


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether the claim is ours while the block runs. The claim is a lock on a file, which the kernel lifts when its
    process ends, however that ends: no claim grows stale."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def work_off(jobs: Sequence[Job], claims: Path, wait: Callable[[float], None] = time.sleep) -> None:
    """Do what is left, the first possible job first, until all is done; wait for what other processes are at."""
    while left := [job for job in jobs if not job.done()]:
        if not any(attempt(job, claims) for job in possible(left)):
            wait(WAIT_S)


def possible(left: Sequence[Job]) -> list[Job]:
    """Those of the jobs that wait for no other one."""
    names = {job.name for job in left}
    return [job for job in left if not names & set(job.needs)]


def attempt(job: Job, claims: Path) -> bool:
    """Do a job unless another process is at it or has just done it."""
    with claimed(claims / job.name) as ours:
        if not ours or job.done():
            return False
        job.work()
        return True
