"""The benchmark of masks and alarms, over a tiny footage folder with the layout of the real one."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import accuracy, printing, report
from benchmarks.evaluate import Method, Result, agreement, evaluate, run_all
from calibration import clips, result_file
from calibration.clips import Box, Boxes, Clip, MaskFiles
from edge import contract
from edge.errors import SourceError
from edge.rules import AlarmSettings

WIDTH, HEIGHT, FPS = 320, 240, 15.0
ONSET, FRAMES = 45, 110


def write(path: Path, pictures: list[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT), isColor=False)
    for picture in pictures:
        video.write(picture)
    video.release()


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two SimGas clips, a still view in which a warm block appears, stays and flickers, and two gas-free ones."""
    root = tmp_path_factory.mktemp("footage")
    random = np.random.default_rng(0)
    still = cv2.GaussianBlur(random.uniform(40, 160, (HEIGHT, WIDTH)), (31, 31), 0)
    for number in (1, 2):
        view, alpha = [], []
        for index in range(FRAMES):
            picture, plume = still + random.normal(0, 1.5, still.shape), np.zeros(still.shape, np.uint8)
            if index >= ONSET:
                plume[80:160, 100 * number : 100 * number + 80] = 200
                picture[plume > 0] += 35 + 2 * (7 * index % 9)  # gas is never still
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


def written(results: list[Result]) -> str:
    """The figures as a result file has them: sums may differ in their last digits from process to process."""
    return json.dumps(result_file.tidy(report.masks(results)))


def test_a_baseline_is_scored_through_pipeline_and_alarm(footage: Path) -> None:
    clip = clips.simgas(footage)[0]
    result = evaluate(clip, Method("mog2"))
    assert result.frames == FRAMES
    assert result.mask.iou > 0.85
    assert result.mask.gas_free == ONSET
    assert result.mask.false_share == 0
    (raised,) = result.alarms
    assert ONSET <= raised.since < ONSET + 5
    assert raised.frame == pytest.approx(raised.since + AlarmSettings().on_delay_s * FPS, abs=2)
    assert result.events.onset == ONSET
    assert result.events.time_to_alarm_s == pytest.approx((raised.frame - ONSET) / FPS)
    assert result.events.alarmed_share == pytest.approx((FRAMES - raised.frame) / (FRAMES - ONSET), abs=0.01)
    assert result.events.hours == pytest.approx(FRAMES / FPS / 3600)


def test_masks_that_are_sure_have_the_same_score_in_the_gas_papers_protocol(footage: Path) -> None:
    result = evaluate(clips.simgas(footage)[0], Method("mog2"))
    assert result.authors.frames == FRAMES - ONSET
    assert result.authors.j == pytest.approx(result.mask.j), (
        "a baseline knows yes and no, so there is nothing to spread"
    )
    assert result.saliency.gassy == FRAMES - ONSET
    assert result.saliency.frames == FRAMES
    assert result.saliency.s > 0.9
    assert result.saliency.mae < 0.02


def test_a_boxed_clip_is_scored_by_its_boxes_and_shows_gas_from_the_first_on(footage: Path) -> None:
    boxes = Boxes({index: Box(100, 80, 179, 159) for index in range(ONSET, FRAMES)})
    result = evaluate(Clip("clip", footage / "simgas" / "simgasvid1.mp4", boxes), Method("mog2"))
    assert result.boxes.frames == FRAMES - ONSET
    assert result.boxes.iou > 0.85
    assert result.boxes.inside_share > 0.9
    assert result.mask.frames == result.saliency.frames == 0
    assert result.events.onset == ONSET


def test_an_onset_that_is_known_comes_before_what_the_truth_says(footage: Path) -> None:
    first, _ = clips.simgas(footage)
    assert evaluate(replace(first, onset=30), Method("mog2")).events.onset == 30


def test_a_mask_of_another_size_is_named(footage: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((120, 160), np.uint8))
    clip = Clip("clip", footage / "simgas" / "simgasvid1.mp4", MaskFiles({0: tmp_path / "0.png"}))
    with pytest.raises(SourceError, match=r"simgasvid1\.mp4: frame 0 is 320x240, its mask 160x120"):
        evaluate(clip, Method("mog2"), limit=1)


def test_gas_free_clips_neither_light_up_nor_alarm(footage: Path) -> None:
    for clip in clips.thermal_background(footage, "val"):
        result = evaluate(clip, Method("mog2"))
        assert (result.frames, result.lit, result.alarms) == (60, 0, [])


def test_each_clip_starts_from_nothing(footage: Path) -> None:
    one, two = clips.simgas(footage)
    alone = evaluate(two, Method("student.int8", "onnxruntime"), limit=20)
    evaluate(one, Method("student.int8", "onnxruntime"), limit=20)
    again = evaluate(two, Method("student.int8", "onnxruntime"), limit=20)
    assert written([again]) == written([alone])


def test_processes_give_what_one_process_gives(footage: Path) -> None:
    work = [(evaluate, clip, Method("mog2"), 60) for clip in clips.simgas(footage)]
    assert written(list(run_all(work, jobs=2))) == written(list(run_all(work, jobs=1)))


def test_agreement_is_the_iou_of_two_methods_masks(footage: Path) -> None:
    clip = clips.simgas(footage)[0]
    assert agreement(clip, Method("mog2"), Method("mog2"), 60).mask.iou == 1.0
    other = agreement(clip, Method("mog2"), Method("farneback_flow"), 60).mask
    assert other.union > 0
    assert other.iou < 0.9


