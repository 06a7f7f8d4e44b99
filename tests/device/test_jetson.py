"""The overlay for a root file system to be flashed: whole, the same when applied twice, refused where it is wrong."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.device.releases import Box
from tests.device.test_units import SYSTEMD, analyze

OVERLAY = SYSTEMD / "jetson/apply-overlay.sh"


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """As much of NVIDIA's sample root file system as the overlay looks at."""
    root = tmp_path / "Linux_for_Tegra/rootfs"
    for name in "lib/ld-linux-aarch64.so.1", "usr/bin/python3.10", "etc/shadow", "bin/kill":
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("NVIDIA's\n")
        (root / name).chmod(0o755)
    return root


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """Who makes bundles."""
    return Box(tmp_path / "maker")


def apply(root: Path, bundle: Path, box: Box, *config: Path) -> subprocess.CompletedProcess[str]:
    command = [OVERLAY, root, bundle, box.root / "etc/fgstp-edge/release.pub", *config]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def content(root: Path) -> dict[str, str]:
    """What every path of a tree is, and with which rights."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            what = f"link {path.readlink()}"
        elif path.is_dir():
            what = "folder"
        else:
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(root))] = f"{path.lstat().st_mode:o} {what}"
    return found


def test_the_overlay_is_whole_and_the_same_when_applied_twice(rootfs, box, tmp_path):
    bundle = box.bundle("1.0", machine="aarch64", python="3.10")
    config = tmp_path / "config.yaml"
    config.write_text("device: '@DEVICE_ID@'\n")
    before = content(rootfs)
    done = apply(rootfs, bundle, box, config)
    assert done.returncode == 0, done.stdout + done.stderr
    after = content(rootfs)
    assert {name: after[name] for name in before} == before
    assert after["opt/fgstp-edge/current"] == "120777 link releases/1.0"
    assert {
        "opt/fgstp-edge/releases/1.0/bin/fgstp-edge",
        "etc/fgstp-edge/release.pub",
        "etc/fgstp-edge/config.yaml.in",
        "etc/systemd/system/fgstp-edge.service.d/jetson.conf",
        "etc/systemd/system/multi-user.target.wants/fgstp-edge.service",
        "etc/systemd/system/multi-user.target.wants/fgstp-edge-firstboot.service",
        "usr/lib/fgstp-edge/firstboot",
        "usr/sbin/fgstp-edge-update",
    } <= set(after)
    assert apply(rootfs, bundle, box, config).returncode == 0
    assert content(rootfs) == after


def test_systemd_understands_the_units_of_the_overlay(rootfs, box):
    assert apply(rootfs, box.bundle("1.0", machine="aarch64", python="3.10"), box).returncode == 0
    for target in "sysinit", "basic", "shutdown", "network-online", "time-sync", "multi-user", "local-fs":
        (rootfs / f"usr/lib/systemd/system/{target}.target").write_text("[Unit]\n")
    done = analyze("verify", f"--root={rootfs}", "fgstp-edge.service", "fgstp-edge-firstboot.service")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_root_of_another_kind_and_a_bundle_of_another_owner_are_refused(rootfs, box, tmp_path):
    for facts, words in (
        ({"machine": "x86_64", "python": "3.10"}, "not a root file system for x86_64"),
        ({"machine": "aarch64", "python": "3.12"}, "no Python 3.12"),
    ):
        done = apply(rootfs, box.bundle("1.0", **facts), box)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    other = Box(tmp_path / "other").bundle("1.0", machine="aarch64", python="3.10")
    done = apply(rootfs, other, box)
    assert (done.returncode, "the signature is not that of" in done.stdout) == (1, True), done.stdout
    assert not (rootfs / "opt/fgstp-edge/current").exists()
