"""`run` from camera to broker: what it says of a leak, of a camera that fails, and when it is asked to stop."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge import feed, mqtt, playback, service
from edge.config import CameraSettings, Config, HealthSettings
from edge.errors import BrokenSource, ConfigError, SourceError
from edge.outbox import Outbox
from edge.records import Frame
from edge.rules import AlarmSettings
from edge.uplink import OutboxSettings
from tests.edge.calibrations import calibration
from tests.edge.fakes import FPS, FakeSegmenter, picture, write_clip

BRISK = AlarmSettings(on_delay_s=0.3, off_delay_s=0.5, update_every_s=0.2)


@pytest.fixture
def segmenter(monkeypatch: pytest.MonkeyPatch) -> FakeSegmenter:
    """The fake, in place of the real one."""
    fake = FakeSegmenter()
    monkeypatch.setattr(service, "load_model", lambda *_args: (fake.spec, fake.backend))
    monkeypatch.setattr(service, "segmenter_for", lambda settings, *_args: fake.for_camera(settings))
    return fake


@pytest.fixture
def running(segmenter: FakeSegmenter) -> Iterator[Callable[[Config], threading.Event]]:
    """Starts a service in a thread; asks it to stop at the end and passes on what it raised."""
    stop, threads, raised = threading.Event(), [], []

    def start(config: Config) -> threading.Event:
        def work() -> None:
            try:
                service.run(config, stop)
            except Exception as error:  # handed to the test's end
                raised.append(error)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return stop

    yield start
    stop.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert raised == []


def config_for(broker: Any, source: str, **camera: Any) -> Config:
    return Config(
        device="box",
        cameras=(CameraSettings(name="north", source=source, fps=FPS, **camera),),
        alarm=BRISK,
        mqtt=broker.model_copy(update={"required_at_start": True}),
        health=HealthSettings(every_s=0.5),
        self_test=False,
    )


def types_of_a_life(events: list[dict[str, Any]]) -> list[str]:
    """What became of a leak, of which no step may be missing. The start comes first; an update may come late."""
    assert events[0]["sequence"] == 0
    ordered = sorted(events, key=lambda said: said["sequence"])
    assert [said["sequence"] for said in ordered] == list(range(len(events)))
    return [said["type"] for said in ordered]


def test_a_leak_is_told_from_start_to_end(broker, ear, running, tmp_path):
    clip = write_clip(tmp_path / "clip", 75, plume_from=15, plume_until=45)
    config = config_for(broker, str(clip))
    running(config)
    assert ear.message("status")["state"] == "online"
    end = ear.message("event", type="end")
    assert ear.message("status", state="offline")["reason"] == "stopped"  # the recording is over
    events = [said for topic, said in ear.heard if topic == "fgstp/box/north/event"]
    assert types_of_a_life(events)[0 :: len(events) - 1] == ["start", "end"]
    assert {said["event_id"] for said in events} == {end["event_id"]}
    assert end["provenance"]["config_hash"] == config.hash
    assert end["provenance"]["model"] == "student.int8"
    states = [said["state"] for topic, said in ear.heard if topic.endswith("/alarm")]
    assert states == ["normal", "pending", "active", "returning", "normal"]
    assert ear.message("summary")["camera"] == "north"
    health = [said for topic, said in ear.heard if topic == "fgstp/box/health"][-1]
    assert health["backend"] == "fake"
    assert health["cameras"]["north"]["fps"] > 0
    assert health["outbox"]["on_disk"]
    assert health["outbox"]["fault"] is None


def test_a_repeated_recording_goes_on_until_asked_to_stop(broker, ear, running, tmp_path):
    clip = write_clip(tmp_path / "clip", 10)
    stop = running(config_for(broker, str(clip), repeat="pingpong"))
    ear.message("event", type="start")
    stop.set()
    assert ear.message("status", state="offline")["reason"] == "stopped"


def test_events_say_where_on_the_ground_the_leak_is_when_the_camera_is_known(broker, ear, running, tmp_path):
    fixed = {"latitude": 47.0, "longitude": 8.0, "altitude_m": 450, "heading_deg": 90, "pitch_deg": -45}
    clip = write_clip(tmp_path / "clip", 40, plume_until=20)
    running(config_for(broker, str(clip), geo={"fixed": fixed, "hfov_deg": 40, "ground_m": 400}))
    start = ear.message("event", type="start")
    place = start["location"]
    assert place["longitude"] == pytest.approx(8.00066, abs=2e-4)  # some 50 m to the east
    assert place["incident_id"] == start["event_id"]
    assert ear.message("event", type="end")["location"]["incident_id"] == start["event_id"]


def test_a_lost_camera_is_bad_quality_and_the_leak_stands(broker, ear, running, segmenter, monkeypatch):
    monkeypatch.setattr(feed, "RETRY_S", (0.6, 0.6))
    behaviour = iter([60, None, 60])  # frames until it breaks, or not even there

    class Camera:
        fps, size, frames, name, dropped = FPS, (320, 240), None, "camera", 0

        def __init__(self) -> None:
            self._left = next(behaviour, 60)
            if self._left is None:
                raise SourceError("rtsp://me:secret@camera: refused; is it on?")

        def __enter__(self) -> Camera:
            return self

        def __exit__(self, *_: object) -> None: ...

        def __iter__(self) -> Iterator[Frame]:
            for number in range(self._left):
                threading.Event().wait(1 / FPS)
                yield Frame(picture(True, number), number, number / FPS, number / FPS)
            raise BrokenSource("rtsp://me:secret@camera: no more frames")

    monkeypatch.setattr(playback.capture, "open", lambda *_args, **_options: Camera())
    running(config_for(broker, "rtsp://me:secret@camera"))
    first = ear.message("alarm", state="active", quality="good")
    lost = ear.message("alarm", quality="bad")
    assert lost["active"]
    assert "camera_lost" in lost["reasons"]
    ear.until(lambda heard: [t for t, s in heard if t.endswith("/alarm")][-1:] and _last(heard)["quality"] == "bad")
    ear.until(lambda heard: _last(heard)["quality"] == "good" and _last(heard)["active"])
    assert _last(ear.heard)["event_id"] == first["event_id"]
    assert "end" not in [said["type"] for topic, said in ear.heard if topic.endswith("/event")]
    assert segmenter.resets > 0


def _last(heard: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    return [said for topic, said in heard if topic.endswith("/alarm")][-1]


def with_cameras(config: Config, *cameras: CameraSettings) -> Config:
    return config.model_copy(update={"cameras": cameras})


def test_a_camera_that_fails_costs_the_others_nothing(broker, ear, running, tmp_path):
    clip = write_clip(tmp_path / "clip", 75, plume_from=15, plume_until=45)
    config = config_for(broker, str(clip))
    [north] = config.cameras
    absent = CameraSettings(name="absent", source="rtsp://127.0.0.1:1/none")
    broken = write_clip(tmp_path / "broken", 20)
    (broken / "000010.png").write_bytes(b"no picture")
    running(with_cameras(config, absent, CameraSettings(name="broken", source=str(broken), fps=FPS), north))
    end = ear.message("event", type="end")
    assert end["camera"] == "north"
    assert "camera_lost" in ear.message("alarm", camera="broken", quality="bad")["reasons"]
    health = ear.message("health")["cameras"]
    assert set(health) == {"absent", "broken", "north"}


def test_cameras_that_outrun_the_processor_share_it_and_stay_fresh(broker, ear, running, segmenter, tmp_path):
    clip = write_clip(tmp_path / "clip", 30)
    config = config_for(broker, str(clip), repeat="pingpong")
    [north] = config.cameras
    step = segmenter.step

    def slow(frame: Frame) -> Any:
        time.sleep(0.02)
        return step(frame)

    segmenter.step = slow
    names = ["a", "b", "c", "d"]
    stop = running(with_cameras(config, *(north.model_copy(update={"name": name}) for name in names)))

    def busy(heard: list[tuple[str, dict[str, Any]]]) -> Any:
        reports = [said["cameras"] for topic, said in heard if topic.endswith("/health")]
        return [report for report in reports if all(report[name]["frames"] >= 30 for name in names)]

    report = ear.until(busy, 40)[0]
    stop.set()
    frames = [report[name]["frames"] for name in names]
    assert max(frames) - min(frames) <= 2, "each has its turn"
    assert all(report[name]["dropped"] > 0 for name in names)
    # one round of four takes about 100 ms; a queue instead of the newest frame would be seconds behind by now
    assert all(report[name]["latency_p50_ms"] < 300 for name in names)


def test_a_recording_that_breaks_ends_the_run_with_its_error(broker, ear, segmenter, tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "clip", 30)
    (clip / "000020.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"000020\.png"):
        service.run(config_for(broker, str(clip), realtime=False))
    assert ear.message("status", state="offline")["reason"] == "failed"


def test_passwords_of_cameras_do_not_reach_the_log(caplog, broker, running, segmenter, monkeypatch):
    caplog.set_level("INFO")

    def refuse(*_args: object, **_options: object) -> None:
        raise SourceError("rtsp://me:secret@camera: refused")

    monkeypatch.setattr(playback.capture, "open", refuse)
    stop = running(config_for(broker, "rtsp://me:secret@camera"))
    while "lost" not in caplog.text:
        stop.wait(0.05)
    assert "secret" not in caplog.text


def test_a_camera_file_sets_the_smallest_plume_and_marks_what_is_sent(broker, ear, running, tmp_path):
    file = tmp_path / "camera.json"
    calibration(min_area_share=0.02).save(file)
    clip = write_clip(tmp_path / "clip", 75, plume_from=15, plume_until=45)
    config = config_for(broker, str(clip), calibration=file)
    running(config)
    start = ear.message("event", type="start")
    assert start["provenance"]["config_hash"] != config.hash
    ear.message("status", state="offline")


def test_a_plume_below_the_camera_s_smallest_is_no_leak(broker, ear, running, tmp_path):
    file = tmp_path / "camera.json"
    calibration(min_area_share=0.04).save(file)
    clip = write_clip(tmp_path / "clip", 75, plume_from=15, plume_until=45)
    running(config_for(broker, str(clip), calibration=file))
    assert ear.message("status", state="offline")["reason"] == "stopped"
    assert not [said for topic, said in ear.heard if topic.endswith("/event")]


def test_a_camera_file_of_another_model_stops_the_start(monkeypatch, tmp_path):
    file = tmp_path / "camera.json"
    calibration(model_sha256="0" * 64).save(file)
    config = Config(
        device="box", cameras=(CameraSettings(name="north", source="x", calibration=file),), self_test=False
    )
    with pytest.raises(ConfigError, match="calibrate again with this model"):
        service.run(config)


def _events(heard: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [said for topic, said in heard if topic.endswith("/event")]


@pytest.mark.parametrize("gone", [True, False], ids=["gas gone meanwhile", "gas still there"])
def test_a_leak_that_is_open_when_we_stop_goes_on_or_ends_at_the_next_start(broker, ear, segmenter, tmp_path, gone):
    service.run(config_for(broker, str(write_clip(tmp_path / "leak", 30))))
    ear.message("status", state="offline")
    before = _events(ear.heard)
    assert [said["type"] for said in before][:1] == ["start"]
    assert "end" not in [said["type"] for said in before]
    service.run(config_for(broker, str(write_clip(tmp_path / "later", 30, plume_until=0 if gone else 30))))
    ear.until(lambda heard: [said["state"] for topic, said in heard if topic.endswith("/status")].count("offline") == 2)
    events = _events(ear.heard)
    assert {said["event_id"] for said in events} == {before[0]["event_id"]}
    assert (types_of_a_life(events)[-1] == "end") == gone
    assert len(events) > len(before)
    assert _last(ear.heard)["active"] != gone


def test_the_leak_of_a_camera_that_is_watched_no_longer_is_ended(broker, ear, segmenter, tmp_path):
    service.run(config_for(broker, str(write_clip(tmp_path / "leak", 30))))
    first = ear.message("alarm", active=True)
    config = config_for(broker, str(write_clip(tmp_path / "other", 5, plume_until=0)))
    renamed = config.cameras[0].model_copy(update={"name": "south"})
    for _ in range(2):  # and only once
        service.run(config.model_copy(update={"cameras": (renamed,)}))
    ear.until(lambda heard: [said["state"] for topic, said in heard if topic.endswith("/status")].count("offline") == 3)
    [end] = [said for said in _events(ear.heard) if said["type"] == "end"]
    assert (end["camera"], end["event_id"]) == ("north", first["event_id"])
    north = [said for topic, said in ear.heard if topic == "fgstp/box/north/alarm"]
    assert not north[-1]["active"]


def test_a_disk_that_cannot_be_written_silences_no_alarm_and_health_says_so(
    broker, ear, running, state_directory, tmp_path
):
    (state_directory / "outbox-box.db").mkdir(parents=True)
    running(config_for(broker, str(write_clip(tmp_path / "clip", 75, plume_from=15, plume_until=45))))
    ear.message("event", type="start")
    ear.message("event", type="end")
    said = ear.until(lambda heard: [said for topic, said in heard if topic.endswith("/health")])[0]["outbox"]
    assert not said["on_disk"]
    assert "cannot be written (unable to open database file)" in said["fault"]


def test_a_saved_alarm_that_cannot_be_read_stops_nothing(broker, ear, segmenter, tmp_path, state_directory, caplog):
    queue = Outbox(state_directory / "outbox-box.db", OutboxSettings())
    queue.write([], {"north": '{"": 1}'})
    queue.close()
    service.run(config_for(broker, str(write_clip(tmp_path / "clip", 30))))
    assert "the saved alarm of camera north cannot be read" in caplog.text
    assert ear.message("event", type="start")["sequence"] == 0


def test_an_operator_acknowledges_a_leak_of_the_running_service(broker, ear, running, tmp_path):
    clip = write_clip(tmp_path / "clip", 10)
    stop = running(config_for(broker, str(clip), repeat="pingpong"))
    leak = ear.message("event", type="start")
    raised = ear.message("alarm_event", cause="leak")
    assert (raised["to"], raised["event_id"]) == ("unacknowledged", leak["event_id"])
    say = mqtt.subscribe(broker, "hmi", ["none"], lambda *_: None)
    asked = {"command": "ack", "id": "hmi-1", "operator": "J. Doe", "event_id": leak["event_id"]}
    say.publish("fgstp/box/north/cmd", json.dumps(asked), qos=1)
    assert ear.message("reply", id="hmi-1")["accepted"]
    assert ear.message("alarm_event", cause="ack")["operator"] == "J. Doe"
    assert ear.message("alarm", alarm_state="acknowledged")["active"]
    asked = {"command": "shelve", "id": "hmi-2", "operator": "J. Doe", "duration_s": 50_000}
    say.publish("fgstp/box/north/cmd", json.dumps(asked), qos=1)
    assert "duration_s" in ear.message("reply", id="hmi-2", accepted=False)["reason"]
    asked = {"command": "shelve", "id": "hmi-3", "operator": "J. Doe", "duration_s": 0.5}
    say.publish("fgstp/box/north/cmd", json.dumps(asked), qos=1)
    assert ear.message("alarm_event", cause="shelving_over")["to"] == "unacknowledged"
    stop.set()
    say.disconnect()
    say.loop_stop()


LEAKY = (
    "import sys\nfrom edge import config, service\nfrom tests.edge.fakes import FakeSegmenter\n"
    "fake = FakeSegmenter()\n"
    "service.load_model = lambda *_args: (fake.spec, fake.backend)\n"
    "service.segmenter_for = lambda settings, *_args: fake.for_camera(settings)\n"
    "service.run(config.load(sys.argv[1]))\n"
)


def test_kills_at_random_moments_lose_no_step_of_a_leak_and_leave_none_open(broker, ear, segmenter, tmp_path):
    chance = random.Random(5)
    clip = write_clip(tmp_path / "clip", 50, plume_until=22)  # a leak every 1.7 s
    config = config_for(broker, str(clip), repeat="loop").model_copy(
        update={"alarm": BRISK.model_copy(update={"update_every_s": 0.05, "off_delay_s": 0.4})}
    )
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude={"outbox"})))
    for starts in range(1, 5):
        with subprocess.Popen([sys.executable, "-c", LEAKY, str(file)], cwd=Path(__file__).parents[2]) as run:
            ear.until(lambda heard, n=starts: sum(said.get("state") == "online" for _, said in heard) == n)
            time.sleep(chance.uniform(0.4, 2.0))
            run.kill()
    service.run(config_for(broker, str(write_clip(tmp_path / "calm", 40, plume_until=0))))
    ear.message("status", reason="stopped")
    steps: dict[tuple[str, int], dict[str, Any]] = {}
    for said in _events(ear.heard):
        assert steps.setdefault((said["event_id"], said["sequence"]), said) == said, "the same id, the same content"
    leaks = list(dict.fromkeys(event_id for event_id, _ in steps))
    assert len(leaks) >= 3
    for leak in leaks:
        life = [said for (event_id, _), said in steps.items() if event_id == leak]
        assert types_of_a_life(life)[0 :: len(life) - 1] == ["start", "end"]
    assert not _last(ear.heard)["active"]