def test_the_command_prints_every_clip_and_writes_all_figures(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, log = tmp_path / "accuracy.json", tmp_path / "log.jsonl"
    options = ["--data", str(footage), "--only", "simgas", "--only", "background", "--jobs", "1", "--limit", "50"]
    options += ["--backend", "onnxruntime", "--baselines", "--json", str(file), "--simgas-log", str(log)]
    assert accuracy.main(options) == 0
    said = capsys.readouterr().out
    for word in (
        "student.int8 on onnxruntime",
        "mog2",
        "lagged_difference",
        "farneback_flow",
        "simgasvid1",
        "simgasvid2",
        "authors' protocol",
        "false alarms an hour, at most",
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
    assert mog2["background"]["alarms_per_hour_at_most"] == pytest.approx(2.9957 / (100 / FPS / 3600), rel=1e-3)
    assert "god" not in mog2
    assert [one["method"] for one in written["paired"]] == ["mog2", "lagged_difference", "farneback_flow"]
    (line,) = log.read_text().splitlines()
    logged = json.loads(line)
    assert (logged["model"], logged["sha256"], logged["set"]) == ("student.int8", student["sha256"], "simgas")
    assert logged["shortened"] == {"limit": 50, "every": 1}
    assert logged["figures"]["iou_by_clip"] == {name: clip["iou"] for name, clip in student["simgas"]["clips"].items()}


def test_every_student_that_looks_at_simgas_leaves_a_line_and_no_baseline_does(footage: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    options = ["--jobs", "1", "--limit", "3", "--backend", "onnxruntime", "--simgas-log", str(log)]
    simgas = [*options, "--set", f"simgas={footage / 'simgas'}"]
    assert accuracy.main([*simgas, "--model", "student.int8", "--model", "student.fp32", "--baselines"]) == 0
    assert accuracy.main([*simgas, "--every", "2"]) == 0
    assert accuracy.main([*options, "--data", str(footage), "--only", "background"]) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["model"], line["set"], len(line["figures"]["iou_by_clip"])) for line in lines] == [
        ("student.int8", "simgas:all", 2),
        ("student.fp32", "simgas:all", 2),
        ("student.int8", "simgas:all", 1),
    ]


def test_a_log_that_cannot_be_written_stops_the_run(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(footage), "--only", "simgas", "--jobs", "1", "--limit", "3", "--backend", "onnxruntime"]
    assert accuracy.main([*options, "--simgas-log", str(tmp_path)]) == 6
    assert "the log cannot be written" in capsys.readouterr().err


def test_a_folder_of_ones_own_is_scored_by_name(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, file = clips.simgas(footage)[0], tmp_path / "out.json"
    for frame in clip.frames():
        for kind, picture in (("frames", frame.image), ("masks", clip.truth.at(frame.index) * np.uint8(255))):
            (tmp_path / "mine" / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "mine" / kind / f"{frame.index}.png"), picture)
    options = ["--set", f"folder={tmp_path / 'mine'}", "--jobs", "1", "--json", str(file)]
    assert accuracy.main([*options, "--backend", "onnxruntime", "--limit", "60", "--baselines"]) == 0
    student, mog2, *_ = json.loads(file.read_text())["methods"]
    assert set(mog2["folder:all"]["clips"]) == {"mine"}
    assert mog2["folder:all"]["mean"]["iou"] > 0.8
    assert "simgas" not in student
    assert "folder:all" in capsys.readouterr().out


def test_the_same_clips_are_scored_held_and_moving(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, log = tmp_path / "out.json", tmp_path / "log.jsonl"
    options = ["--data", str(footage), "--only", "simgas", "--jobs", "1", "--backend", "onnxruntime", "--baselines"]
    options += ["--motion", "still", "--motion", "pan", "--motion-seed", "5", "--every", "2", "--limit", "60"]
    assert accuracy.main([*options, "--json", str(file), "--simgas-log", str(log)]) == 0
    written = json.loads(file.read_text())
    assert written["motion"]["seed"] == 5
    assert written["motion"]["window"] == 0.7
    assert written["motion"]["flights"]["pan"]["pan"] == 2.0
    student, mog2, *_ = written["methods"]
    still, pan = (mog2[f"simgas@{motion}"]["mean"]["iou"] for motion in ("still", "pan"))
    assert still > 0.8
    assert pan != still
    falls = {(row["method"], row["motion"]): row for row in written["falls"]}
    assert falls["mog2", "pan"]["fall_points"] == pytest.approx(100 * (still - pan), abs=0.01)
    assert falls["mog2", "still"]["fall_points"] == 0
    assert falls["student.int8 onnxruntime", "pan"]["score"] == student["simgas@pan"]["mean"]["iou"]
    assert "points lost" in capsys.readouterr().out
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["set"], line["motion"]) for line in lines] == [
        ("simgas@still", {"kind": "still", "seed": 5}),
        ("simgas@pan", {"kind": "pan", "seed": 5}),
    ]


def test_a_set_of_parts_says_what_each_has_of_it(footage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    still, moved = clips.thermal_background(footage, "val")
    work = [(evaluate, replace(clip, name=f"{part}/{clip.name}"), Method("mog2"), frames)
            for part, clip, frames in (("held", still, 60), ("moved", moved, 20))]  # fmt: skip
    figures = report.gas_free(list(run_all(work, jobs=1)))
    assert {name: part["share"] for name, part in figures["parts"].items()} == pytest.approx(
        {"held": 0.75, "moved": 0.25}
    )
    assert sum(part["frames"] for part in figures["parts"].values()) == figures["frames"] == 80
    printing.print_report("flights", "gas_free", figures)
    assert "held" in capsys.readouterr().out


def test_one_name_stands_for_one_set(footage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = f"simgas={footage / 'simgas'}"
    assert accuracy.main(["--set", wanted, "--set", wanted]) == 2
    assert "simgas:all is named twice" in capsys.readouterr().err


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
