"""The first boot of a root file system with the overlay on it, on x86-64 for want of a board.

./dev test-device tests/device/test_flashed.py
"""

from __future__ import annotations

import subprocess

from tests.device import artifacts
from tests.device.container import Container, overlay, until
from tests.device.test_booted import CONFIG, UNIT, write_clip
from tests.device.test_jetson import OVERLAY

FIRST = "fgstp-edge-firstboot.service"


def test_the_first_boot_names_the_device_tests_it_and_begins_to_watch(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("device: box", "device: '@DEVICE_ID@'"))
    with overlay(artifacts.tree(), tmp_path / "tree") as root:
        write_clip(root / "srv/clip")
        made = artifacts.bundle("amd64-py311")
        subprocess.run([OVERLAY, root, made, artifacts.key()[1], config], check=True)
        box = Container(root, tmp_path / "console.log")
        box.boot()
        try:
            until("an end of the first boot", lambda: box.show(FIRST, "ActiveState") in ("inactive", "failed"), 180)
            said = box.journal(FIRST)
            print(f"\n{said}")
            assert box.show(FIRST, "Result") == "success"
            assert "ok      student.int8 on onnxruntime" in said
            until("the service", lambda: box.show(UNIT, "ActiveState") == "active", 60)
            device = (root / "etc/fgstp-edge/device-id").read_text().strip()
            assert device.startswith("ogi-")
            assert f"device: '{device}'" in (root / "etc/fgstp-edge/config.yaml").read_text()
            box.run("systemctl", "restart", FIRST)
            assert box.show(FIRST, "ConditionResult") == "no"  # once
        finally:
            box.stop()
