"""What is installed in containers: real bundles, and ones that were damaged and then signed all the same."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge import selftest
from systemd.packing import pack
from tests.device.releases import make_key

CHECKOUT = Path(__file__).parents[2]
CACHE = CHECKOUT / "build/device"  # trees of Debian and bundles, kept between runs
BOOTED = ["--variant=minbase", "--include=systemd-sysv,dbus,python3,openssl,mosquitto,mosquitto-clients,procps"]
# Unpacked and not configured: nothing of another processor runs before we want it to, and it takes a minute.
EMULATED = ["--variant=extract", "--include=python3,openssl,dash,coreutils,base-files,passwd,libstdc++6,zlib1g"]

Change = Callable[[dict[str, bytes]], None]  # of the content of our wheel, by name


def tree(architecture: str = "amd64") -> Path:
    """A Debian 12 that nothing of ours is in; made once, in minutes."""
    made = CACHE / f"tree-{architecture}"
    if not made.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        archive = CACHE / f"{architecture}.tar"
        if not archive.exists():
            what = BOOTED if architecture == "amd64" else EMULATED
            command = ["mmdebstrap", f"--architectures={architecture}", *what]
            subprocess.run([*command, "bookworm", archive.with_suffix(".part.tar")], check=True)
            archive.with_suffix(".part.tar").rename(archive)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            subprocess.run(["tar", "-xf", archive, "-C", folder, "--exclude=./dev/*"], check=True)
            Path(folder).chmod(0o755)
            Path(folder, "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
            Path(folder, "etc/resolv.conf").write_text("")
            subprocess.run(["cp", "-a", folder, made.with_suffix(".part")], check=True)
        made.with_suffix(".part").rename(made)
    return made


def key() -> tuple[Path, Path]:
    """The private and the public key of these tests."""
    private, public = CACHE / "key.pem", CACHE / "key.pub"
    if not public.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        make_key(CACHE)
    return private, public


def bundle(target: str) -> Path:
    """The bundle of this checkout; remove it from the cache to have it made anew."""
    found = sorted(CACHE.glob(f"fgstp-edge-[0-9]*-{target}.bundle"))
    if not found:
        command = [sys.executable, CHECKOUT / "systemd/bundle", target, "--key", key()[0], "--out", CACHE]
        subprocess.run(command, check=True)
        found = sorted(CACHE.glob(f"fgstp-edge-[0-9]*-{target}.bundle"))
    return found[-1]


def package(of: Path) -> Path:
    """The Debian package of a bundle."""
    made = subprocess.run(
        [CHECKOUT / "systemd/deb", of, key()[1], of.parent], check=True, capture_output=True, text=True
    ).stdout
    return Path(made.split("'")[3])


def derive(original: Path, out: Path, version: str, change: Change = lambda _files: None) -> Path:
    """A bundle like another, of another version and with a changed wheel, well signed."""
    with tarfile.open(original) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive.getmembers()}  # type: ignore[union-attr]
    facts = {name: json.loads(files["manifest.json"])[name] for name in ("machine", "python")}
    with tempfile.TemporaryDirectory() as folder:
        wheels = []
        for name in [name for name in files if name.startswith("wheels/")]:
            wheels.append(Path(folder, Path(name).name))
            content = files.pop(name)
            wheels[-1].write_bytes(changed(content, change) if "/fgstp_edge-" in name else content)
        more = {name: files[name] for name in files if not name.startswith(("SHA256SUMS", "manifest"))}
        return pack(out, key()[0], version=version, wheels=wheels, more=more, **facts)


def changed(wheel: bytes, change: Change) -> bytes:
    """A wheel with other content."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def broken_model(files: dict[str, bytes]) -> None:
    """One bit of the model has fallen over."""
    model = bytearray(files["edge/models/student.int8.onnx"])
    model[len(model) // 2] ^= 1
    files["edge/models/student.int8.onnx"] = bytes(model)


def drifting(files: dict[str, bytes]) -> None:
    """The masks that it gives lie 8 px beside those that it should give."""
    with tempfile.TemporaryDirectory() as folder:
        masks = np.load(io.BytesIO(files["edge/golden/student.int8.npz"]))["masks"]
        digest = selftest.store(Path(folder, "masks.npz"), masks=np.roll(masks, 1, axis=2))  # a byte has 8 px
        files["edge/golden/student.int8.npz"] = Path(folder, "masks.npz").read_bytes()
    index = json.loads(files["edge/golden/golden.json"])
    index["models"]["student.int8"]["sha256"] = digest
    files["edge/golden/golden.json"] = json.dumps(index).encode()


def dies_young(files: dict[str, bytes]) -> None:
    """It passes every test, and then ends by itself a while after it was ready."""
    death = "import os, threading\nfrom edge import health\n_ready = health.Heartbeat.ready\n"
    death += "health.Heartbeat.ready = lambda self: (_ready(self), threading.Timer(3, os._exit, (1,)).start())\n"
    files["edge/service.py"] += f"\n\n{death}".encode()
