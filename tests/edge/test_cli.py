"""The command line as a person meets it: help with examples, and every mistake in one line with its exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import capture, contract
from edge.broker import free_port
from tests.edge.calibrations import calibration
from tests.edge.fakes import write_clip

COMMANDS = ("segment", "calibrate", "run", "demo", "watch", "selftest", "doctor", "validate", "bench")


def fgstp(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def refused(code: int, *arguments: object, **options) -> str:
    """The one line with which the command line refuses."""
    done = fgstp(*arguments, **options)
    assert done.returncode == code, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("fgstp-edge: ")
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command):
    done = fgstp(command, "--help")
    assert done.returncode == 0
    assert f"example:\n  fgstp-edge {command}" in done.stdout


def test_help_is_instant_because_nothing_heavy_is_loaded():
    program = "import sys, edge.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"numpy", "cv2", "pydantic", "onnxruntime", "openvino", "rich", "paho", "yaml"}


@pytest.fixture
def clip(tmp_path) -> Path:
    return write_clip(tmp_path / "clip", 12)


@pytest.fixture
def video(tmp_path) -> Path:
    """A short video of 320x240."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15, (320, 240))
    rng = np.random.default_rng(1)
    for _ in range(60):
        writer.write(rng.integers(0, 255, (240, 320, 3), dtype=np.uint8))
    writer.release()
    return path


