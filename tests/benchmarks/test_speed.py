"""Time is taken at the doors between the pipeline's parts, and adds up."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import speed
from benchmarks.stages import STAGES, Bench, Handed, decode, measure
from edge.records import Frame

PICTURES = [np.full((240, 320), level, np.uint8) + np.eye(240, 320, dtype=np.uint8) * level for level in (60, 61, 62)]


def test_a_clip_is_played_forwards_and_backwards_and_time_goes_on() -> None:
    frames = iter(Handed(PICTURES, 10.0))
    played = [next(frames) for _ in range(7)]
    assert [int(frame.image[0, 1]) for frame in played] == [60, 61, 62, 61, 60, 61, 62]
    assert [frame.captured for frame in played] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_stages_add_up_to_the_whole() -> None:
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (240, 320), np.uint8) for _ in range(4)]
    taken, _ = measure(Bench("student.int8", "onnxruntime", pictures, 15.0), frames=12, burn_in=3)
    assert set(taken) == set(STAGES) - {"decode"}
    assert all(len(times) == 12 for times in taken.values())
    assert all(time > 0 for times in taken.values() for time in times)
    parts = [sum(taken[stage]) for stage in ("preprocess", "inference", "mask", "summary")]
    assert sum(parts) == pytest.approx(sum(taken["end_to_end"]), rel=0.05)


def test_decoding_is_timed_for_each_picture_and_stops_when_there_are_enough() -> None:
    source = [Frame(picture, index, 0.0, 0.0) for index, picture in enumerate(PICTURES)]
    images, taken = decode(source, 2)
    assert (len(images), len(taken)) == (2, 2)
    assert len(decode(source, 99)[0]) == 3


def test_the_hosts_share_is_all_but_the_inference() -> None:
    one = speed.Combination("native", "student.int8", "onnxruntime", rounds=[8.0, 10.0])
    one.stages |= {stage: [1.0] for stage in STAGES} | {"inference": [8.0, 8.0], "end_to_end": [10.0, 10.0]}
    figures = one.figures()
    assert figures["host_share"] == pytest.approx(0.2)
    assert figures["fps"] == pytest.approx(100)
    assert figures["fps_best_round"] == pytest.approx(125)


def test_int8_is_compared_with_the_faster_fp32_in_the_same_place() -> None:
    int8 = speed.Combination("native", "a.int8", "onnxruntime", rounds=[5.0, 10.0, 5.0])
    slow = speed.Combination("native", "a.fp32", "onnxruntime", rounds=[20.0, 20.0, 20.0])
    fast = speed.Combination("native", "a.fp32", "openvino", rounds=[10.0, 20.0, 8.0])
    elsewhere = speed.Combination("avx2", "a.fp32", "openvino", rounds=[1.0, 1.0, 1.0])
    assert speed.against_fp32(int8, [int8, slow, fast, elsewhere]) == pytest.approx(2.0)
    assert speed.against_fp32(fast, [int8, slow, fast]) is None
    assert speed.against_fp32(int8, [int8, elsewhere]) is None


def test_threads_and_sizes_are_tried_alone_unless_all_are_asked_for() -> None:
    options = argparse.Namespace(
        isa=["avx2", "native"], model=["a", "b"], backend=["x"], threads=[1, 2], source_size=["s", "m", "l"], full=False
    )
    made = [(one.isa, one.model, one.threads, one.source) for one in speed.plan(options)]
    assert len(made) == 4 + 3
    assert made[4:] == [("avx2", "a", 2, "s"), ("avx2", "a", 1, "m"), ("avx2", "a", 1, "l")]
    options.full = True
    assert len(speed.plan(options)) == 2 * 2 * 2 * 3


def test_a_pipeline_in_steady_state_leaves_nothing_behind() -> None:
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (240, 320), np.uint8) for _ in range(4)]
    bench = Bench("student.int8", "onnxruntime", pictures, 15.0)
    bench.run(10)
    assert bench.growth(10)["python_bytes_per_frame"] < 2000


def test_the_command_measures_in_turns_and_writes_all_figures(
    tmp_path: Path, footage_video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "speed.json"
    options = ["--isa", "native", "--model", "student.int8", "--rounds", "2", "--frames", "5", "--burn-in", "2"]
    options += ["--threads", "1", "--source-size", "320x240", "--growth", "0"]
    backends = ["--backend", "onnxruntime", "--backend", "openvino"]
    assert speed.main([*options, *backends, "--source", str(footage_video), "--json", str(file)]) == 0
    written = json.loads(file.read_text())
    first, second = written["results"]
    assert (first["backend"], second["backend"]) == ("onnxruntime", "openvino")
    assert first["speed_against_first"] == 1
    assert first["frames"] == 10
    assert first["size"] == [320, 240]
    assert first["isa_in_force"]["limited_by"] == "nothing"
    assert (first["threads"], first["weights"]) == (1, "trained")
    assert 0 < first["first_mask_s"] < 60
    assert set(first["stages_ms"]) == set(STAGES)
    assert first["stages_ms"]["decode"]["p50"] > 0
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["round 1/2"] * 2 + [
        "round 2/2"
    ] * 2


def test_a_measurement_that_fails_says_why(footage_video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--isa", "native", "--backend", "onnxruntime", "--source", str(footage_video)]
    assert speed.main([*options, "--model", "teacher.fp99"]) != 0
    assert "teacher.fp99 on onnxruntime" in capsys.readouterr().err
