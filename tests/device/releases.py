"""A device in a folder: the real updater and signed bundles, with small stand-ins for our wheel and for systemd."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

from systemd.packing import pack

UPDATER = Path(__file__).parents[2] / "systemd/updater"
PYTHON = "/usr/bin/python3"  # the system's: what a device has

# What a release does when the updater asks: `kill` names the step at which it kills the updater.
EDGE = """
import os, sys
from pathlib import Path

VERSION, FAILS, KILL = {version!r}, {fails!r}, {kill!r}


def main():
    step = sys.argv[1]
    with open(Path(os.environ["HOME"], "calls"), "a") as calls:
        print(VERSION, *sys.argv[1:], file=calls)
    if step == KILL:
        os.kill(os.getppid(), 9)
    print("what it says")
    return 7 if step == FAILS else 0
"""

# One running unit. The release that stands in DIR/broken does not start, that in DIR/flapping restarts all the time.
SYSTEMCTL = """#!/bin/sh
now=$(readlink {root}/opt/fgstp-edge/current)
now=${{now##*/}}
echo "$1 $now" >> {root}/systemctl
[ -e {root}/kill-at-$1 ] && rm {root}/kill-at-$1 && kill -9 $PPID
case $1 in
    list-units) [ -e {root}/stopped ] || echo 'fgstp-edge.service loaded active running' ;;
    restart) [ "$now" != "$(cat {root}/broken)" ] ;;
    show)
        count=0
        if [ "$now" = "$(cat {root}/flapping)" ]; then
            echo >> {root}/count
            count=$(wc -l < {root}/count)
        fi
        printf 'ActiveState=active\\nMainPID=1\\nNRestarts=%s\\n' "$count"
        ;;
esac
"""


def system_python() -> str:
    """The version of the system's Python, as manifests name it."""
    ask = "import sys; print('{}.{}'.format(*sys.version_info))"
    return subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


def make_key(folder: Path, name: str = "key") -> tuple[Path, Path]:
    """A private and a public key."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    for command in (
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", private],
        ["openssl", "pkey", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return private, public


class Box:
    """A tree with a key, a configuration, a unit that runs, and whatever releases are installed."""

    def __init__(self, folder: Path) -> None:
        self.root, self._made = folder / "root", folder / "bundles"
        for path in "etc/fgstp-edge", "var/lib/fgstp-edge", "run/systemd/system", "bin":
            (self.root / path).mkdir(parents=True)
        self._made.mkdir()
        self.key, public = make_key(folder)
        shutil.copy(public, self.root / "etc/fgstp-edge/release.pub")
        (self.root / "etc/fgstp-edge/config.yaml").write_text("device: box\n")
        (self.root / "var/lib/fgstp-edge/outbox-box.db").write_text("events\n")
        for kind in "broken", "flapping":
            (self.root / kind).write_text("none")
        systemctl = self.root / "bin/systemctl"
        systemctl.write_text(SYSTEMCTL.format(root=self.root))
        systemctl.chmod(0o755)

    def bundle(self, version: str, *, fails: str = "", kill: str = "", key: Path | None = None, **other: Any) -> Path:
        """A bundle of a release that fails or kills at a step; `other` replaces fields of its manifest."""
        wheel = self._made / f"edge-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("edge/__init__.py", "")
            archive.writestr("edge/__main__.py", EDGE.format(version=version, fails=fails, kill=kill))
            archive.writestr(f"edge-{version}.data/scripts/tool", "#!python\n")
            archive.writestr(f"edge-{version}.data/platlib/native.txt", "native")
        facts = {"machine": platform.machine(), "python": system_python(), **other}
        out = self._made / f"{version}.bundle"
        return pack(
            out, key or self.key, version=version, wheels=[wheel], more={"requirements.txt": b"# none\n"}, **facts
        )

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Begin fgstp-edge-update."""
        command = [PYTHON, "-I", UPDATER, "--root", self.root, *arguments]
        environment = {**os.environ, "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}"}
        return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def update(self, *arguments: object, watch: float = 0.0) -> tuple[int, str]:
        """Run it to its end: exit code and what it said."""
        with self.start("--watch", str(watch), *arguments) as process:
            said = process.communicate(timeout=60)[0]
        return process.returncode, said

    def links(self) -> tuple[str | None, str | None]:
        """What `current` and `previous` name."""
        home = self.root / "opt/fgstp-edge"
        found = [home / link for link in ("current", "previous")]
        now, before = (os.readlink(link).removeprefix("releases/") if link.is_symlink() else None for link in found)
        return now, before

    def installed(self) -> set[str]:
        """The names in releases/."""
        return {path.name for path in (self.root / "opt/fgstp-edge/releases").iterdir()}

    def works(self) -> bool:
        """Whether the current release can be run."""
        program = self.root / "opt/fgstp-edge/current/bin/fgstp-edge"
        home = {"HOME": str(self.root / "var/lib/fgstp-edge")}
        return subprocess.run([program, "status"], env=home, capture_output=True, check=False).returncode == 0

    def log(self, name: str) -> list[str]:
        """What was asked of the stand-ins: "systemctl" or "var/lib/fgstp-edge/calls"."""
        path = self.root / name
        return path.read_text().splitlines() if path.exists() else []
