"""The self-test passes on the golden masks, and fails loudly on anything else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge import contract, selftest
from edge.errors import SelfTestError
from edge.records import Array
from edge.segmenter import open_segmenter
from tests.edge import models, scenes


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(models.shipped_like(tmp_path))


@pytest.fixture
def clip() -> selftest.Clip:
    view = scenes.scene(0, 96, 130)
    frames = []
    for i in range(20):
        seen = view.copy()
        seen[30:60, 40 + i : 80 + i] += 60 * (i >= 8)
        frames.append(scenes.shot(np.clip(seen, 0, 255), i))
    return selftest.Clip(np.stack(frames), 15.0)


@pytest.fixture
def truth(model: str, clip: selftest.Clip) -> Array:
    return selftest.masks(open_segmenter(model, "onnxruntime"), clip)


@pytest.fixture
def golden(tmp_path: Path, model: str, clip: selftest.Clip, truth: Array) -> Path:
    folder = tmp_path / "golden"
    selftest.write(folder, clip, {model: truth})
    return folder


def test_the_golden_masks_are_met_on_every_backend(
    model: str, golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert selftest.main(model, "auto", 1, golden) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.startswith("ok ") for line in lines)


def test_the_clip_and_the_masks_come_back_as_written(golden: Path, clip: selftest.Clip, model: str) -> None:
    found = selftest.golden(golden)
    np.testing.assert_array_equal(found.frames, clip.frames)
    assert found.fps == 15.0
    result = selftest.check(model, "onnxruntime", folder=golden)
    assert result == selftest.Result("tiny", "onnxruntime", 1.0, 0.99)


@pytest.mark.parametrize("drift", ["shifted", "thinner", "one frame empty", "one frame full", "nothing"])
def test_drift_fails_loudly(
    drift: str, tmp_path: Path, model: str, clip: selftest.Clip, truth: Array, capsys: pytest.CaptureFixture[str]
) -> None:
    other = truth.copy()
    if drift == "shifted":
        other = np.roll(truth, 1, axis=2)
    elif drift == "thinner":
        other[:, ::16] = False
    elif drift == "one frame empty":
        other[12] = False
    elif drift == "one frame full":
        other[2] = True
    selftest.write(tmp_path / "golden", clip, {model: other})
    if drift == "nothing":
        selftest.check(model, "onnxruntime", folder=tmp_path / "golden")
        return
    with pytest.raises(SelfTestError, match="IoU with the golden masks is 0"):
        selftest.check(model, "onnxruntime", folder=tmp_path / "golden")
    assert selftest.main(model, "onnxruntime", 1, tmp_path / "golden") == SelfTestError.exit_code == 7
    assert capsys.readouterr().out.startswith("FAILED  tiny on onnxruntime")


def test_a_model_may_be_allowed_more(tmp_path: Path, model: str, clip: selftest.Clip, truth: Array) -> None:
    selftest.write(tmp_path / "golden", clip, {model: np.roll(truth, 1, axis=2)}, {model: 0.9})
    assert 0.9 < selftest.check(model, "onnxruntime", folder=tmp_path / "golden").iou < 0.99


def test_a_model_without_golden_masks_is_refused(golden: Path, model: str) -> None:
    index = json.loads((golden / "golden.json").read_text())
    index["models"]["tiny"]["model_sha256"] = "0" * 64
    (golden / "golden.json").write_text(json.dumps(index))
    with pytest.raises(SelfTestError, match="is not the file that the golden masks were made for"):
        selftest.check(model, "onnxruntime", folder=golden)
    index["models"] = {}
    (golden / "golden.json").write_text(json.dumps(index))
    with pytest.raises(SelfTestError, match="has no golden masks"):
        selftest.check(model, "onnxruntime", folder=golden)


@pytest.mark.parametrize("file", ["golden.json", "clip.npz", "tiny.npz"])
@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_damaged_golden_files_are_refused(file: str, damage: str, golden: Path, model: str) -> None:
    path = golden / file
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[:40])
    elif damage == "other":
        path.write_bytes(b"[]")
    with pytest.raises(SelfTestError, match=f"{file}.*install the package again") as caught:
        selftest.check(model, "onnxruntime", folder=golden)
    assert "\n" not in str(caught.value)


def test_golden_masks_that_would_hide_a_drift_are_not_written(
    tmp_path: Path, model: str, clip: selftest.Clip, truth: Array
) -> None:
    for useless in (np.zeros_like(truth), truth[:5]):
        with pytest.raises(SelfTestError, match="a clip with gas is needed"):
            selftest.write(tmp_path / "golden", clip, {model: useless})


def test_frames_empty_in_both_do_not_count() -> None:
    a = np.zeros((3, 4, 4), bool)
    b = a.copy()
    a[1, :2] = b[1, :] = True
    assert selftest.mean_iou(a, b) == 0.5


@pytest.mark.parametrize("model", contract.shipped())
def test_the_shipped_models_give_their_golden_masks(model: str) -> None:
    if not (selftest.GOLDEN / "golden.json").exists():
        pytest.skip("no golden clip in this checkout; quantize/export.py writes it")
    assert selftest.main(model) == 0