def test_a_missing_file_is_named(tmp_path):
    assert "absent.mp4" in refused(3, "segment", tmp_path / "absent.mp4", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_text_file_is_no_video(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video\n" * 100)
    assert "text.mp4" in refused(3, "segment", tmp_path / "text.mp4", "--out", tmp_path / "out")


def test_a_video_without_its_index_is_no_video(video, tmp_path):
    video.write_bytes(video.read_bytes()[:2000])
    assert "clip.mp4" in refused(3, "segment", video, "--out", tmp_path / "out")


def test_a_video_that_breaks_in_the_middle_keeps_what_came_before(video, tmp_path):
    broken = tmp_path / "broken.avi"
    writer = cv2.VideoWriter(str(broken), cv2.VideoWriter.fourcc(*"MJPG"), 15, (320, 240))
    with capture.open(str(video)) as frames:
        for frame in frames:
            writer.write(frame.image)
    writer.release()
    data = broken.read_bytes()
    broken.write_bytes(data[: len(data) // 2])
    line = refused(3, "segment", broken, "--out", tmp_path / "out", "--backend", "onnxruntime")
    kept = len(list((tmp_path / "out" / "masks").glob("*.png")))
    assert 10 <= kept < 60
    assert f"the {kept} frames before it are kept in" in line
    assert len((tmp_path / "out" / "summaries.jsonl").read_text().splitlines()) == kept


def test_a_picture_of_no_size_is_named(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "000000.png").write_bytes(b"")
    assert "000000.png" in refused(3, "segment", folder, "--fps", 15, "--out", tmp_path / "out")


def model_in(folder: Path, **changes) -> Path:
    """A copy of the shipped model with its ModelSpec changed."""
    spec, onnx = contract.load("student.int8")
    shutil.copy(onnx, folder)
    text = json.loads(spec.model_dump_json()) | changes
    (folder / "student.int8.json").write_text(json.dumps(text))
    return folder / onnx.name


def test_a_model_that_is_not_its_specs_is_named(clip, tmp_path):
    model = model_in(tmp_path, sha256="0" * 64)
    line = refused(4, "segment", clip, "--fps", 15, "--out", tmp_path / "out", "--model", model)
    assert "sha256" in line
    assert str(model) in line
    assert "sha256" in refused(4, "validate", model)


def test_a_state_that_the_spec_lacks_is_named(clip, tmp_path):
    states = json.loads(contract.load("student.int8")[0].model_dump_json())["states"]
    gone = sorted(states)[0]
    del states[gone]
    line = refused(
        4, "segment", clip, "--fps", 15, "--out", tmp_path / "out", "--model", model_in(tmp_path, states=states)
    )
    assert f"'{gone}'" in line


def test_an_unknown_key_is_named_with_line_and_suggestion(tmp_path):
    config = tmp_path / "site.yaml"
    config.write_text("device: a\ncameras:\n  - {name: n, source: x}\nalrm:\n  on_delay_s: 1\n")
    for command in (("run", "--config"), ("validate",)):
        line = refused(2, *command, config)
        assert line == f"fgstp-edge: {config}:4: alrm: unknown key; did you mean 'alarm'?"


def test_validate_names_every_mistake_a_line_each(tmp_path):
    config = tmp_path / "site.yaml"
    config.write_text("device: a\ncameras:\n  - {name: n}\nalrm: 1\n")
    done = fgstp("validate", config)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"fgstp-edge: {config}:3: cameras.0.source: this key is required",
        f"fgstp-edge: {config}:4: alrm: unknown key; did you mean 'alarm'?",
    ]


def test_validate_prints_the_schema_and_wants_a_file_otherwise():
    done = fgstp("validate", "--schema")
    assert done.returncode == 0
    assert "cameras" in json.loads(done.stdout)["properties"]
    assert "name a FILE" in refused(2, "validate")


def test_an_absent_broker_is_named(clip, tmp_path):
    port = free_port()
    assert f"127.0.0.1:{port}" in refused(5, "watch", "--host", "127.0.0.1", "--port", port)
    config = tmp_path / "site.yaml"
    config.write_text(
        f"device: a\nself_test: false\ncameras:\n  - {{name: n, source: '{clip}', fps: 15}}\n"
        f"model: {{backend: onnxruntime}}\nmqtt: {{host: 127.0.0.1, port: {port}, required_at_start: true}}\n"
    )
    done = fgstp("run", "--config", config)
    assert done.returncode == 5
    assert f"cannot reach the MQTT broker at 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("segment",), ("dance",), (), ("watch", "--port", "x"), ("segment", "a", "--out", "b", "--size", "big"),
     ("segment", "a", "--out", "b", "--fps", "0"), ("segment", "a", "--out", "b", "--fps", "nan"),
     ("segment", "a", "--out", "b", "--backend", "abacus"), ("segment", "a", "--out", "b", "--threads", "0")],
    ids=" ".join,
)  # fmt: skip
def test_a_command_line_that_makes_no_sense_is_refused_in_one_line(arguments):
    refused(2, *arguments)


def test_validate_tells_the_hash_of_a_good_configuration(tmp_path):
    config = tmp_path / "site.yaml"
    config.write_text("device: a\ncameras:\n  - {name: n, source: x}\n")
    done = fgstp("validate", config)
    assert done.returncode == 0
    assert "config hash" in done.stdout
    assert "valid" in done.stdout


def test_a_camera_file_that_does_not_fit_is_refused_in_one_line(clip, tmp_path):
    file, out = tmp_path / "camera.json", tmp_path / "out"
    command = ("segment", clip, "--fps", 15, "--out", out, "--backend", "onnxruntime", "--camera", file)
    assert "camera.json: cannot read the camera file" in refused(2, *command)
    file.write_text("{}")
    assert "camera.json: not a camera file: software" in refused(2, *command)
    calibration(size=(640, 512)).save(file)
    assert "made for pictures of 640x512, but the source gives 320x240" in refused(2, *command)
    calibration(model_sha256="f" * 64).save(file)
    assert "sha256 ffffffffffff…" in refused(2, *command)
    config = tmp_path / "site.yaml"
    config.write_text(f"device: a\ncameras:\n  - {{name: n, source: x, calibration: '{file}'}}\n")
    assert "sha256 ffffffffffff…" in refused(2, "validate", config)
    assert not out.exists()


def test_calibrate_writes_what_segment_takes(tmp_path):
    clip, file = write_clip(tmp_path / "clip", 180, plume_from=180), tmp_path / "camera.json"
    done = fgstp("calibrate", clip, "--fps", 15, "--out", file, "--backend", "onnxruntime")
    assert done.returncode == 0, done.stderr
    assert "false alarms  0 in 0.0033" in done.stdout
    assert "not shown: that takes 30 h without an alarm" in done.stdout
    done = fgstp("segment", clip, "--fps", 15, "--out", tmp_path / "out", "--backend", "onnxruntime", "--camera", file)
    assert done.returncode == 0, done.stderr


def test_calibrate_refuses_what_shows_nothing(clip, tmp_path):
    line = refused(3, "calibrate", clip, "--fps", 15, "--out", tmp_path / "c.json", "--backend", "onnxruntime")
    assert "s in which the view stands still and shows a scene" in line
    assert not (tmp_path / "c.json").exists()
    assert "give --minutes" in refused(2, "calibrate", "rtsp://camera", "--out", tmp_path / "c.json")


def test_doctor_finds_everything_here_and_misses_what_is_gone():
    done = fgstp("doctor")
    clock_is_off = "doubtful clock: NOT synchronised" in done.stdout  # no fault of ours
    assert done.returncode == (8 if clock_is_off else 0), done.stdout
    assert "missing" not in done.stdout
    program = "import sys; sys.modules['x'] = None\nfrom edge import contract, doctor\ncontract.shipped = list\n"
    gone = subprocess.run(
        [sys.executable, "-c", program + "sys.exit(doctor.doctor())"], capture_output=True, text=True, check=False
    )
    assert gone.returncode == 1
    assert "missing  no models" in gone.stdout


def test_a_reader_that_has_seen_enough_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m edge doctor | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_interrupting_is_130_and_termination_says_goodbye(broker, ear, clip, tmp_path):
    config = tmp_path / "site.yaml"
    config.write_text(
        f"device: box\nself_test: false\ncameras:\n  - {{name: n, source: '{clip}', fps: 15, repeat: pingpong}}\n"
        f"model: {{backend: onnxruntime}}\nmqtt: {{host: 127.0.0.1, port: {broker.port}}}\n"
    )
    # whoever starts the tests in the background has SIGINT ignored, and that is inherited
    command = ["env", "--default-signal=INT", sys.executable, "-m", "edge", "run", "--config", str(config)]
    for number, (how, code) in enumerate([(signal.SIGTERM, 0), (signal.SIGINT, 130)], 1):
        with subprocess.Popen(command, stderr=subprocess.PIPE) as run:
            ear.until(lambda heard, n=number: sum(s.get("state") == "online" for _, s in heard) >= n)
            ear.message("summary")
            time.sleep(0.2)
            run.send_signal(how)
            try:
                _, said = run.communicate(timeout=20)
            finally:
                run.kill()
        assert run.returncode == code, said
        assert b"Traceback" not in said
        ear.until(lambda heard, n=number: sum(s.get("reason") == "stopped" for _, s in heard) >= n)


def test_raw_frames_come_in_by_a_pipe(tmp_path):
    frames = np.random.default_rng(3).integers(60, 70, (5, 24, 32), dtype=np.uint8)
    command = [sys.executable, "-m", "edge", "segment", "-", "--size", "32x24", "--fps", "15", "--out", str(tmp_path)]
    done = subprocess.run(command, input=frames.tobytes(), capture_output=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    mask = cv2.imread(str(tmp_path / "masks" / "000004.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (24, 32)


@pytest.mark.slow
def test_the_demo_shows_an_alarm_and_leaves_pictures(a_broker, tmp_path):
    began = time.monotonic()
    done = fgstp("demo", "--out", tmp_path / "demo")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "leak start" in done.stdout
    assert time.monotonic() - began < 90
    assert cv2.imread(str(tmp_path / "demo" / "contact-sheet.png")).shape[1] > 600
    assert (tmp_path / "demo" / "overlay.mp4").stat().st_size > 10_000


def test_a_camera_that_draws_in_colours_or_16_bits_is_segmented_as_it_draws(clip, tmp_path):
    out = ("--out", tmp_path / "out", "--fps", 15, "--backend", "onnxruntime")
    done = fgstp("segment", clip, *out, "--palette", "ironbow", "--range", 100, 200)
    assert done.returncode == 0, done.stderr
    assert "palette 'irn': not known; known are iron, ironbow" in refused(2, "segment", clip, *out, "--palette", "irn")
    assert "--range 200 100: the first must be below" in refused(2, "calibrate", clip, *out, "--range", 200, 100)
