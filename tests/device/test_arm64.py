"""An aarch64 Debian 12 under emulation: the bundle installs with its own Python, and draws the masks that x86-64 draws.

./dev test-device tests/device/test_arm64.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge import selftest
from edge.segmenter import open_segmenter
from tests.device import artifacts
from tests.device.container import NICE, overlay

DRAW = """
import sys
from pathlib import Path

sys.path.insert(0, "/opt/fgstp-edge/current/lib")
import numpy as np

from edge import selftest
from edge.segmenter import open_segmenter

drawn = selftest.masks(open_segmenter("student.int8", "onnxruntime", 1), selftest.golden())
np.savez("/srv/masks.npz", masks=drawn)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tree, with a key."""
    if not Path("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() and os.uname().machine != "aarch64":
        pytest.fail("no emulation of aarch64: mount binfmt_misc and run update-binfmts --enable qemu-aarch64")
    with overlay(artifacts.tree("arm64"), tmp_path_factory.mktemp("arm64")) as tree:
        (tree / "etc/fgstp-edge").mkdir()
        shutil.copy(artifacts.key()[1], tree / "etc/fgstp-edge/release.pub")
        subprocess.run([artifacts.CHECKOUT / "systemd/layout", tree], check=True)
        (tree / "srv").mkdir(exist_ok=True)
        yield tree


def run(root: Path, *command: str, seconds: float = 1800) -> str:
    """Run in the tree, without a network, and without /sys: there ONNX Runtime would look for an Arm processor and find
    that of this machine, and crash."""
    inside = 'mount -t proc none "$0/proc" && exec chroot "$0" "$@"'
    done = subprocess.run(
        [*NICE, "unshare", "--mount", "--net", "sh", "-c", inside, root, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("target", ["arm64-py310", "arm64-py311"])
def test_the_package_is_for_this_processor_and_has_no_fault_that_lintian_knows(target):
    made = artifacts.package(artifacts.bundle(target))
    said = subprocess.run(["dpkg-deb", "--field", made, "Architecture"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "arm64"
    done = subprocess.run(["lintian", "--fail-on", "error,warning", made], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    print(f"\n{made.name}: {made.stat().st_size / 1e6:.0f} MB")
    assert made.stat().st_size <= 220e6


def test_the_bundle_installs_and_its_self_test_passes(root):
    made = artifacts.bundle("arm64-py311")
    shutil.copy(made, root / "srv/release.bundle")
    said = run(root, "/usr/sbin/fgstp-edge-update", "--watch", "0", "/srv/release.bundle")  # runs the self-test
    print(f"\n{made.name}: {made.stat().st_size / 1e6:.0f} MB\n{said}")
    assert "is installed" in said
    assert (root / "opt/fgstp-edge/current/bin/fgstp-edge").is_file()


def test_it_draws_the_masks_of_x86_64(root):
    (root / "srv/draw.py").write_text(DRAW)
    run(root, "/usr/bin/python3", "-IB", "/srv/draw.py")
    theirs = np.load(root / "srv/masks.npz")["masks"]
    ours = selftest.masks(open_segmenter("student.int8", "onnxruntime", 1), selftest.golden())
    iou = selftest.mean_iou(theirs, ours)
    print(f"\nIoU of aarch64 and x86-64: {iou:.4f}")
    assert ours.any()
    assert iou >= 0.99


def test_a_bundle_of_another_processor_is_refused(root):
    shutil.copy(artifacts.bundle("amd64-py311"), root / "srv/other.bundle")
    said = run(root, "/bin/sh", "-c", "/usr/sbin/fgstp-edge-update /srv/other.bundle; echo rc $?")
    assert "the bundle is for machine x86_64, here is aarch64" in said
    assert said.splitlines()[-1] == "rc 1"
