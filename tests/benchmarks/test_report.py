"""From results to figures: what is averaged over clips, and what is summed over frames."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import machine, report
from benchmarks.evaluate import Method, Result, Started, total
from benchmarks.table import show
from calibration.clips import Box

PLUME = np.zeros((40, 40), bool)
PLUME[10:20, 10:20] = True
NOTHING = np.zeros((40, 40), bool)
METHOD = Method("mog2")


def result(name: str, *pairs: tuple[np.ndarray, np.ndarray]) -> Result:
    """A clip whose frames gave these masks for these truths."""
    made = Result(METHOD, name, frames=len(pairs))
    for mask, truth in pairs:
        made.mask.add(mask, truth)
        made.boundary.add(mask, truth)
    return made


def test_clips_count_alike_in_the_mean_and_frames_alike_in_the_gas_free_share() -> None:
    good = result("good", (PLUME, PLUME), (NOTHING, NOTHING), (NOTHING, NOTHING), (NOTHING, NOTHING))
    bad = result("bad", (NOTHING, PLUME), (PLUME, NOTHING))
    figures = report.masks([good, bad])
    assert figures["clips"]["good"]["iou"] == 1.0
    assert figures["clips"]["bad"]["iou"] == 0.0
    assert figures["mean"]["iou"] == 0.5
    assert figures["mean"]["gas_free_false"] == 0.5
    assert figures["gas_free_false"] == 0.25


def test_a_clip_without_gas_free_frames_does_not_enter_their_mean() -> None:
    figures = report.masks([result("all gas", (PLUME, PLUME)), result("both", (PLUME, PLUME), (PLUME, NOTHING))])
    assert math.isnan(figures["clips"]["all gas"]["gas_free_false"])
    assert figures["mean"]["gas_free_false"] == 1.0


def test_pixel_sums_of_clips_add_up() -> None:
    whole = total([result("one", (PLUME, PLUME)), result("two", (NOTHING, PLUME), (PLUME, PLUME))])
    assert (whole.intersection, whole.union, whole.frames, whole.gassy, whole.found) == (200, 300, 3, 3, 2)
    assert whole.j == pytest.approx(2 / 3)


def test_gas_free_clips_count_alarms_and_lit_frames() -> None:
    dark, lit = Result(METHOD, "dark", frames=100), Result(METHOD, "lit", frames=300, lit=40)
    lit.alarms = [Started(50, 20, 300), Started(200, 180, 90)]
    figures = report.gas_free([dark, lit])
    assert (figures["count"], figures["alarms"], figures["clips_with_alarms"]) == (2, 2, 1)
    assert figures["lit"] == pytest.approx(0.1)
    assert figures["clips"]["lit"]["alarms"][0] == {"frame": 50, "since": 20, "area_px": 300}


def test_box_clips_say_how_much_lands_inside() -> None:
    made = Result(METHOD, "god_1", frames=1)
    made.boxes.add(PLUME, Box(10, 10, 14, 19))
    figures = report.boxes([made])["clips"]["god_1"]
    assert (figures["inside"], figures["touched"]) == (0.5, 1.0)


@pytest.mark.parametrize("name", sorted(report.REPORTS))
def test_every_set_prints_its_clips(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = result("clip_7", (PLUME, PLUME), (PLUME, NOTHING))
    made.lit = 2
    made.alarms = [Started(31, 5, 100)]
    made.boxes.add(PLUME, Box(0, 0, 39, 39))
    report.print_report(name, report.REPORTS[name]([made]))
    assert "clip_7" in capsys.readouterr().out


def test_result_files_are_json_with_null_for_what_was_not_measured(tmp_path: Path) -> None:
    machine.write(tmp_path / "deep" / "r.json", machine.header("test") | {"a": float("nan"), "b": (1 / 3, 2)})
    read = json.loads((tmp_path / "deep" / "r.json").read_text())
    assert read["a"] is None
    assert read["b"] == [0.333333, 2]
    assert read["machine"]["cores"] >= 1
    assert read["machine"]["runtimes"]["numpy"] == np.__version__


def test_tables_line_up() -> None:
    assert show(["clip", "IoU"], [["a", 0.5], ["longer", float("nan")]]).splitlines() == [
        "clip      IoU",
        "------  -----",
        "a       0.500",
        "longer      -",
    ]
