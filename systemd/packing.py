"""Write a bundle: what `systemd/bundle` has collected, with checksums over all of it and a signature over these."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

BASE = ("fgstp-edge-update", "install", "layout", "updater", "units", "dropins")  # all but releases, for `install`


def pack(
    out: Path, key: Path, *, version: str, machine: str, python: str, wheels: list[Path], more: dict[str, bytes]
) -> Path:
    """Write OUT, signed with an Ed25519 private key (PEM). `more` has other files by their name in the bundle."""
    manifest = {"version": version, "machine": machine, "python": python, "unpacked_bytes": sum(map(unpacked, wheels))}
    content = {"manifest.json": json.dumps(manifest, indent=1).encode() + b"\n", **more}
    content |= {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in sorted(wheels)}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in content.items()).encode()
    signed = {"SHA256SUMS": sums, "SHA256SUMS.sig": sign(sums, key)}
    made = out.with_name(f".{out.name}")
    with tarfile.open(made, "w:", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in {**signed, **content}.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755 if data.startswith(b"#!") else 0o644
            info.mtime = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))  # the same content is the same bundle
            archive.addfile(info, io.BytesIO(data))
    made.replace(out)
    return out


def unpacked(wheel: Path) -> int:
    """Bytes on the device, byte code included, which takes about the room of its source."""
    with zipfile.ZipFile(wheel) as archive:
        return sum(info.file_size * (2 if info.filename.endswith(".py") else 1) for info in archive.infolist())


def sign(content: bytes, key: Path) -> bytes:
    """An Ed25519 signature by OpenSSL."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "content").write_bytes(content)
        command = ["openssl", "pkeyutl", "-sign", "-inkey", str(key.resolve()), "-rawin", "-in", "content"]
        return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True).stdout


def base(systemd: Path) -> dict[str, bytes]:
    """Units, updater and installer, as base/…"""
    found = {}
    for name in BASE:
        path = systemd / name
        files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file() and f.suffix != ".pyc")
        found |= {f"base/{file.relative_to(systemd)}": file.read_bytes() for file in files}
    return found
