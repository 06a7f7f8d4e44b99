"""What `doctor` finds of a device and of what its configuration names, and how bad it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge import doctor, reach
from edge.broker import free_port
from edge.reach import Finding
from edge.uplink import MqttSettings
from tests.edge.fakes import write_clip


def write(folder: Path, port: int, source: Path, extra: str = "") -> Path:
    file = folder / "config.yaml"
    file.write_text(
        f"device: box\ncameras: [{{name: north, source: '{source}', fps: 15}}]\n"
        f"mqtt: {{host: 127.0.0.1, port: {port}{extra}}}\n"
    )
    return file


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip", 2)


def verdicts(file: Path) -> dict[str, str]:
    return {finding.what.split(":")[0].split(" /")[0]: finding.verdict for finding in reach.examine(file)}


def test_broker_camera_and_secret_are_tried(broker: MqttSettings, clip: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("word\n")
    secret.chmod(0o600)
    file = write(tmp_path, broker.port, clip, f", username: box, password_file: {secret}")
    found = [finding.what for finding in reach.examine(file)]
    assert set(verdicts(file).values()) == {"ok"}, found
    assert any(what.startswith("camera north: 320x240") for what in found), found
    secret.chmod(0o644)
    assert verdicts(file)["secret"] == "doubtful"
    secret.unlink()
    assert verdicts(file)["secret"] == "doubtful"


def test_what_is_not_reached_is_doubtful_and_says_why(tmp_path: Path) -> None:
    found = {finding.what: finding.verdict for finding in reach.examine(write(tmp_path, free_port(), tmp_path / "no"))}
    assert list(found.values()) == ["ok", "doubtful", "doubtful"]
    said = "\n".join(found)
    assert "cannot reach the MQTT broker" in said
    assert "no such file or folder" in said


def test_a_wrong_configuration_is_all_that_is_said_of_it(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("device: box\ncamera: []\n")
    found = list(reach.examine(file))
    assert {finding.verdict for finding in found} == {"missing"}
    assert any("did you mean 'cameras'" in finding.what for finding in found)


@pytest.mark.parametrize(
    ("findings", "worst", "code"),
    [
        (["ok", "note"], "note", 0),
        (["ok", "doubtful", "note"], "doubtful", 8),
        (["missing", "doubtful"], "missing", 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst(monkeypatch, capsys, findings, worst, code) -> None:
    monkeypatch.setattr(doctor, "examine", lambda *_: iter(Finding(verdict, "this") for verdict in findings))
    assert doctor.doctor(as_json=True) == code
    said = json.loads(capsys.readouterr().out)
    assert said == {"verdict": worst, "findings": [{"verdict": one, "what": "this"} for one in findings]}


def test_the_golden_clip_is_computed_on_every_runtime(monkeypatch) -> None:
    monkeypatch.setattr("edge.backend.available", lambda: ("onnxruntime", "nonsense"))
    right, wrong = doctor._compute()
    assert right.verdict == "ok"
    assert "golden clip on onnxruntime" in right.what
    assert "frames/s" in right.what
    assert wrong.verdict == "missing"
    assert "nonsense" in wrong.what
