"""One device's life in a booted Debian 12, in order: installed, watching, killed, misled, upgraded, cut off, purged.

    ./dev test-device

The container has a loopback and nothing else, so whatever arrives came from the service by the broker beside it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge import selftest
from tests.device import artifacts
from tests.device.container import Container, overlay, until
from tests.device.test_units import EXPOSURE, SYSTEMD

UNIT = "fgstp-edge.service"
CONFIG = """
device: box
cameras: [{name: north, source: /srv/clip, fps: 15, repeat: pingpong}]
mqtt: {host: localhost}
health: {every_s: 1.0}
"""
EAR = "mosquitto_sub -h localhost -V 5 -c -i ear -x 86400 -q 1 -F '%t %p' -t 'fgstp/#'"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """The device, booted."""
    folder = tmp_path_factory.mktemp("booted")
    with overlay(artifacts.tree(), folder) as root:
        write_clip(root / "srv/clip")
        container = Container(root, folder / "console.log")
        container.boot()
        ear = ["systemd-run", "--unit=ear", "-p", "StandardOutput=append:/srv/heard", "-p", "Restart=always"]
        container.run(*ear, "sh", "-c", EAR)
        yield container
        container.stop()


@pytest.fixture(scope="module")
def original() -> Path:
    return artifacts.bundle("amd64-py311")


def write_clip(folder: Path) -> None:
    """The golden clip as a camera that plays for ever."""
    folder.mkdir(parents=True)
    for number, image in enumerate(selftest.golden().frames):
        cv2.imwrite(str(folder / f"{number:06d}.png"), image)


def heard(box: Container, kind: str) -> list[dict[str, Any]]:
    """What the broker has passed on so far."""
    path = box.root / "srv/heard"
    written = path.read_text().splitlines() if path.exists() else []
    lines = [line.partition(" ") for line in written if line.endswith("}")]  # the last one may be half written
    return [json.loads(message) for topic, _, message in lines if topic.endswith(kind)]


def pid(box: Container) -> str:
    return box.show(UNIT, "MainPID")


def up(box: Container) -> bool:
    return box.show(UNIT, "ActiveState") == "active"


def frames(box: Container) -> int:
    """Computed so far, as the last health message says."""
    said = heard(box, "fgstp/box/health")
    return int(said[-1]["cameras"]["north"]["frames"]) if said else 0


def computing(box: Container) -> bool:
    """Whether inference goes on, for a second or two."""
    before = frames(box)
    return bool(until("more frames", lambda: frames(box) not in (0, before), 30))


def current(box: Container) -> str:
    return (box.root / "opt/fgstp-edge/current").readlink().name


def files(root: Path) -> set[str]:
    """Every path outside of what lives only while the system runs."""
    transient = ["./proc", "./run", "./tmp", "./var/tmp", "./var/log", "./srv"]
    skipped = [word for path in transient for word in ("-path", path, "-prune", "-o")]
    command = ["find", ".", "-xdev", *skipped, "-print"]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return set(found.stdout.splitlines())


def test_the_package_has_no_fault_that_lintian_knows(original):
    made = artifacts.package(original)
    done = subprocess.run(["lintian", "--fail-on", "error,warning", made], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    print(f"\n{made.name}: {made.stat().st_size / 1e6:.0f} MB; {original.name}: {original.stat().st_size / 1e6:.0f} MB")
    assert original.stat().st_size <= 220e6


def test_the_package_installs_and_waits_for_a_configuration(box, original):
    box.before = files(box.root)  # type: ignore[attr-defined]
    shutil.copy(artifacts.package(original), box.root / "srv/fgstp-edge.deb")
    print(box.run("dpkg", "-i", "/srv/fgstp-edge.deb"))
    assert box.run("systemctl", "is-enabled", UNIT) == "enabled"
    assert box.show(UNIT, "ActiveState") == "inactive"
    assert box.show(UNIT, "ConditionResult") == "no"


def test_it_comes_up_and_its_alarm_arrives(box):
    (box.root / "etc/fgstp-edge/config.yaml").write_text(CONFIG)
    for _ in range(2):  # the first start also measures which runtime is faster
        began = time.monotonic()
        box.run("systemctl", "restart", UNIT)
        ready = time.monotonic() - began
        ticks = box.run("cut", "-d ", "-f14,15", f"/proc/{pid(box)}/stat").split()
        computed = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        print(f"\nready {ready:.1f} s after start, of which it computed {computed:.1f} s")
    assert ready < 30  # 8 on a machine with nothing else to do
    alarm = until("an alarm", lambda: [a for a in heard(box, "/north/alarm") if "unacknowledged" in str(a)], 60)[0]
    print(alarm)
    event = heard(box, "/event")[0]
    assert event["type"] == "start"
    assert event["provenance"]["clock_synchronised"] in (True, False)  # None: the hardening forbids to ask


def test_the_journal_knows_what_is_a_warning_and_what_is_not(box):
    def said(priority: str) -> str:
        return box.run("journalctl", "--no-pager", "-b", "-o", "cat", "-p", priority, "-u", UNIT)

    assert "INFO run: camera north" in said("info")
    assert "camera north" not in said("notice")
    assert "<6>" not in said("info")


def test_it_takes_little_memory(box):
    assert computing(box)
    resident = int(box.run("grep", "VmRSS", f"/proc/{pid(box)}/status").split()[1]) * 1024
    print(f"\nresident {resident / 1e6:.0f} MB")
    assert resident <= 250e6


@pytest.mark.parametrize("kind", ["none", *[kind for kind in EXPOSURE if kind != "jetson"]])
def test_inference_runs_under_the_hardening(box, kind):
    folder = box.root / f"etc/systemd/system/{UNIT}.d"
    shutil.rmtree(folder, ignore_errors=True)
    if kind != "none":
        folder.mkdir(parents=True)
        shutil.copy(SYSTEMD / f"dropins/{kind}.conf", folder)
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "restart", UNIT)
    assert computing(box)
    said = box.run("systemd-analyze", "security", "--no-pager", UNIT)
    exposure = float(re.findall(r"exposure level for \S+ ([\d.]+)", said)[0])
    print(f"\n{kind}: exposure {exposure}")
    assert exposure <= EXPOSURE.get(kind, 1.4)


def test_nothing_but_the_broker_is_called(box):
    """Who calls another host has no route to it, and the kernel counts that."""

    def unroutable() -> int:
        names, values = (line.split() for line in box.run("grep", "Ip:", "/proc/net/snmp").splitlines())
        return int(dict(zip(names, values, strict=True))["OutNoRoutes"])

    before = unroutable()
    box.run("python3", "-c", "import socket; socket.socket().connect_ex(('192.0.2.1', 80))")
    assert unroutable() > before  # it does
    box.run("systemctl", "restart", UNIT)
    assert computing(box)
    assert unroutable() == before + 1


def no_event_is_missing(box: Container) -> None:
    """The sequence of every leak counts up from 0; the last one may still grow."""
    leaks: dict[str, set[int]] = {}
    for event in heard(box, "/event"):
        leaks.setdefault(event["event_id"], set()).add(event["sequence"])
    assert leaks
    for sequences in leaks.values():
        assert sequences == set(range(max(sequences) + 1))


def test_killed_it_is_back_in_ten_seconds_and_no_event_is_lost(box):
    until("a leak that stands", lambda: [e["type"] for e in heard(box, "/event")][-1:] == ["update"], 60)
    old, count, began = pid(box), len(heard(box, "/event")), time.monotonic()
    box.run("kill", "-9", old)
    until("another process, ready", lambda: up(box) and pid(box) not in ("0", old), 60)
    took = time.monotonic() - began
    print(f"\nback after {took:.1f} s")
    until("further events", lambda: len(heard(box, "/event")) > count + 3, 60)
    no_event_is_missing(box)
    assert took <= 20  # 10 on a machine with nothing else to do


def test_a_process_that_stands_still_is_started_anew(box):
    old = pid(box)
    box.run("kill", "-STOP", old)
    until("another process, ready", lambda: up(box) and pid(box) not in ("0", old), 90)
    assert "Watchdog timeout" in box.journal(UNIT)
    assert computing(box)
    no_event_is_missing(box)


def test_a_wrong_configuration_ends_in_sight(box):
    config = box.root / "etc/fgstp-edge/config.yaml"
    config.write_text(CONFIG.replace("fps: 15", "fsp: 15"))
    box.run("systemctl", "restart", UNIT, check=False)
    until("a failed unit", lambda: box.show(UNIT, "ActiveState") == "failed", 30)
    assert box.show(UNIT, "ExecMainStatus") == "2"
    assert "cameras.0.fsp: unknown key; did you mean 'fps'?" in box.journal(UNIT)
    config.write_text(CONFIG)
    box.run("systemctl", "restart", UNIT)
    assert computing(box)


def test_each_camera_may_have_a_process_of_its_own(box):
    south = CONFIG.replace("device: box", "device: box-south").replace("name: north", "name: south")
    (box.root / "etc/fgstp-edge/south.yaml").write_text(south)
    box.run("systemctl", "start", "fgstp-edge@south.service")
    until("its frames", lambda: [h for h in heard(box, "box-south/health") if h["cameras"]["south"]["frames"]], 30)
    assert (box.root / "var/lib/fgstp-edge/south/outbox-box-south.db").exists()
    assert "camera south" in box.run("journalctl", "--no-pager", "-o", "cat", "FGSTP_CAMERA=south")
    box.run("systemctl", "stop", "fgstp-edge@south.service")
    (box.root / "etc/fgstp-edge/south.yaml").unlink()


def update(box: Container, made: Path, watch: float) -> str:
    script = f"fgstp-edge-update --watch {watch} /srv/{made.name}; echo rc $?"
    said = box.run("sh", "-c", script, seconds=600)
    print(f"\n{said}")
    return said


def test_a_good_release_takes_over(box, original):
    made = artifacts.derive(original, box.root / "srv/good.bundle", "9.0")
    assert update(box, made, 5).endswith("rc 0")
    assert current(box) == "9.0"
    assert computing(box)
    no_event_is_missing(box)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (artifacts.broken_model, "selftest: exit code 4"),
        (artifacts.drifting, "selftest: exit code 7"),
        (artifacts.dies_young, "did not keep running"),
    ],
    ids=["broken model", "drifting self-test", "dies young"],
)
def test_a_bad_release_gives_way_to_the_one_before(box, original, change, words):
    made = artifacts.derive(original, box.root / "srv/bad.bundle", "9.1", change)
    said = update(box, made, 20)
    assert words in said
    assert said.endswith("rc 3")
    assert current(box) == "9.0"
    assert up(box)
    assert computing(box)
    no_event_is_missing(box)


def test_a_power_cut_during_a_trial_boots_the_old_release(box, original):
    artifacts.derive(original, box.root / "srv/next.bundle", "9.2")
    command = box.enter("fgstp-edge-update", "--watch", "600", "/srv/next.bundle")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as updater:
        until("a release on trial", lambda: current(box) == "9.2" and up(box), 300)
        box.power_cut()
        updater.wait(60)
    assert current(box) == "9.2"
    box.boot()
    until("the service", lambda: up(box), 60)
    assert current(box) == "9.0"
    assert "9.2 is not kept, 9.0 is back" in box.journal("fgstp-edge-recover.service")


def test_purge_leaves_nothing_but_the_user(box):
    box.run("dpkg", "--purge", "fgstp-edge")
    left = files(box.root) - box.before  # type: ignore[attr-defined]
    ours = {path for path in left if "fgstp" in path or path.startswith("./opt")}
    assert not ours
    print(f"\nnew since before: {sorted(left)}")
    assert "fgstp-edge" in (box.root / "etc/passwd").read_text()
