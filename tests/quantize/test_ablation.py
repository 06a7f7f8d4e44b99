"""The ablation: cut off and taken up again, shared by processes, and summed up from its lines alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from quantize import ablation, ablation_table
from quantize.ablation import jobs
from quantize.ablation_plan import Budget, Plan
from quantize.distill import load_teacher
from quantize.jobs import Job, claimed, work_off
from quantize.models import build, describe
from quantize.variants import named

TINY = Budget(steps=4, further=2, batch=2, size=64, clip_frames=24, still=1, moving=1, validation_frames=6)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    torch.manual_seed(0)
    teacher = build("nano")
    saved = {"ema": teacher.state_dict(), "steps": 3, "provenance": {"data": "none", "runs": []}}
    torch.save(saved | {"model": describe(teacher)}, tmp_path / "teacher.pt")
    return Plan(TINY, None, tmp_path / "teacher.pt", tmp_path / "work")


def run_through(plan: Plan, *names: str) -> None:
    plan.work.mkdir(exist_ok=True)
    listed = jobs(plan, [named(name) for name in names], [7])
    work_off([job for job in listed if "int8" not in job.name], plan.work / "claims")


@pytest.mark.slow
def test_a_variant_is_learned_judged_and_noted_once(plan: Plan) -> None:
    run_through(plan, "full", "distilled", "rounded")
    lines = {line["name"]: line for line in plan.finished()}
    assert list(lines) == ["full", "distilled", "rounded", "teacher"]
    assert [lines[name]["steps"] for name in ("full", "distilled", "rounded")] == [4, 4, 2]
    assert all(len(line[kind]) == 2 for line in lines.values() for kind in ablation_table.KINDS)
    assert all(line["threshold"] in ablation.THRESHOLDS for line in lines.values())
    runs = torch.load(plan.checkpoint("rounded", 7), weights_only=True)["provenance"]["runs"]
    assert [(run["planned_steps"], run["steps"], run["rounded"]) for run in runs] == [(4, 4, False), (2, 6, True)]
    assert lines["teacher"]["made_from"] == load_teacher(plan.teacher, torch.device("cpu"))[1]
    run_through(plan, "full", "distilled", "rounded")
    assert len(plan.finished()) == 4, "nothing is done twice"


def test_a_run_that_was_cut_off_goes_on_with_the_next_clips(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def cut_off(run: Any, options: Any, clips: Any) -> None:
        run.learn(next(clips.learned))
        run.save(options.out)
        raise KeyboardInterrupt

    read = ablation.stored
    monkeypatch.setattr(ablation, "stored", lambda folder, start=0: (taken.append(start), read(folder, start))[1])
    with monkeypatch.context() as patched:
        patched.setattr(ablation, "train", cut_off)
        with pytest.raises(KeyboardInterrupt):
            run_through(plan, "full")
    assert plan.finished() == []
    assert torch.load(plan.checkpoint("full", 7), weights_only=True)["done"] == 2
    taken.clear()
    run_through(plan, "full")
    [line] = plan.finished()
    assert line["steps"] == 4
    assert 1 in taken, "the second batch is the first one that is read"
    weights = plan.checkpoint("full", 7).read_bytes()
    plan.lines.unlink()  # as if it had been cut off while it was judged
    run_through(plan, "full")
    assert plan.finished()[0]["still"] == line["still"]
    assert plan.checkpoint("full", 7).read_bytes() == weights


def test_other_settings_are_refused(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    ablation.same_settings(plan)
    given = ["--teacher", str(plan.teacher), "--work", str(plan.work), "--steps", "5", "--only", "full"]
    assert ablation.main(given) != 0
    assert "holds runs with other settings" in capsys.readouterr().err


def test_jobs_come_in_order_and_not_before_what_they_need(tmp_path: Path) -> None:
    did: list[str] = []

    def job(name: str, *needs: str) -> Job:
        return Job(name, lambda: name in did, lambda: did.append(name), needs)

    work_off([job("b", "c"), job("a"), job("c", "a")], tmp_path)
    assert did == ["a", "c", "b"]


def test_a_job_that_another_process_is_at_is_left_to_it(tmp_path: Path) -> None:
    did: list[str] = []
    ready, finish = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:  # the other process; it dies with the claim
        with claimed(tmp_path / "a"):
            os.write(ready[1], b"1")
            os.read(finish[0], 1)
            os._exit(0)
    os.read(ready[0], 1)
    listed = [Job(name, lambda name=name: name in did, lambda name=name: did.append(name)) for name in ("a", "b")]

    def wait(seconds: float) -> None:
        assert did == ["b"]
        os.write(finish[1], b"1")
        os.waitpid(child, 0)

    work_off(listed, tmp_path, wait)
    assert did == ["b", "a"], "taken over once the other one has died"


def line(name: str, seed: int, *areas: tuple[int, int, int]) -> dict[str, Any]:
    described = {"utc": f"2026-11-25T1{seed}:00:00+00:00", "commit": "abc", "steps": 4, "minutes": 1.0, "data": "none"}
    judged = {"threshold": 0.5, "still": areas, "moving": [(1, 1, 1)]}
    return {"name": name, "seed": seed, **judged, **described}


def test_differences_are_paired_by_seed_and_by_clip() -> None:
    lines = [
        line("full", 7, (50, 50, 100), (0, 3, 0)),
        line("distilled", 7, (60, 60, 100), (0, 0, 0)),
        line("full", 8, (40, 40, 100), (0, 0, 0)),
        line("distilled", 8, (60, 60, 100), (0, 0, 0)),
        line("no-noise", 9, (1, 1, 1)),
    ]
    found = ablation_table.summary(lines, {}, ["clips-7", "held-out", "full-7", "int8-7"])
    assert found["missing"] == ["int8-7"]
    assert found["utc"].startswith("2026-11-25T19")
    full, distilled, alone = found["variants"]
    assert [one["still"] for one in full["seeds"]] == [50 / 103, 0.4]
    assert "differences" not in full
    assert distilled["differences"]["still"] == pytest.approx([0.6 - 50 / 103, 0.2])
    assert distilled["clips"] == 2, "a clip without gas has no say"
    low, high = distilled["interval"]
    assert (low, high) == pytest.approx((0.0, 0.15)), "of the clips' mean differences, 0.15 and 0"
    assert "differences" not in alone, "that seed has nothing to compare with"
