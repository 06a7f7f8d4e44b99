"""Whether a release does well here: self-test and configuration before the switch, the running units after it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import time

from device import Device, Failed, say

USER = "fgstp-edge"
TEST_S = 600  # for one self-test: the slowest board takes a tenth of it


def examine(device: Device, version: str) -> None:
    """The golden clip and every live configuration, before anything is switched. Raises Failed."""
    run(device, version, "selftest")
    for config in sorted(device.configs.glob("*.yaml")):
        run(device, version, "validate", str(config))


def run(device: Device, version: str, *arguments: str) -> None:
    """Run a command of a release as the service's user, where we may choose. Raises Failed."""
    command = [str(device.releases / version / "bin/fgstp-edge"), *arguments]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(device.root / "var/lib/fgstp-edge")}
    as_user = {}
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(USER)
            as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
    try:
        done = subprocess.run(
            command, env=environment, cwd="/", capture_output=True, text=True, timeout=TEST_S, check=False, **as_user
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{version}: {' '.join(arguments)}: {error}") from error
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise Failed(f"{version}: {' '.join(arguments)}: exit code {done.returncode}: {' | '.join(said[-3:])}")


def switch(device: Device, version: str, seconds: float) -> None:
    """Put a release on trial, and keep it or go back. Raises Failed."""
    old, units = device.release("current"), running(device)
    if old == version:
        return say(f"{version} runs already")
    if old is not None:
        device.begin_trial(old)
    device.point("current", version)
    try:
        if units:
            say(f"{version} is on trial for {seconds:g} s: {' '.join(units)}")
        watch(units, seconds)
    except BaseException:  # an interrupt too
        recover(device, units)
        raise
    device.end_trial()
    if old is not None:
        device.point("previous", old)


def recover(device: Device, units: list[str]) -> None:
    """Go back to the release from before an unkept trial; clear what an interrupted run has left."""
    shutil.rmtree(device.incoming, ignore_errors=True)
    if (old := device.before_trial) is None:
        return
    new = device.release("current")
    device.point("current", old)
    device.end_trial()
    say(f"{new} is not kept, {old} is back")
    for unit in units:
        systemctl("restart", unit)


def running(device: Device) -> list[str]:
    """Our units that run, or try to."""
    if not device.booted:
        return []
    states = "--state=active,activating,reloading"
    listed = systemctl("list-units", "--plain", "--no-legend", states, "fgstp-edge.service", "fgstp-edge@*.service")
    return [line.split()[0] for line in listed.stdout.splitlines() if line.strip()]


def watch(units: list[str], seconds: float) -> None:
    """Restart each unit and see whether it stays what it is for so long. Raises Failed."""
    for unit in units:
        if systemctl("restart", unit).returncode:  # Type=notify: waits until it is ready, its own self-test included
            raise Failed(f"{unit} does not start; see journalctl -u {unit}")
    first, until = {unit: state(unit) for unit in units}, time.monotonic() + seconds
    while units:
        for unit in units:
            if "ActiveState=active" not in (now := state(unit)) or now != first[unit]:
                raise Failed(f"{unit} did not keep running; see journalctl -u {unit}")
        if (left := until - time.monotonic()) <= 0:
            return
        time.sleep(min(1.0, left))


def state(unit: str) -> list[str]:
    """What changes when a unit fails or is restarted."""
    return sorted(systemctl("show", "-p", "ActiveState,MainPID,NRestarts", unit).stdout.split())


def systemctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask systemd."""
    return subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
