"""The log of looks at SimGas: what a line says, and that the committed one can be read."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import simgas_log
from edge.errors import StorageError

METHOD = {
    "method": "student.int8",
    "backend": "openvino",
    "precision": "int8",
    "sha256": "ab" * 32,
    "threshold": 0.5,
    "certain": 0.9,
    "simgas": {
        "mean": dict.fromkeys(simgas_log.FIGURES, 0.75) | {"boundary_f": float("nan")},
        "gas_free_false": 0.01,
        "clips": {"simgasvid1": {"iou": 0.7312345678}},
    },
}


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit, its log in it."""
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("1")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "simgas_log.jsonl").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    return tmp_path


def test_a_line_says_who_looked_with_what_and_what_was_seen(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "log.jsonl"
    simgas_log.append(log, METHOD, "simgas", "/a/place/on/this/machine/mine.onnx", None)
    simgas_log.append(log, METHOD, "simgas", "student.int8", {"limit": 50, "every": 1})
    first, second = (json.loads(line) for line in log.read_text().splitlines())
    assert set(first) == {
        *(
            "utc",
            "commit",
            "model",
            "file",
            "sha256",
            "precision",
            "backend",
            "threshold",
            "certain",
            "set",
            "shortened",
            "motion",
        ),
        "figures",
    }
    assert (first["file"], first["sha256"], first["shortened"]) == ("mine.onnx", "ab" * 32, None)
    assert first["figures"]["iou"] == 0.75
    assert first["figures"]["boundary_f"] is None, "JSON knows no NaN"
    assert first["figures"]["iou_by_clip"] == {"simgasvid1": 0.731235}
    assert second["shortened"] == {"limit": 50, "every": 1}
    assert first["motion"] is None


@pytest.mark.parametrize("path", ["edge/models/student.int8.onnx", "./edge/../edge/models/student.int8.onnx"])
def test_a_model_of_the_checkout_is_named_by_its_place_there(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(simgas_log.ROOT)
    simgas_log.append(tmp_path / "log.jsonl", METHOD, "simgas", path, None)
    assert json.loads((tmp_path / "log.jsonl").read_text())["file"] == "edge/models/student.int8.onnx"


def test_a_changed_tree_is_marked_and_the_log_itself_is_no_change(checkout: Path) -> None:
    clean = simgas_log.commit(checkout)
    assert len(clean) == 12
    (checkout / "benchmarks" / "simgas_log.jsonl").write_text("{}\n")
    assert simgas_log.commit(checkout) == clean
    (checkout / "code.py").write_text("2")
    assert simgas_log.commit(checkout) == f"{clean}-dirty"


def test_code_that_is_not_in_the_commit_is_a_change(checkout: Path) -> None:
    clean = simgas_log.commit(checkout)
    (checkout / "new.py").write_text("3")
    assert simgas_log.commit(checkout) == f"{clean}-dirty"


def test_outside_a_checkout_the_commit_is_unknown(tmp_path: Path) -> None:
    assert simgas_log.commit(tmp_path) == "unknown"


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="SimGas was looked at and the log cannot be written"):
        simgas_log.append(tmp_path, METHOD, "simgas", "student.int8", None)


def test_the_committed_log_has_a_model_and_figures_in_every_line() -> None:
    log = Path(simgas_log.__file__).with_name("simgas_log.jsonl")
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert lines
    for line in lines:
        assert len(line["sha256"]) == 64
        assert line["shortened"] or 0 <= line["figures"]["iou"] <= 1
