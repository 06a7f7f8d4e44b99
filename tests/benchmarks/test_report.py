"""From results to figures: what is averaged over clips, and what is summed over frames."""

import math

import numpy as np
import pytest

from benchmarks import report
from benchmarks.evaluate import Method, Result, total
from benchmarks.events import Started
from benchmarks.printing import print_comparison, print_report, span
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
        made.saliency.add(mask.astype(np.float32), truth)
        made.authors.add(mask, truth)
        made.authors_saliency.add(mask.astype(np.float32), truth)
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


def test_every_mean_has_its_interval_over_clips() -> None:
    good, bad = result("good", (PLUME, PLUME), (NOTHING, NOTHING)), result("bad", (NOTHING, PLUME), (PLUME, NOTHING))
    figures = report.masks([good, bad])
    assert set(figures["interval95"]) == set(figures["mean"]) == {*report.MASK, *report.MAPS}
    assert figures["interval95"]["iou"] == pytest.approx((0.0, 1.0))
    assert figures["gas_free_false_interval95"] == pytest.approx((0.0, 1.0))
    assert all(math.isnan(end) for end in report.masks([good])["interval95"]["iou"])


def test_frames_of_all_clips_are_pooled_beside_the_means() -> None:
    figures = report.masks([result("one", (PLUME, PLUME)), result("two", (NOTHING, PLUME), (PLUME, PLUME))])
    assert figures["mean"]["iou"] == pytest.approx((1.0 + 0.5) / 2)
    assert figures["pooled"]["iou"] == pytest.approx(200 / 300)


def test_the_gas_papers_protocol_stands_apart_and_passes_over_empty_frames() -> None:
    figures = report.masks([result("clip", (PLUME, PLUME), (PLUME, NOTHING), (PLUME, NOTHING))])
    authors = figures["authors"]
    assert (authors["clips"]["clip"]["frames"], authors["mean"]["j"], authors["mean"]["mae"]) == (1, 1.0, 0.0)
    assert figures["mean"]["mae"] == pytest.approx(2 / 3 * 100 / 1600)
    assert "passed over" in authors["protocol"]


def test_empty_frames_lit_by_30_px_are_counted_apart() -> None:
    made = result("clip", (PLUME, NOTHING), (NOTHING, NOTHING))
    made.lit_free = 1
    figures = report.masks([made])
    assert figures["gas_free_lit"] == 0.5
    assert (figures["clips"]["clip"]["gas_free"], figures["clips"]["clip"]["gas_free_lit"]) == (2, 1)


def test_gas_free_clips_count_alarms_and_lit_frames() -> None:
    dark, lit = Result(METHOD, "dark", frames=100), Result(METHOD, "lit", frames=300, lit=40)
    lit.events.alarms = [Started(50, 20, 300, at_s=5.0, until=80), Started(200, 180, 90)]
    figures = report.gas_free([dark, lit])
    assert (figures["count"], figures["alarms"], figures["clips_with_alarms"]) == (2, 2, 1)
    assert figures["lit"] == pytest.approx(0.1)
    assert figures["clips"]["lit"]["alarms"][0] == {"frame": 50, "since": 20, "area_px": 300, "at_s": 5.0, "until": 80}


@pytest.mark.parametrize(("alarms", "most"), [(0, 2.9957), (2, 7.2247)])
def test_false_alarms_are_a_rate_with_a_bound(alarms: int, most: float) -> None:
    made = Result(METHOD, "clip", frames=1801)
    made.events.frames, made.events.first_s, made.events.last_s = 1801, 10.0, 1810.0  # half an hour
    made.events.alarms = [Started(50, 20, 300)] * alarms
    figures = report.gas_free([made])
    assert figures["hours"] == pytest.approx(0.5, rel=1e-3)
    assert figures["alarms_per_hour"] == pytest.approx(alarms / 0.5, rel=1e-3)
    assert figures["alarms_per_hour_at_most"] == pytest.approx(most / 0.5, rel=1e-3)


def test_box_clips_say_how_much_lands_inside_and_how_well_it_fits() -> None:
    made = Result(METHOD, "god_1", frames=1)
    made.boxes.add(PLUME, Box(10, 10, 14, 19))
    figures = report.boxes([made])
    clip = figures["clips"]["god_1"]
    assert (clip["inside"], clip["touched"], clip["box_iou"]) == (0.5, 1.0, 0.5)
    assert figures["mean"]["box_iou"] == 0.5


def test_clips_with_gas_say_how_soon_the_alarm_came() -> None:
    early, late = result("early", (PLUME, PLUME)), result("late", (PLUME, PLUME))
    for made, frame in ((early, 4), (late, 9)):
        made.events.onset, made.events.onset_s = 5, 0.5
        made.events.alarms = [Started(frame, frame, 100, at_s=frame / 10)]
    figures = report.masks([early, late])
    assert figures["events"]["gassy_clips"] == 2
    assert figures["events"]["alarmed_clips"] == 1
    assert figures["events"]["early_alarms"] == figures["clips"]["early"]["early_alarms"] == 1
    assert figures["clips"]["late"]["time_to_alarm_s"] == pytest.approx(0.4)
    assert figures["events"]["mean"]["time_to_alarm_s"] == pytest.approx(0.4)


@pytest.mark.parametrize("kind", sorted(report.REPORTS))
def test_every_kind_of_set_prints_its_clips(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = result("clip_7", (PLUME, PLUME), (PLUME, NOTHING))
    made.lit = 2
    made.events.alarms = [Started(31, 5, 100)]
    made.boxes.add(PLUME, Box(0, 0, 39, 39))
    print_report("a set", kind, report.REPORTS[kind]([made]))
    said = capsys.readouterr().out
    assert "a set" in said
    assert "clip_7" in said


def test_methods_are_compared_clip_by_clip(capsys: pytest.CaptureFixture[str]) -> None:
    def method(name: str, *ious: float) -> dict[str, object]:
        clips = {f"clip{number}": {"iou": iou} for number, iou in enumerate(ious)}
        return {"method": name, "simgas": {"clips": clips, "mean": {}}}

    (difference,) = report.paired([method("fp32", 0.7, 0.9), method("int8", 0.69, 0.89), {"method": "dark"}], "simgas")
    assert (difference["method"], difference["against"]) == ("int8", "fp32")
    assert difference["difference"] == pytest.approx(-0.01)
    assert difference["interval95"] == pytest.approx((-0.01, -0.01))
    print_comparison([method("fp32", 0.7), method("int8", 0.69)], [difference])
    assert "simgas: iou of int8 less that of fp32, by clip: -0.0100 (95 % -0.0100..-0.0100)" in capsys.readouterr().out


def test_an_interval_is_a_span_or_a_dash() -> None:
    assert span((0.25, 1.0)) == "0.250..1.000"
    assert span((math.nan, math.nan)) == "-"


def test_tables_line_up() -> None:
    assert show(["clip", "IoU"], [["a", 0.5], ["longer", float("nan")]]).splitlines() == [
        "clip      IoU",
        "------  -----",
        "a       0.500",
        "longer      -",
    ]
