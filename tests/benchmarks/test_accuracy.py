"""The benchmark of masks and alarms, over a tiny footage folder with the layout of the real one."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.evaluate import Method, agreement, evaluate, run_all
from calibration import clips
from edge import contract

WIDTH, HEIGHT, FPS = 320, 240, 15.0
ONSET, FRAMES = 45, 90


def write(path: Path, pictures: list[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT), isColor=False)
    for picture in pictures:
        video.write(picture)
    video.release()


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two SimGas clips and two gas-free ones: a still view, and in the former a warm block that appears and stays."""
    root = tmp_path_factory.mktemp("footage")
    random = np.random.default_rng(0)
    still = cv2.GaussianBlur(random.uniform(40, 160, (HEIGHT, WIDTH)), (31, 31), 0)
    for number in (1, 2):
        view, alpha = [], []
        for index in range(FRAMES):
            picture, plume = still + random.normal(0, 1.5, still.shape), np.zeros(still.shape, np.uint8)
            if index >= ONSET:
                plume[80:160, 100 * number : 100 * number + 80] = 200
                picture[plume > 0] += 35
            view.append(picture.clip(0, 255).astype(np.uint8))
            alpha.append(plume)
        write(root / "simgas" / f"simgasvid{number}.mp4", view)
        write(root / "simgas" / f"smoke_only{number}.mp4", alpha)
    lines = ["file,width,height,frames,fps,max_shift_px_per_s,scene,split"]
    for name in ("a", "b"):
        noisy = [(still + random.normal(0, 1.5, still.shape)).clip(0, 255).astype(np.uint8) for _ in range(60)]
        write(root / "thermal_background" / f"{name}.mp4", noisy)
        lines.append(f"{name}.mp4,{WIDTH},{HEIGHT},60,15,0,s,val")
    (root / "thermal_background" / "index.csv").write_text("\n".join(lines))
    return root


def test_a_baseline_is_scored_through_pipeline_and_alarm(footage: Path) -> None:
    clip = clips.simgas(footage)[0]
    result = evaluate(clip, Method("mog2"))
    assert result.frames == FRAMES
    assert result.mask.iou > 0.85
    assert result.mask.gas_free == ONSET
    assert result.mask.false_share == 0
    (raised,) = result.alarms
    assert ONSET <= raised.since < ONSET + 5
    on_delay = 1.5
    assert raised.frame == pytest.approx(raised.since + on_delay * FPS, abs=2)


def test_gas_free_clips_neither_light_up_nor_alarm(footage: Path) -> None:
    for clip in clips.thermal_background(footage, "val"):
        result = evaluate(clip, Method("mog2"))
        assert (result.frames, result.lit, result.alarms) == (60, 0, [])


def test_each_clip_starts_from_nothing(footage: Path) -> None:
    one, two = clips.simgas(footage)
    alone = evaluate(two, Method("student.int8", "onnxruntime"), limit=20)
    evaluate(one, Method("student.int8", "onnxruntime"), limit=20)
    assert evaluate(two, Method("student.int8", "onnxruntime"), limit=20) == alone


def test_processes_give_what_one_process_gives(footage: Path) -> None:
    work = [(evaluate, clip, Method("mog2"), 60) for clip in clips.simgas(footage)]
    assert list(run_all(work, jobs=2)) == list(run_all(work, jobs=1))


def test_agreement_is_the_iou_of_two_methods_masks(footage: Path) -> None:
    clip = clips.simgas(footage)[0]
    assert agreement(clip, Method("mog2"), Method("mog2"), 60).mask.iou == 1.0
    other = agreement(clip, Method("mog2"), Method("farneback_flow"), 60).mask
    assert other.union > 0
    assert other.iou < 0.9


def test_the_command_prints_every_clip_and_writes_all_figures(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "accuracy.json"
    options = ["--data", str(footage), "--only", "simgas", "--only", "background", "--jobs", "1", "--limit", "50"]
    assert accuracy.main([*options, "--backend", "onnxruntime", "--baselines", "--json", str(file)]) == 0
    said = capsys.readouterr().out
    for word in (
        "student.int8 on onnxruntime",
        "mog2",
        "lagged_difference",
        "farneback_flow",
        "simgasvid1",
        "simgasvid2",
    ):
        assert word in said
    _, _, _, *rows = said.split("all methods")[1].splitlines()
    assert [row.split()[0] for row in rows[:4]] == ["student.int8", "mog2", "lagged_difference", "farneback_flow"]
    written = json.loads(file.read_text())
    student, mog2, *_ = written["methods"]
    assert student["sha256"] == contract.load("student.int8")[0].sha256
    assert student["threshold"] == contract.load("student.int8")[0].threshold
    assert written["shortened"] == {"limit": 50, "every": 1}
    assert set(mog2["simgas"]["clips"]) == {"simgasvid1", "simgasvid2"}
    assert mog2["simgas"]["mean"]["iou"] > 0.8
    assert mog2["background"]["alarms"] == 0
    assert "god" not in mog2


def test_absent_footage_is_one_line_and_the_exit_code_of_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy.main(["--data", str(tmp_path), "--only", "simgas"]) == 3
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "no such footage; --data (or FGSTP_DATA) must name the folder above it" in said[0]


def test_an_unknown_model_is_one_line_and_the_exit_code_of_a_model(
    footage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy.main(["--data", str(footage), "--only", "simgas", "--model", "teacher.fp99"]) == 4
    assert "teacher.fp99" in capsys.readouterr().err
