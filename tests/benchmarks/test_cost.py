"""What a moving camera adds is told in ms and as shares of the same whole, whatever it is."""

from __future__ import annotations

from itertools import count, pairwise

import numpy as np
import pytest

from benchmarks import cost, worth
from benchmarks.registration import LAGS, MOTIONS
from edge.segmenter import load_model
from tests.edge import scenes

GROUND = scenes.scene(2, 512, 640)


@pytest.mark.parametrize("motion", ["pan", "shake"])
def test_films_are_of_one_ground(motion: str) -> None:
    still, moving = (cost.filmed(GROUND, name, 12, 0.0) for name in ("still", motion))
    assert {image.shape for image in (*still, *moving)} == {cost.SIZE}
    assert np.abs(np.float32(still[-1]) - GROUND[136:376, 160:480]).max() < 0.51
    assert all(np.abs(np.float32(a) - b).mean() > 0.5 for a, b in pairwise(moving))


def test_costs_have_their_shares() -> None:
    spec, backend = load_model("student.int8")
    found = cost.measure(spec, backend, GROUND, 1.0, turns=6)
    assert set(found["step_ms"]) == set(found["frame_ms"]) == {"still", "pan", "shake", "leak"}
    assert all(found["frame_ms"][name] > ms > 0 for name, ms in found["step_ms"].items())
    assert set(found["added"]) == {"pan", "shake", "watched"}
    for one in found["added"].values():
        assert one["of_step"] * found["step_ms"]["still"] == pytest.approx(one["ms"])
        assert one["of_frame"] * found["frame_ms"]["still"] == pytest.approx(one["ms"])
        assert one["of_leak_frame"] * found["frame_ms"]["leak"] == pytest.approx(one["ms"])
    assert 0 < found["added"]["watched"]["ms"] < found["step_ms"]["still"]


def test_only_warm_turns_count_and_a_motion_is_compared_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes a ms forward at each look: every step takes one, every frame two."""
    ticks = count()
    monkeypatch.setattr(cost, "clock", lambda: next(ticks) / 1000)
    spec, backend = load_model("student.int8")
    found = cost.measure(spec, backend, GROUND, 1.0, turns=4)
    assert found["step_ms"] == pytest.approx(dict.fromkeys(found["step_ms"], 1.0))
    assert found["frame_ms"] == pytest.approx(dict.fromkeys(found["frame_ms"], 2.0))
    for motion in ("pan", "shake"):
        assert found["added"][motion] == pytest.approx(dict.fromkeys(found["added"][motion], 0.0), abs=1e-9)
    assert found["added"]["watched"] == pytest.approx(
        {"ms": 1.0, "mean_ms": 1.0, "of_step": 1.0, "of_frame": 0.5, "of_leak_frame": 0.5}
    )


def test_the_table_shows_errors_and_costs() -> None:
    errors = {lag: {"median": 0.05, "p95": 0.25} for lag in LAGS}
    motions = {name: {"frames": 540, "flagged": 2, "cost_ms": 0.3, **errors} for name in MOTIONS}
    result = {"motions": motions, "untextured": {"frames": 468, "flagged": 468}}
    assert "| pan | 540 | 2 | 0.050 | 0.250 | 0.050 | 0.250 | 0.30 |" in worth.registration(result)
    share = {"ms": 0.9, "mean_ms": 1.0, "of_step": 0.25, "of_frame": 0.24, "of_leak_frame": 0.18}
    taken = dict.fromkeys(("still", "pan", "shake", "leak"), 3.6)
    whole = {
        "cost": {
            "turns": 300,
            "step_ms": taken,
            "frame_ms": taken | {"leak": 5.0},
            "added": dict.fromkeys(("pan", "shake", "watched"), share),
        }
    }
    text = worth.registration(result | whole)
    assert "| a pan adds | 0.90 | 1.00 | 25.0 % | 24.0 % | 18.0 % |" in text
    assert text.endswith("a frame takes 5.00 ms.")
