"""What a bundle and a package are made of: locks, scripts, and the order in which a bundle can be believed."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from systemd import packing
from systemd.targets import TARGETS
from tests.device.releases import make_key

SYSTEMD = Path(__file__).parents[2] / "systemd"
PINNED = re.compile(r"([a-z0-9-]+)==([^ ]+) --hash=sha256:[0-9a-f]{64}")


def locked(target: str) -> dict[str, str]:
    """Version by package; fails on a line that is not one package with one hash."""
    lines = (SYSTEMD / f"locks/{target}.txt").read_text().splitlines()
    found = [PINNED.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_has_a_lock_with_everything_that_the_device_imports(target):
    setup = configparser.ConfigParser()
    setup.read(SYSTEMD.parent / "setup.cfg")
    wanted = set()
    for line in setup["options"]["install_requires"].split("\n"):
        requirement, _, marker = line.partition(";")
        if requirement and (not marker or TARGETS[target].machine in marker):
            wanted.add(re.split("[<>=~!]", requirement)[0].strip())
    assert wanted
    assert wanted <= set(locked(target))
    assert "openvino-telemetry" not in locked(target)


def test_python_3_10_gets_the_last_onnxruntime_made_for_it():
    assert locked("arm64-py310")["onnxruntime"] != locked("arm64-py311")["onnxruntime"]


def test_a_bundle_begins_with_what_vouches_for_it_and_its_base_is_whole(tmp_path):
    key, _ = make_key(tmp_path)
    for name in "a.bundle", "b.bundle":
        facts = {"version": "1.0", "machine": "x86_64", "python": "3.11"}
        packing.pack(tmp_path / name, key, **facts, wheels=[], more=packing.base(SYSTEMD))
    with tarfile.open(tmp_path / "a.bundle") as bundle:
        names = bundle.getnames()
        assert names[:3] == ["SHA256SUMS", "SHA256SUMS.sig", "manifest.json"]
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "a.bundle", "-C", tmp_path / "out"], check=True)
    assert (tmp_path / "a.bundle").read_bytes() == (tmp_path / "b.bundle").read_bytes()
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path / "out", check=True)
    subprocess.run([tmp_path / "out/base/layout", tmp_path / "root"], check=True)
    placed = {str(path.relative_to(tmp_path / "root")) for path in (tmp_path / "root").rglob("*") if not path.is_dir()}
    assert {"usr/sbin/fgstp-edge-update", "usr/lib/fgstp-edge/updater/trial.py"} <= placed
    assert len([name for name in placed if name.endswith(".service")]) == len(list(SYSTEMD.glob("units/*.service")))
    assert len([name for name in placed if "dropins" in name]) == len(list(SYSTEMD.glob("dropins/*")))
    assert len([name for name in placed if "updater" in name]) == len(list(SYSTEMD.glob("updater/*.py")))


def test_the_shell_scripts_have_no_fault_that_shellcheck_knows():
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    scripts = [
        path
        for path in sorted(SYSTEMD.rglob("*"))
        if path.is_file() and path.read_bytes()[:30].startswith((b"#!/bin/sh", b"#!/usr/bin/env bash"))
    ]
    assert len(scripts) >= 7
    done = subprocess.run(["shellcheck", *scripts, SYSTEMD.parent / "dev"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
