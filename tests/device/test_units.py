"""The systemd units: understood by systemd, hardened as far as promised, and in step with the program's exit codes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import errors

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = SYSTEMD / "units"
SERVICES = ("fgstp-edge.service", "fgstp-edge@.service", "fgstp-edge-recover.service")
EXPOSURE = {"rtsp-only": 1.4, "v4l2": 2.0, "jetson": 2.0}  # at most, as `systemd-analyze security` rates it


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with our units in it and stand-ins for what they start."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    if int(re.findall(r"systemd (\d+)", analyze("--version").stdout)[0]) < 250:
        pytest.skip("this systemd-analyze cannot look at units of another tree; 250 or later can")
    folder = tmp_path / "usr/lib/systemd/system"
    folder.mkdir(parents=True)
    for unit in SERVICES:
        shutil.copy(UNITS / unit, folder)
    for target in "sysinit", "basic", "shutdown", "network-online", "time-sync", "multi-user":
        (folder / f"{target}.target").write_text("[Unit]\n")
    for program in "opt/fgstp-edge/current/bin/fgstp-edge", "usr/sbin/fgstp-edge-update", "bin/kill":
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    return tmp_path


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def settings(unit: str) -> Iterator[str]:
    for line in (UNITS / unit).read_text().splitlines():
        if line and not line.startswith("#"):
            yield line


def test_systemd_understands_every_line_of_the_units(root):
    units = [name.replace("@.", "@north.") for name in SERVICES]
    done = analyze("verify", f"--root={root}", *units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("kind", EXPOSURE)
@pytest.mark.parametrize("unit", ["fgstp-edge.service", "fgstp-edge@.service"])
def test_exposure_stays_below_what_the_docs_promise(root, kind, unit):
    folder = root / f"etc/systemd/system/{unit}.d"
    folder.mkdir(parents=True)
    shutil.copy(SYSTEMD / f"dropins/{kind}.conf", folder)
    done = analyze("security", f"--root={root}", "--offline=true", unit.replace("@.", "@north."))
    found = re.search(r"exposure level for \S+ ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE[kind]
    assert "ignoring" not in done.stderr


def test_the_template_differs_only_in_whose_it_is():
    one, each = list(settings("fgstp-edge.service")), list(settings("fgstp-edge@.service"))
    paths = [
        line.replace("/etc/fgstp-edge/config.yaml", "/etc/fgstp-edge/%i.yaml").replace(
            "%S/fgstp-edge", "%S/fgstp-edge/%i"
        )
        for line in one
    ]
    different = {(a.partition("=")[0], b) for a, b in zip(paths, each, strict=True) if a != b}
    assert different == {
        ("Description", "Description=Gas leak alarm from optical-gas-imaging camera %i"),
        ("StateDirectory", "StateDirectory=fgstp-edge/%i"),
        ("RuntimeDirectory", "RuntimeDirectory=fgstp-edge/%i"),
        ("LogExtraFields", "LogExtraFields=FGSTP_CONFIG=/etc/fgstp-edge/%i.yaml FGSTP_CAMERA=%i"),
    }


def test_what_no_restart_mends_is_not_restarted_and_everything_else_is():
    lines = list(settings("fgstp-edge.service"))
    for_good = {errors.ConfigError, errors.ModelError, errors.SelfTestError}
    codes = " ".join(str(error.exit_code) for error in sorted(for_good, key=lambda e: e.exit_code))
    assert f"RestartPreventExitStatus={codes}" in lines
    assert "Restart=always" in lines
    assert "StartLimitIntervalSec=0" in lines
