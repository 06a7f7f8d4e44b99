"""`fgstp-edge-update` on a device in a folder: what it installs and refuses, and that one that works is always left."""

from __future__ import annotations

import os
import random
import tarfile
import time
from pathlib import Path

import pytest

from tests.device.releases import PYTHON, Box, make_key

CALLS = "var/lib/fgstp-edge/calls"
KILLS = 20 if os.environ.get("FGSTP_DEVICE") == "long" else 4  # `./dev test-device` has them all


@pytest.fixture
def box(tmp_path: Path) -> Box:
    if not Path(PYTHON).exists():
        pytest.skip(f"no {PYTHON} here")
    return Box(tmp_path)


@pytest.fixture
def old(box: Box) -> Box:
    """A device that runs 1.0."""
    code, said = box.update(box.bundle("1.0"))
    assert code == 0, said
    return box


def test_the_first_release_is_tested_with_the_live_configuration_and_becomes_current(box):
    code, said = box.update(box.bundle("1.0"))
    assert (code, box.links(), box.installed()) == (0, ("1.0", None), {"1.0"}), said
    assert box.log(CALLS) == ["1.0 selftest", f"1.0 validate {box.root}/etc/fgstp-edge/config.yaml"]
    lib = box.root / "opt/fgstp-edge/current/lib"
    assert (lib / "native.txt").read_text() == "native"
    assert list(lib.glob("edge/__pycache__/*.pyc"))


def test_an_update_keeps_the_release_before_it_and_what_the_device_knows(old):
    for version, before in ("1.1", "1.0"), ("1.2", "1.1"):
        assert old.update(old.bundle(version))[0] == 0
        assert (old.links(), old.installed()) == ((version, before), {version, before})
    assert old.log("systemctl").count("restart 1.2") == 1
    assert (old.root / "var/lib/fgstp-edge/outbox-box.db").read_text() == "events\n"
    assert (old.root / "etc/fgstp-edge/config.yaml").read_text() == "device: box\n"
    assert not (old.root / "opt/fgstp-edge/trial").exists()


@pytest.mark.parametrize("step", ["selftest", "validate"])
def test_a_release_that_fails_its_test_is_never_switched_to(old, step):
    code, said = old.update(old.bundle("2.0", fails=step))
    assert code == 3
    assert f"failed: 2.0: {step}" in said
    assert "exit code 7: what it says" in said
    assert (old.links(), old.installed()) == (("1.0", None), {"1.0"})
    assert "restart 2.0" not in old.log("systemctl")


@pytest.mark.parametrize("kind", ["broken", "flapping"])
def test_a_release_that_does_not_keep_running_is_rolled_back(old, kind):
    (old.root / kind).write_text("2.0")
    code, said = old.update(old.bundle("2.0"), watch=2.0)
    assert code == 3
    assert "2.0 is not kept, 1.0 is back" in said
    assert (old.links(), old.installed()) == (("1.0", None), {"1.0"})
    assert [line for line in old.log("systemctl") if line.startswith("restart")] == [
        "restart 1.0",
        "restart 2.0",
        "restart 1.0",
    ]


def test_the_operator_may_go_back(old):
    assert old.update("--rollback")[0] == 1  # nothing to return to
    assert old.update(old.bundle("1.1"))[0] == 0
    assert old.update("--rollback")[0] == 0
    assert old.links() == ("1.0", "1.1")
    (old.root / "broken").write_text("1.1")
    assert old.update("--rollback")[0] == 3
    assert old.links() == ("1.0", "1.1")


