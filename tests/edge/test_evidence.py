"""What is left of a leak: stills, a clip, their hashes, and messages about them."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import condition, evidence, payload, recorder
from edge.config import EvidenceSettings
from edge.errors import StorageError
from edge.evidence import Keeper
from edge.mqtt import Publisher
from edge.pipeline import Step
from edge.recorder import Recorder
from edge.records import Event, Frame
from edge.rules import AlarmSettings
from tests.conftest import check
from tests.edge.fakes import FakeSegmenter, picture
from tests.edge.summaries import UTC, summary
from tests.edge.test_clip import shown
from tests.edge.test_mqtt import STOPPED, WILL

FPS = 25
SETTINGS = EvidenceSettings(before_s=1.0, after_s=2.0, min_free_bytes=0)
ALARM = AlarmSettings(on_delay_s=0.5, off_delay_s=0.5)


def step_of(index: int, *, plume: bool = True, captured: float | None = None, image: Any = None) -> Step:
    at = index / FPS if captured is None else captured
    frame = Frame(picture(plume, index) if image is None else image, index, at, UTC + at)
    seen = summary(index, fps=FPS, captured=at, box=(120, 100, 60, 40) if plume else None)
    return Step(FakeSegmenter().step(frame), seen)


class Site:
    """A keeper with one camera, without a service."""

    def __init__(self, folder: Path, settings: EvidenceSettings = SETTINGS) -> None:
        self.root = folder / "evidence"
        self.said: list[dict[str, Any]] = []
        self.keeper = Keeper("box", settings.model_copy(update={"path": self.root}), self._hear)
        self.recorder = Recorder("north", self.keeper)
        self.events: list[Event] = []
        self._alarm = condition.Condition()

    def _hear(self, kind: str, said: payload.Payload, camera: str) -> None:
        assert (kind, camera) == ("evidence", said["camera"])
        self.said.append(check("evidence", payload.encode(said)))

    def frame(self, step: Step) -> None:
        """As the service does it."""
        self.recorder.offer(step)
        self._alarm, events = condition.step(self._alarm, step.summary, ALARM, camera="north")
        for event in events:
            if event.type == "start":
                event = self.recorder.leak_started(event)
            elif event.type == "update":
                self.recorder.leak_went_on(event)
            else:
                self.recorder.leak_ended(event)
            self.events.append(event)

    def leak(self, frames: int = 100, calm: int = 30) -> None:
        for index in range(calm + frames):
            self.frame(step_of(index, plume=index >= calm))

    def files(self) -> dict[str, Path]:
        return {path.name: path for path in self.root.glob("*/*/*")}

    def until(self, true: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 15
        while not true():
            assert time.monotonic() < deadline, (self.files(), self.keeper.report())
            time.sleep(0.01)


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.keeper.start()
    yield made
    made.keeper.close(10)


def test_a_leak_leaves_stills_a_clip_and_its_event_with_their_hashes_in_messages(site):
    site.leak()
    start = site.events[0]
    site.keeper.close(10)
    files = site.files()
    assert set(files) == {"event.json", "snapshot.jpg", "overlay.jpg", "clip.avi"}
    assert files["clip.avi"].parent.name.endswith(start.event_id)
    still = files["snapshot.jpg"].read_bytes()
    assert start.snapshot_sha256 == hashlib.sha256(still).hexdigest()
    told = check("event", payload.encode(payload.event(start)))
    assert json.loads(files["event.json"].read_text()) == told
    assert told["snapshot_sha256"] == start.snapshot_sha256
    for said in site.said:
        file = site.root / said["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == said["sha256"]
        assert (said["event_id"], said["data"]) == (start.event_id, None)
        assert said["bytes"] == file.stat().st_size
    assert [said["kind"] for said in site.said] == ["snapshot", "overlay", "clip"]
    assert all(event.snapshot_sha256 is None for event in site.events[1:])


def test_a_leak_that_is_over_leaves_its_whole_history(site):
    site.leak(60)
    for index in range(90, 130):
        site.frame(step_of(index, plume=False))
    site.keeper.close(10)
    lines = site.files()["events.jsonl"].read_text().splitlines()
    assert [check("event", line) for line in lines] == [
        json.loads(payload.encode(payload.event(event))) for event in site.events
    ]
    assert [event.type for event in site.events] == ["start", "update", "update", "end"]
    assert site.files()["events.jsonl"].parent == site.files()["event.json"].parent


def test_the_history_of_a_leak_without_end_stays_bounded(site, monkeypatch):
    monkeypatch.setattr(recorder, "HISTORY", 20)
    site.leak()
    start, update = site.events[0], site.events[1]
    for number in range(1000):
        site.recorder.leak_went_on(replace(update, sequence=number))
    site.recorder.leak_ended(replace(update, type="end", sequence=1000))
    site.keeper.close(10)
    told = [json.loads(line) for line in site.files()["events.jsonl"].read_text().splitlines()]
    assert len(told) <= 22
    assert (told[0]["event_id"], told[0]["type"], told[-1]["type"]) == (start.event_id, "start", "end")
    assert [one["sequence"] for one in told[1:]] == sorted(one["sequence"] for one in told[1:])


def test_the_still_is_the_frame_that_raised_the_leak_and_the_overlay_is_drawn_on_it(site):
    site.leak()
    site.keeper.close(10)
    start = site.events[0]
    still = cv2.imread(str(site.files()["snapshot.jpg"]), cv2.IMREAD_GRAYSCALE)
    assert np.abs(still.astype(int) - picture(True, start.frame_index)).mean() < 1.5
    drawn = cv2.imread(str(site.files()["overlay.jpg"]))
    assert drawn.shape[:2] == (480, 640)
    colour = np.abs(drawn.astype(int) - drawn.mean(2, keepdims=True)).max(2)
    assert (colour[190:290, 230:370] > 60).sum() > 100, "an outline in colour around the plume of a grey picture"


def test_the_clip_begins_before_the_leak_and_ends_after(site):
    site.leak()
    site.keeper.close(10)
    frames, rate = shown(site.files()["clip.avi"])
    assert rate == FPS
    assert abs(len(frames) - 3 * FPS) <= 1
    start = site.events[0].frame_index
    calm = sum(level < frames[-1] - 3 for level in frames)
    assert abs(calm - (30 - (start - FPS))) <= 1, "frames without a plume from a second before the leak was raised"


def test_a_clip_ends_with_the_camera_and_another_view_is_not_part_of_it(site):
    site.leak(frames=40)
    site.frame(step_of(1000, captured=500.0))
    site.keeper.close(10)
    frames, _ = shown(site.files()["clip.avi"])
    assert abs(len(frames) - (70 - (site.events[0].frame_index - FPS))) <= 1


def test_a_lost_camera_has_no_picture_to_show(site):
    assert site.recorder.snapshot() is None
    site.frame(step_of(0))
    site.recorder.interrupted()
    assert site.recorder.snapshot() is None


def test_an_operator_s_snapshot_is_kept_and_named(site):
    site.frame(step_of(7, plume=False))
    taken = site.recorder.snapshot()
    assert taken is not None
    site.until(lambda: site.said)
    file, sha256 = taken
    assert (site.said[0]["file"], site.said[0]["sha256"], site.said[0]["event_id"]) == (file, sha256, None)
    assert (site.root / file).exists()


@pytest.mark.parametrize(
    ("publish", "sent"), [("snapshot", {"snapshot", "overlay"}), ("all", {"snapshot", "overlay", "clip"})]
)
def test_content_is_sent_in_chunks_that_make_the_file(tmp_path, publish, sent):
    site = Site(tmp_path, SETTINGS.model_copy(update={"publish": publish}))
    site.keeper.start()
    site.leak()
    site.keeper.close(10)
    for kind in ("snapshot", "overlay", "clip"):
        parts = [said for said in site.said if said["kind"] == kind]
        assert [said["part"] for said in parts] == list(range(1, parts[0]["parts"] + 1))
        if kind in sent:
            content = b"".join(base64.b64decode(said["data"]) for said in parts)
            assert hashlib.sha256(content).hexdigest() == parts[0]["sha256"]
            assert max(len(said["data"]) for said in parts) <= 16_384
        else:
            assert parts[0]["data"] is None


@pytest.mark.parametrize("image", ["16-bit", "colour"])
def test_every_kind_of_camera_leaves_evidence(site, image):
    for index in range(110):
        grey = picture(index > 30, index)
        made = grey.astype(np.uint16) * 100 if image == "16-bit" else np.repeat(grey[:, :, None], 3, 2)
        step = step_of(index, plume=index > 30)
        site.frame(
            replace(step, segmentation=replace(step.segmentation, frame=replace(step.segmentation.frame, image=made)))
        )
    site.keeper.close(10)
    assert set(site.files()) == {"event.json", "snapshot.jpg", "overlay.jpg", "clip.avi"}


def test_the_frame_loop_never_waits_for_the_disk(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(evidence, "WAITING", 2)
    site, stuck = Site(tmp_path), threading.Event()

    def hangs(*_: Any) -> None:
        stuck.wait(30)
        raise StorageError("at last")

    monkeypatch.setattr(site.keeper._archive, "keep", hangs)
    site.keeper.start()
    began = time.monotonic()
    for _ in range(5):
        site.recorder.offer(step_of(0))
        site.recorder.snapshot()
    assert time.monotonic() - began < 5
    assert site.keeper.report()["lost"] in (2, 3)  # of 5: two wait, and one may be in the thread's hands
    assert "the disk is too slow, 2 files wait already" in site.keeper.report()["fault"]
    assert len(caplog.records) == 1
    began = time.monotonic()
    site.keeper.close(0.2)
    assert time.monotonic() - began < 5, "nor does the way out"
    stuck.set()


def test_who_leaves_finishes_the_file_in_hand_and_begins_no_other(tmp_path, monkeypatch):
    site, begun, go_on = Site(tmp_path), threading.Event(), threading.Event()
    keep, names = site.keeper._archive.keep, []

    def slow(folder: str, name: str, *more: Any) -> Any:
        names.append(name)
        begun.set()
        assert go_on.wait(10)
        return keep(folder, name, *more)

    monkeypatch.setattr(site.keeper._archive, "keep", slow)
    site.keeper.start()
    site.recorder.offer(step_of(0))
    for _ in range(3):
        site.recorder.snapshot()
    assert begun.wait(10)
    timer = threading.Timer(0.3, go_on.set)
    timer.start()
    site.keeper.close(0.1)
    timer.join()
    assert not site.keeper._thread.is_alive(), "a thread in OpenCV aborts the process that ends under it"
    assert len(names) == len(site.files()) == 1


def test_a_disk_that_cannot_be_written_is_said_once_and_harms_no_alarm(tmp_path, caplog):
    (tmp_path / "evidence").write_text("in the way")
    site = Site(tmp_path)
    site.keeper.start()
    site.leak()
    site.keeper.close(10)
    assert [event.type for event in site.events][:1] == ["start"]
    assert len(caplog.records) == 1
    assert "alarms go on without evidence" in caplog.text
    report = site.keeper.report()
    assert (report["kept"], report["lost"]) == (0, 4)
    assert "cannot write" in report["fault"]
    assert site.said == []


def test_the_evidence_of_an_open_leak_stays_until_it_is_over(tmp_path):
    site = Site(tmp_path, SETTINGS.model_copy(update={"max_bytes": 1_000_000}))
    site.keeper.start()
    site.leak(frames=20)
    open_leak = site.events[0]
    site.until(lambda: "overlay.jpg" in site.files())

    def fill(first: int) -> None:
        for index in range(first, first + 12):
            site.recorder.offer(
                step_of(index, image=np.random.default_rng(index).integers(0, 255, (480, 640), np.uint8))
            )
            site.recorder.snapshot()
            count = len(site.said)
            site.until(lambda: len(site.said) > count or site.keeper.report()["lost"])  # noqa: B023

    fill(1000)
    assert [path for path in site.root.glob("*/*") if path.name.endswith(open_leak.event_id)]
    site.recorder.leak_ended(open_leak)
    fill(2000)
    assert not [path for path in site.root.glob("*/*") if path.name.endswith(open_leak.event_id)]
    site.keeper.close(10)


def test_switched_off_it_leaves_nothing_and_an_event_has_no_hash(tmp_path):
    site = Site(tmp_path, SETTINGS.model_copy(update={"enabled": False}))
    site.keeper.start()
    site.leak()
    site.keeper.close(10)
    assert not site.root.exists()
    assert site.events[0].snapshot_sha256 is None


def test_messages_go_through_the_outbox_behind_the_events(broker, ear, tmp_path):
    publisher = Publisher(broker, "box", will=WILL)
    keeper = Keeper(
        "box", SETTINGS.model_copy(update={"path": tmp_path / "e", "publish": "snapshot"}), publisher.publish
    )
    recorder = Recorder("north", keeper)
    keeper.start()
    recorder.offer(step_of(0))
    recorder.snapshot()
    keeper.close(10)
    publisher.start()
    assert ear.message("evidence")["part"] == 1
    last = ear.until(lambda heard: [s for _, s in heard if s.get("part") and s["part"] == s["parts"]])[0]
    assert last["parts"] > 1
    publisher.close(STOPPED)
