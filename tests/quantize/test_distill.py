"""Distillation: the labels stay, the teacher's opinion comes on top, and the teacher stays as it is."""

from __future__ import annotations

import argparse
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge.errors import ModelError
from quantize.dataset import Batch, RenderedBatches
from quantize.distill import Distillation, DistillConfig, change_loss, feature_loss, load_teacher, logit_loss
from quantize.models import build, describe
from quantize.recipe import RECIPES
from quantize.rollout import Past, batch_loss
from quantize.train import parser, start
from tests.quantize.networks import tiny_teacher


@pytest.fixture(scope="module")
def batch() -> Batch:
    return next(iter(RenderedBatches(None, seed=1, batch=2, size=64, frames=6)))


def distillation(**settings: float) -> Distillation:
    torch.manual_seed(0)
    student, teacher = build("nano"), tiny_teacher().eval()
    return Distillation(
        replace(RECIPES["student"], frames=6, batch=2), 1.0, "procedural", student, deepcopy(student).eval(), student,
        torch.optim.AdamW(student.parameters(), lr=3e-3), history=({},), teacher=teacher,
        made_from={"model": teacher.config.name}, settings=DistillConfig(**settings),
    )  # fmt: skip


def test_agreement_costs_nothing_and_disagreement_something() -> None:
    torch.manual_seed(1)
    logits, other = torch.randn(3, 2, 1, 8, 8), torch.randn(3, 2, 1, 8, 8)
    features, others = torch.randn(3, 2, 4, 8, 8), torch.randn(3, 2, 4, 8, 8)
    for loss, same, different in (
        (lambda a, b: logit_loss(a, b, 2.0), logits, other),
        (feature_loss, features, others),
        (change_loss, logits, other),
    ):
        assert loss(same, same).item() == pytest.approx(0.0, abs=1e-6)
        assert loss(same, different) > 0.01


def test_a_steady_difference_is_no_difference_of_change() -> None:
    still = torch.zeros(4, 1, 1, 8, 8)
    assert change_loss(still + 3.0, still).item() == pytest.approx(0.0, abs=1e-6)
    assert change_loss(still[:1], still[:1]).item() == 0.0


def test_a_softened_opinion_keeps_the_size_of_its_gradient() -> None:
    def slope(temperature: float) -> float:
        logits = torch.full((1,), 0.2, requires_grad=True)
        logit_loss(logits, torch.full((1,), -0.2), temperature).backward()
        return float(logits.grad.abs())

    assert slope(4.0) == pytest.approx(slope(1.0), rel=0.05)


def test_labels_count_in_full_beside_the_teacher(batch: Batch) -> None:
    run = distillation(logit_weight=0.0, feature_weight=0.0, change_weight=0.0)
    run.student.eval()
    run.teacher_past = Past.none(run.teacher, batch)
    with torch.no_grad():
        mixed, *_ = run.loss(batch, Past.none(run.student, batch))
        hard, *_ = batch_loss(run.student, batch, Past.none(run.student, batch), run.config, autocast=True)
    assert mixed.item() == pytest.approx(hard.item(), rel=1e-4)


def test_the_student_comes_nearer_and_the_teacher_stays(batch: Batch) -> None:
    run = distillation(logit_weight=5.0)
    before = {name: value.clone() for name, value in run.teacher.state_dict().items()}
    projection = run.projection.weight.clone()
    losses = [run.learn(batch)[0][0] for _ in range(6)]
    assert losses[-1] < losses[0]
    assert not torch.equal(run.projection.weight, projection)
    assert all(torch.equal(value, before[name]) for name, value in run.teacher.state_dict().items())
    assert run.teacher_past.steps == 6


def test_a_run_goes_on_with_its_projection_and_says_who_taught(batch: Batch, tmp_path: Path) -> None:
    run, other = distillation(), distillation()
    run.learn(batch)
    run.spent = 0.5
    run.save(tmp_path / "a.pt")
    other.load(tmp_path / "a.pt", "cpu")
    assert torch.equal(other.projection.weight, run.projection.weight)
    assert (other.steps, other.spent) == (run.steps, 0.5)
    saved = torch.load(tmp_path / "a.pt", weights_only=True)
    assert saved["model"]["name"] == "nano"
    assert saved["provenance"]["runs"][-1]["teacher"] == {"model": "teacher-tiny"}


def options(*given: str) -> argparse.Namespace:
    return parser().parse_args([*given, "--device", "cpu"])


def test_plain_training_is_no_distillation_to_go_on_with(tmp_path: Path) -> None:
    start(options("--model", "nano")).save(tmp_path / "plain.pt")
    with pytest.raises(ModelError, match="no distillation"):
        distillation().load(tmp_path / "plain.pt", "cpu")


def test_a_missing_teacher_is_told() -> None:
    with pytest.raises(ModelError, match="nobody"):
        load_teacher(Path("nobody.pt"), torch.device("cpu"))


@pytest.mark.slow
@pytest.mark.parametrize("launch", [["-m"], ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m"]])
def test_the_command_distils_and_goes_on(launch: list[str], tmp_path: Path) -> None:
    teacher = tiny_teacher()
    taught = {
        "ema": teacher.state_dict(),
        "steps": 0,
        "provenance": {"data": "none", "runs": []},
        "model": describe(teacher),
    }
    torch.save(taught, tmp_path / "teacher.pt")
    command = [
        sys.executable,
        *launch,
        "quantize.distill",
        "--teacher",
        str(tmp_path / "teacher.pt"),
        "--model",
        "nano",
    ]
    small = ["--batch", "2", "--frames", "4", "--clip-frames", "8", "--size", "64", "--device", "cpu", "--threads", "1"]
    command += ["--out", str(tmp_path / "student.pt"), "--minutes", "0.02", "--workers", "0", *small]
    for extra in ([], ["--resume"]):
        done = subprocess.run([*command, *extra], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    runs = torch.load(tmp_path / "student.pt", weights_only=True)["provenance"]["runs"]
    assert [run["teacher"]["model"] for run in runs] == ["teacher-tiny"] * 2
