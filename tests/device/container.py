"""A booted Debian 12 with a real systemd, in a container whose network is a loopback and nothing else."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BOOT_S = 120.0
NICE = ("nice", "-n", os.environ.get("FGSTP_DEVICE_NICE", "0"))


def until(what: str, done: Callable[[], Any], seconds: float) -> Any:
    """Wait for a condition and give what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)
    return found


@contextlib.contextmanager
def overlay(tree: Path, folder: Path) -> Iterator[Path]:
    """A writable copy of a tree, which itself stays as it is."""
    places = [folder / name for name in ("upper", "work", "root")]
    for place in places:
        place.mkdir(parents=True)
    upper, work, root = places
    options = f"lowerdir={tree},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


class Container:
    """A tree, booted as often as a test asks."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root = root
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = ""

    def boot(self) -> None:
        """Start and wait until systemd has started everything."""
        command = [*NICE, "systemd-nspawn", "-D", str(self.root), "--boot", "--register=no", "--keep-unit", "--quiet"]
        command += ["--private-network", "--console=pipe", "--link-journal=no", "--machine=fgstp-test"]
        command += ["--system-call-filter=@clock"]  # the clock's state may be asked for, as on a real device
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._leader = until("a first process in the container", self._child, BOOT_S)
        ready = ("running", "degraded")
        until("a booted system", lambda: self.run("systemctl", "is-system-running", check=False) in ready, BOOT_S)

    def _child(self) -> str:
        """The container's systemd, which is a grandchild of ours at most."""
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text(errors="replace")[-2000:]
        found = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False)
        return found.stdout.split()[0] if found.stdout else ""

    def enter(self, *command: str) -> list[str]:
        """How a command is run inside."""
        names = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root"]
        environment = ["env", "--chdir=/", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]
        return ["nsenter", "--target", self._leader, *names, *environment, *command]

    def run(self, *command: str, check: bool = True, seconds: float = 300.0) -> str:
        """Run inside; what it wrote, both streams."""
        done = subprocess.run(
            self.enter(*command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.returncode}: {done.stdout}"
        return done.stdout.strip()

    def show(self, unit: str, what: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", what, unit)

    def journal(self, unit: str) -> str:
        """What a unit has said since boot."""
        return self.run("journalctl", "--no-pager", "-b", "-o", "cat", "-u", unit)

    def power_cut(self) -> None:
        """Nobody is asked, nothing is written any more."""
        assert self._process is not None
        os.kill(int(self._leader), signal.SIGKILL)  # the container's first process: all others die with it
        self._process.wait(60)

    def stop(self) -> None:
        """Shut down in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)
