"""Which model for which box: the front, the advice, and what leaving frames out means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import pareto_plot, tradeoff
from benchmarks.tradeoff import Sparing, Strided
from edge.errors import ConfigError
from edge.records import Frame


def row(name: str, iou: float, fps: float, stride: int = 1, pareto: bool = True) -> dict[str, Any]:
    return {
        "model": name, "backend": "openvino", "input": (320, 240), "stride": stride,
        "iou": iou, "fps": fps, "pod90_cnr": None, "mb": 0.2, "pareto": pareto,
    }  # fmt: skip


ROWS = [row("good", 0.8, 50), row("good", 0.75, 100, 2), row("quick", 0.6, 200), row("bad", 0.5, 40, pareto=False)]


def test_what_something_beats_in_both_is_not_on_the_front() -> None:
    front = [one["model"] for one in ROWS if not any(tradeoff.better(other, one) for other in ROWS)]
    assert front == ["good", "good", "quick"]
    assert not tradeoff.better(ROWS[0], ROWS[0])


@pytest.mark.parametrize(
    ("fps", "cameras", "cores", "model", "stride"),
    [(15, 4, 2, "good", 1), (25, 4, 1, "good", 2), (25, 8, 1, "quick", 1), (25, 2, 1, "good", 1)],
)
def test_the_best_that_the_box_has_time_for_is_recommended(fps, cameras, cores, model, stride) -> None:
    one = tradeoff.recommend(ROWS, fps, cameras, cores)
    assert (one["model"], one["stride"]) == (model, stride)


def test_a_box_that_is_too_small_is_told_so() -> None:
    with pytest.raises(ConfigError, match="fastest model gives 200"):
        tradeoff.recommend(ROWS, 30, 16, 2)


def test_frames_between_keep_the_mask_and_are_not_computed() -> None:
    opened = Strided("student.int8", "onnxruntime", 3).open()
    assert isinstance(opened, Sparing)
    picture = np.random.default_rng(0).integers(90, 110, (240, 320), np.uint8)
    steps = [opened.step(Frame(picture + np.uint8(i), i, i / 15, i / 15)) for i in range(7)]
    assert [step.frame.index for step in steps] == list(range(7))
    assert [step.logits is steps[0].logits for step in steps] == [True] * 3 + [False] * 4
    opened.reset()
    assert opened.step(steps[0].frame).logits is not steps[-1].logits


def test_the_contrast_found_is_that_of_the_same_model(tmp_path: Path) -> None:
    curves = [
        {"motion": motion, "size": size, "points": {"90": [value, 1.0, 9.0]}}
        for motion, size, value in (("still", 0.002, 9.0), ("shake", 0.05, 8.0), ("still", 0.05, 2.5))
    ]
    file = tmp_path / "detection.json"
    file.write_text(json.dumps({"sha256": "ours", "curves": curves}))
    assert tradeoff.contrast("ours", [tmp_path / "none.json", file]) == 2.5
    assert tradeoff.contrast("another", [file]) is None


def test_a_result_is_enough_for_table_plot_and_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, plot = tmp_path / "tradeoff.json", tmp_path / "tradeoff.png"
    file.write_text(json.dumps({"results": ROWS}))
    budget = ["--min-fps", "15", "--cameras", "4", "--cores", "2"]
    assert tradeoff.main(["--results", str(file), "--plot", str(plot), *budget]) == 0
    said = capsys.readouterr().out
    assert "take good on openvino, 320x240, every 1. frame: IoU 0.800, 50 frames/s a core" in said
    assert plot.read_bytes().startswith(b"\x89PNG")
    pareto_plot.draw(ROWS[:1], plot)
