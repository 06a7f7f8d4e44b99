"""A configuration read again: what it changes at once, what it leaves, and that no alarm is lost by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge import config
from edge.camera import settings_hash
from edge.config import Config
from edge.reload import Reread, difference, without_value
from tests.conftest import Ear
from tests.edge.calibrations import calibration
from tests.edge.fakes import write_clip

ROOT = Path(__file__).parents[2]
CAMERA = {"name": "north", "source": "x"}
ZONE = {"name": "tank", "polygon": [[0, 0], [1, 0], [1, 1]]}


def made(**keys: Any) -> Config:
    return config.parse(yaml.safe_dump({"device": "box", "cameras": [CAMERA], **keys}))


def cameras(*changed: dict[str, Any]) -> dict[str, Any]:
    return {"cameras": [{**CAMERA, **keys} for keys in changed]}


@pytest.mark.parametrize(
    ("new", "applied", "needs_restart"),
    [
        ({}, (), ()),
        ({"alarm": {"on_delay_s": 4}}, ("alarm.on_delay_s",), ()),
        ({"alarm": {"priority": {"growth": None}}}, ("alarm.priority.growth",), ()),
        ({"mqtt": {"summary_every_s": 1, "port": 1884}}, ("mqtt.summary_every_s",), ("mqtt.port",)),
        ({"health": {"every_s": 1, "prometheus": {}}}, ("health.every_s",), ("health.prometheus",)),
        ({"sparkplug": {"group_id": "plant"}, "self_test": False}, (), ("sparkplug", "self_test")),
        (cameras({"zones": [ZONE]}), ("cameras.north.zones",), ()),
        (cameras({"zones": [ZONE], "polarity": "black_hot"}), ("cameras.north.zones",), ("cameras.north.polarity",)),
        (cameras({}, {"name": "south", "zones": [ZONE]}), (), ("cameras.south",)),
        (cameras({"name": "south", "zones": [ZONE]}), (), ("cameras.north", "cameras.south")),
        ({"device": "other"}, (), ("device",)),
    ],
)
def test_what_can_be_applied_is_and_the_rest_is_named(new, applied, needs_restart):
    old = made()
    found = difference(old, made(**new))
    assert (found.applied, found.needs_restart) == (applied, needs_restart)
    assert (found.config.hash != old.hash) == bool(applied)
    again = difference(found.config, made(**new))
    assert (again.applied, again.needs_restart, again.config) == ((), needs_restart, found.config)


def test_nothing_that_needs_a_restart_gets_into_what_runs():
    old = made()
    new = made(**cameras({"zones": [ZONE], "fps": 9}), device="b", alarm={"latching": True}, mqtt={"host": "elsewhere"})
    assert difference(old, new).config == made(**cameras({"zones": [ZONE]}), alarm={"latching": True})


def test_a_zone_that_sets_the_device_s_value_on_purpose_is_a_change():
    spelt = {**ZONE, "alarm": {"on_delay_s": 3.0}}  # which is the default: another meaning once the device's differs
    found = difference(made(**cameras({"zones": [ZONE]})), made(**cameras({"zones": [spelt]})))
    assert found.applied == ("cameras.north.zones",)
    assert found.config.cameras[0].zones[0].alarm.model_fields_set == {"on_delay_s"}


def test_cameras_in_another_order_need_a_restart():
    old, new = made(**cameras({}, {"name": "south"})), made(**cameras({"name": "south"}, {}))
    assert difference(old, new).needs_restart == ("cameras",)


def test_a_file_is_read_again_only_when_asked(tmp_path):
    (tmp_path / "site.yaml").write_text("device: box\ncameras:\n  - {name: n, source: x}\n")
    file = Reread(tmp_path / "site.yaml")
    assert not file.asked
    file.ask()
    assert file.asked
    assert file.read().device == "box"
    assert not file.asked


def test_what_was_written_is_not_told_to_the_broker():
    with pytest.raises(config.ConfigError) as raised:
        made(mqtt={"fallback": "mqtt://me:secret@broker"})
    [mistake] = raised.value.lines
    assert "secret" in mistake
    assert "secret" not in without_value(mistake)
    assert "mqtt.fallback" in without_value(mistake)


RUN = (
    "import sys\nfrom edge import __main__, service\nfrom tests.edge.fakes import FakeSegmenter\n"
    "fake = FakeSegmenter()\n"
    "service.load_model = lambda *_args: (fake.spec, fake.backend)\n"
    "service.segmenter_for = lambda settings, *_args: fake.for_camera(settings)\n"
    "sys.exit(__main__.main(['run', '--config', sys.argv[1]]))\n"
)
LEFT, RIGHT = (
    {"name": name, "polygon": [[x, 0], [x + 0.47, 0], [x + 0.47, 1], [x, 1]]}
    for name, x in (("left", 0.0), ("right", 0.47))
)


class Site:
    """A device that runs by a file, its camera on a plume that lies half in `left` and half in `right`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.file = folder / "site.yaml"
        self._clip, self._port = write_clip(folder / "clip", 10), port
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, *zones: dict[str, Any], **keys: Any) -> str:
        """Write the file; gives its text."""
        north = {"name": "north", "source": str(self._clip), "fps": 30, "repeat": "pingpong", "zones": list(zones)}
        north |= keys.pop("camera", {})
        keys["mqtt"] = {"host": "127.0.0.1", "port": self._port, **keys.get("mqtt", {})}
        alarm = {"on_delay_s": 0.3, "update_every_s": 0.2, **keys.pop("alarm", {})}
        text = yaml.safe_dump(
            {"device": "box", "self_test": False, "alarm": alarm, "evidence": {"enabled": False}, "cameras": [north]}
            | {"health": {"every_s": 0.3}, **keys}
        )
        self.file.write_text(text)
        return text

    @contextmanager
    def running(self, program: str = RUN, **options: Any) -> Iterator[None]:
        command = [sys.executable, "-c", program, str(self.file)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, **options) as self.process:
            try:
                yield
            finally:
                self.process.kill()

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def log(self) -> str:
        """Asked to stop, it says all that it has said."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, said
        return said.decode()


@pytest.fixture
def site(broker, tmp_path) -> Site:
    return Site(tmp_path, broker.port)


def of(ear: Ear, kind: str, **fields: Any) -> list[dict[str, Any]]:
    """All messages of a kind so far."""
    return [s for t, s in ear.heard if t.endswith("/" + kind) and all(s[k] == v for k, v in fields.items())]


def test_a_hangup_applies_what_it_can_ends_removed_zones_and_lets_other_leaks_go_on(ear, site):
    old = config.parse(site.write(LEFT, RIGHT))
    with site.running():
        leak = ear.message("event", zone="left", type="start")
        gone = ear.message("event", zone="right", type="start")
        assert leak["provenance"]["config_hash"] == old.hash
        text = site.write(LEFT, alarm={"off_delay_s": 7.0}, model={"threads": 2}, evidence={"publish": "all"})
        site.hang_up()
        wanted = config.parse(text)
        end = ear.message("event", zone="right", type="end")
        assert end["event_id"] == gone["event_id"]
        assert ear.message("alarm_event", cause="removed")["zone"] == "right"
        hash_ = difference(old, wanted).config.hash
        assert hash_ not in (old.hash, wanted.hash)
        assert ear.message("status", state="online", config_hash=hash_)["reason"] is None
        ear.until(
            lambda heard: [
                said for topic, said in heard
                if topic.endswith("/event") and said["zone"] == "left" and said["provenance"]["config_hash"] == hash_
            ]
        )  # fmt: skip
        ear.until(lambda _: [zone["zone"] for zone in of(ear, "alarm")[-1]["zones"]] == ["left"])
        assert of(ear, "alarm")[-1]["zones"][0]["event_id"] == leak["event_id"]
        said = site.log()
    life = of(ear, "event", zone="left")
    assert {step["event_id"] for step in life} == {leak["event_id"]}
    assert [step["sequence"] for step in life] == list(range(len(life)))
    assert "end" not in [step["type"] for step in life]
    assert "configuration read again: cameras.north.zones, alarm.off_delay_s" in said
    assert "need a restart, not applied: model.threads, evidence.enabled, evidence.publish" in said


def test_a_bad_configuration_changes_nothing_and_every_mistake_is_told_until_it_is_mended(ear, site):
    old = config.parse(site.write(LEFT))
    with site.running():
        leak = ear.message("event", type="start")
        assert ear.message("health")["config_errors"] == []
        site.write(LEFT, alarm={"on_delay_s": -1}, mqtt={"pasword": "secret", "fallback": "mqtt://me:secret@b"})
        site.hang_up()
        said = ear.until(lambda _: [s for s in of(ear, "health") if s["config_errors"]])[0]
        told = " ".join(said["config_errors"])
        assert len(said["config_errors"]) == 3
        assert all(key in told for key in ("alarm.on_delay_s", "mqtt.pasword", "mqtt.fallback"))
        assert "secret" not in told
        ear.until(lambda _: of(ear, "event")[-1]["sequence"] > leak["sequence"] + 2)
        assert {one["provenance"]["config_hash"] for one in of(ear, "event")} == {old.hash}
        site.write(LEFT, mqtt={"summary_every_s": 0})
        site.hang_up()
        ear.until(lambda _: of(ear, "health")[-1]["config_errors"] == [])
        log = site.log()
    assert "the new configuration is refused, the old one goes on" in log
    assert "mqtt.pasword: unknown key" in log
    assert "secret" not in log
    assert "configuration read again: mqtt.summary_every_s" in log
    assert "Traceback" not in log


def test_a_camera_file_keeps_its_say(ear, site, tmp_path):
    made_for_it = calibration(min_area_share=0.1)  # the plume is smaller
    made_for_it.save(tmp_path / "camera.json")
    camera = {"calibration": str(tmp_path / "camera.json")}
    site.write(camera=camera)
    with site.running():
        ear.until(lambda heard: of(ear, "summary")[5:])
        text = site.write(camera=camera, alarm={"min_area_share": 0.0, "off_delay_s": 1.0})
        site.hang_up()
        ear.message("status", config_hash=config.parse(text).hash)
        heard = len(of(ear, "summary"))
        ear.until(lambda _: of(ear, "summary")[heard + 5 :])  # a second and more: time for a leak
        assert not of(ear, "event"), "the smallest plume is still that of the camera file"
        text = site.write(
            {**LEFT, "alarm": {"min_area_share": 0.0}}, camera={"calibration": str(tmp_path / "camera.json")}
        )
        site.hang_up()
        start = ear.message("event", zone="left", type="start")
        hash_ = settings_hash(config.parse(text).hash, made_for_it)
        assert start["provenance"]["config_hash"] == hash_
        site.log()


def test_a_file_that_is_gone_is_told_and_the_device_goes_on(ear, site):
    site.write()
    with site.running():
        ear.message("event", type="start")
        site.file.unlink()
        site.hang_up()
        said = ear.until(lambda _: [s for s in of(ear, "health") if s["config_errors"]])[0]
        assert "cannot read the configuration" in said["config_errors"][0]
        assert said["cameras"]["north"]["connected"]
        assert "Traceback" not in site.log()


@pytest.mark.parametrize("nohup", [False, True], ids=["in a window", "under nohup"])
def test_a_window_that_is_closed_stops_the_device_unless_it_was_to_stay(ear, site, nohup):
    site.write()
    window, inside = os.openpty()
    ignore = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" if nohup else ""
    program = f"import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{ignore}{RUN}"
    with site.running(program, stdin=inside, start_new_session=True):
        os.close(inside)
        ear.message("event", type="start")
        site.hang_up()
        ear.until(lambda _: len(of(ear, "health")) > 1)
        assert site.process.poll() is None, "the window is still there"
        os.close(window)
        if nohup:
            heard = len(of(ear, "health"))
            ear.until(lambda _: len(of(ear, "health")) > heard + 2)
            site.log()
        else:
            assert ear.message("status", state="offline")["reason"] == "stopped"
            assert site.process.wait(20) == 0
