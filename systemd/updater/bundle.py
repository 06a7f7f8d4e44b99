"""A bundle: a tar of SHA256SUMS, its signature, manifest.json, requirements.txt, wheels/, and base/ for `install`.

Nothing in it is believed before a key that was on the device already has vouched for SHA256SUMS.
"""

from __future__ import annotations

import compileall
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from device import Device, Refused, say, settle

SPARE_BYTES = 100_000_000  # of the disk, left to outbox and evidence
LAUNCHER = """#!/usr/bin/python3 -I
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from edge.__main__ import main

sys.exit(main())
"""


class Bundle:
    """One whose signature is good. Raises Refused."""

    def __init__(self, path: Path, key: Path) -> None:
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115  # for as long as we live
            names = self._tar.getnames()
            sums, signature = self._content("SHA256SUMS"), self._content("SHA256SUMS.sig")
        except (OSError, tarfile.TarError, KeyError) as error:
            raise Refused(f"{path}: not a whole bundle ({error}); copy it again") from error
        check_signature(path, sums, signature, key)
        self.sums = {name: digest for digest, name in (line.split("  ", 1) for line in sums.decode().splitlines())}
        if sorted(names) != sorted([*self.sums, "SHA256SUMS", "SHA256SUMS.sig"]):
            raise Refused(f"{path}: holds other files than its SHA256SUMS names; copy it again")
        self.manifest = json.loads(self.read("manifest.json"))
        self.version: str = self.manifest["version"]
        if not re.fullmatch(r"[0-9][0-9A-Za-z.+~-]*", self.version):
            raise Refused(f"version {self.version!r}: not the name of a release")

    def read(self, name: str) -> bytes:
        """One file, if it is as signed. Raises Refused."""
        content = self._content(name)
        if hashlib.sha256(content).hexdigest() != self.sums[name]:
            raise Refused(f"{name}: damaged in the bundle (sha256 differs); copy the bundle again")
        return content

    def _content(self, name: str) -> bytes:
        file = self._tar.extractfile(name)
        if file is None:
            raise tarfile.TarError(f"{name} is no file")
        return file.read()

    def check_machine(self) -> None:
        """Raises Refused where this machine cannot run it."""
        here = {"machine": platform.machine(), "python": "{}.{}".format(*sys.version_info)}
        for what, ours in here.items():
            if self.manifest[what] != ours:
                raise Refused(f"the bundle is for {what} {self.manifest[what]}, here is {ours}; take another one")

    def unpack(self, device: Device) -> None:
        """Put the release under its name, whole and on disk, and nothing there before it is. Raises Refused."""
        target = device.releases / self.version
        if target.exists():
            if (target / "manifest.json").read_bytes() == self.read("manifest.json"):
                return say(f"{self.version} is here already")
            if self.version in (device.release("current"), device.release("previous")):
                raise Refused(f"another build of {self.version} is in use; a bundle needs a version of its own")
            device.discard(target)
        free, need = shutil.disk_usage(device.releases).free, self.manifest["unpacked_bytes"] + SPARE_BYTES
        if free < need:
            raise Refused(f"{device.releases}: {free / 1e6:.0f} MB free, {need / 1e6:.0f} MB needed; make room")
        try:
            self._fill(device.incoming)
            os.sync()
            device.incoming.rename(target)
        except (OSError, zipfile.BadZipFile) as error:
            raise Refused(f"{device.releases}: cannot unpack: {error}") from error
        finally:
            shutil.rmtree(device.incoming, ignore_errors=True)
        settle(device.releases)

    def _fill(self, folder: Path) -> None:
        lib, launcher = folder / "lib", folder / "bin/fgstp-edge"
        lib.mkdir(parents=True)
        for name in self.sums:
            if name.startswith("wheels/"):
                unpack_wheel(self.read(name), lib)
            elif name in ("manifest.json", "requirements.txt"):
                (folder / name).write_bytes(self.read(name))
        launcher.parent.mkdir()
        launcher.write_text(LAUNCHER)
        launcher.chmod(0o755)
        if self.manifest["python"] == "{}.{}".format(*sys.version_info):  # else the device's first boot compiles
            compileall.compile_dir(lib, quiet=2)


def unpack_wheel(content: bytes, lib: Path) -> None:
    """What a wheel puts on Python's path; zipfile keeps every name below `lib`."""
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        for info in wheel.infolist():
            head, _, rest = info.filename.partition("/")
            if head.endswith(".data"):  # commands, headers and documentation stay away
                kind, _, info.filename = rest.partition("/")
                if kind not in ("purelib", "platlib"):
                    continue
            wheel.extract(info, lib)


def check_signature(path: Path, sums: bytes, signature: bytes, key: Path) -> None:
    """Raises Refused unless the owner of the key on this device has signed."""
    if not key.is_file():
        raise Refused(f"{key}: no release key on this device; put the public key there first (docs/install.md)")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in ("sums", sums), ("sig", signature):
            Path(folder, name).write_bytes(content)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(key.resolve()), "-rawin", "-in", "sums"]
        done = subprocess.run([*command, "-sigfile", "sig"], cwd=folder, capture_output=True, check=False)
    if done.returncode:
        raise Refused(f"{path}: the signature is not that of {key}; do not use this file")
