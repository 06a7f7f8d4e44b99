"""One machine's releases, or those of a tree that is not booted.

    /opt/fgstp-edge/releases/VERSION/{bin,lib,manifest.json,requirements.txt}    whole, or not there under that name
    /opt/fgstp-edge/current    a link to the release that runs, only ever replaced by rename(2)
    /opt/fgstp-edge/previous   a link to the one before
    /opt/fgstp-edge/trial      names the release before, while another is on trial: who finds it unkept goes back to it

The standard library only: it runs before anything of ours is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


class Refused(Exception):
    """The bundle was not taken; what ran goes on."""


class Failed(Exception):
    """The release did not do well."""


def say(text: str) -> None:
    """To whoever has called, or to the journal."""
    print(f"fgstp-edge-update: {text}", flush=True)


class Device:
    """Where everything is, and how links and folders change so that a power cut at any instant leaves them whole."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "opt/fgstp-edge"
        self.releases = self.home / "releases"
        self.incoming = self.releases / ".incoming"
        self.configs = root / "etc/fgstp-edge"
        self.booted = (root / "run/systemd/system").is_dir()
        self._trial = self.home / "trial"

    def release(self, link: str) -> str | None:
        """The version that `current` or `previous` names."""
        try:
            return Path(os.readlink(self.home / link)).name
        except OSError:
            return None

    def point(self, link: str, version: str) -> None:
        """Let a link name a version: at every instant it names the old one or the new one."""
        made = self.home / f".{link}"
        made.unlink(missing_ok=True)
        made.symlink_to(f"releases/{version}")
        os.replace(made, self.home / link)
        settle(self.home)

    @property
    def before_trial(self) -> str | None:
        """The release to return to if the trial does not end well; None: none is on trial."""
        return self._trial.read_text() if self._trial.exists() else None

    def begin_trial(self, old: str) -> None:
        """From here on a power cut leads back to `old`."""
        made = self.home / ".trial"
        with made.open("w") as file:
            file.write(old)
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, self._trial)
        settle(self.home)

    def end_trial(self) -> None:
        """What is current stays."""
        self._trial.unlink(missing_ok=True)
        settle(self.home)

    def discard(self, folder: Path) -> None:
        """Remove a release; cut off in the middle, it is no longer there under its name."""
        gone = self.releases / ".gone"
        shutil.rmtree(gone, ignore_errors=True)
        if folder.exists():
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def prune(self) -> None:
        """Keep only what runs and what it can go back to."""
        keep = {self.release("current"), self.release("previous")}
        for folder in self.releases.iterdir():
            if folder.name not in keep:
                self.discard(folder)

    @contextlib.contextmanager
    def lock(self) -> Iterator[bool]:
        """Whether we are the only updater, as long as this lasts; the kernel lets go when we die."""
        self.releases.mkdir(parents=True, exist_ok=True)
        with (self.home / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True


def settle(folder: Path) -> None:
    """What was renamed in a folder survives a power cut from here on."""
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