def damage(bundle: Path, name: str) -> None:
    """Change one byte in the middle of a member's content."""
    with tarfile.open(bundle) as archive:
        info = archive.getmember(name)
    content = bytearray(bundle.read_bytes())
    content[info.offset_data + info.size // 2] ^= 1
    bundle.write_bytes(content)


@pytest.mark.parametrize(
    "name", ["SHA256SUMS", "SHA256SUMS.sig", "manifest.json", "requirements.txt", "wheels/edge-2.0-py3-none-any.whl"]
)
def test_one_changed_byte_anywhere_is_refused(old, name):
    bundle = old.bundle("2.0")
    damage(bundle, name)
    code, said = old.update(bundle)
    assert code == 1
    assert "signature is not that of" in said or "sha256 differs" in said
    assert (old.links(), old.installed(), old.works()) == (("1.0", None), {"1.0"}, True)


def test_what_its_owner_has_not_signed_is_refused(old, tmp_path):
    other, _ = make_key(tmp_path, "other")
    code, said = old.update(old.bundle("2.0", key=other))
    assert code == 1
    assert "the signature is not that of" in said
    more = old.bundle("2.0")
    with tarfile.open(more, "a:") as archive:
        archive.add(__file__, "base/install")
    assert "holds other files" in old.update(more)[1]
    short = old.bundle("2.0")
    short.write_bytes(short.read_bytes()[:2000])
    assert "copy it again" in old.update(short)[1]
    (old.root / "etc/fgstp-edge/release.pub").unlink()
    assert "no release key on this device" in old.update(old.bundle("2.0"))[1]
    assert (old.links(), old.installed(), old.works()) == (("1.0", None), {"1.0"}, True)


def test_what_this_machine_cannot_run_or_hold_is_refused(old):
    for fact, value, words in (
        ("machine", "riscv64", "is for machine riscv64"),
        ("python", "3.1", "is for python 3.1"),
    ):
        code, said = old.update(old.bundle("2.0", **{fact: value}))
        assert (code, words in said) == (1, True), said
    assert old.links() == ("1.0", None)


def test_a_full_disk_is_noticed_before_anything_is_written(old, monkeypatch):
    monkeypatch.setattr("systemd.packing.unpacked", lambda _wheel: 10**15)
    code, said = old.update(old.bundle("2.0"))
    assert code == 1
    assert "MB needed; make room" in said
    assert (old.links(), old.installed(), old.works()) == (("1.0", None), {"1.0"}, True)


def test_another_build_under_the_name_of_a_release_in_use_is_refused(old):
    assert "is here already" in old.update(old.bundle("1.0"))[1]
    code, said = old.update(old.bundle("1.0", fails="never"))
    assert code == 1
    assert "another build of 1.0 is in use" in said


def recovers(box: Box) -> None:
    """As after a power cut: boot's recovery finds 1.0, and the next attempt succeeds."""
    assert box.update("--recover")[0] == 0
    assert box.links()[0] == "1.0"
    assert box.works()
    assert not (box.root / "opt/fgstp-edge/trial").exists()
    code, said = box.update(box.bundle("3.0"))
    assert (code, box.links()) == (0, ("3.0", "1.0")), said


@pytest.mark.parametrize("step", ["selftest", "validate"])
def test_killed_while_the_new_release_is_tested(old, step):
    assert old.update(old.bundle("2.0", kill=step))[0] == -9
    assert old.links() == ("1.0", None)
    recovers(old)


@pytest.mark.parametrize("step", ["list-units", "restart", "show"])
def test_killed_around_the_switch(old, step):
    (old.root / f"kill-at-{step}").touch()
    assert old.update(old.bundle("2.0"))[0] == -9
    assert old.links() == ("1.0" if step == "list-units" else "2.0", None)
    assert old.works()
    recovers(old)


@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_at_a_random_moment(old, seed):
    began = time.monotonic()
    assert old.update(old.bundle("1.1"))[0] == 0
    took = time.monotonic() - began
    assert old.update("--rollback")[0] == 0
    process = old.start("--watch", "0", old.bundle("2.0"))
    time.sleep(random.Random(seed).uniform(0, took))
    process.kill()
    process.communicate()
    assert old.links()[0] in ("1.0", "2.0")
    assert old.works()
    old.update("--recover")
    kept = old.links()[0]
    assert kept == ("2.0" if process.returncode == 0 else kept)
    assert old.works()
    assert old.update(old.bundle("3.0"))[0] == 0
    assert old.links() == ("3.0", kept)
    assert old.installed() == {"3.0", kept}


def test_a_trial_with_its_keeper_is_left_alone(old):
    process = old.start("--watch", "60", old.bundle("2.0"))
    deadline = time.monotonic() + 30
    while not (old.root / "opt/fgstp-edge/trial").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    code, said = old.update(old.bundle("3.0"))
    assert (code, "another fgstp-edge-update runs" in said) == (1, True)
    assert old.update("--recover")[0] == 0
    assert (old.root / "opt/fgstp-edge/trial").exists()
    process.kill()
    process.communicate()
    recovers(old)
