"""Training learns, saves, and goes on where it was cut short."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from calibration.render import GAS, UNKNOWN
from quantize.dataset import Clips, RenderedBatches
from quantize.losses import mask_loss, targets
from quantize.recipe import TrainConfig
from quantize.rollout import Past, batch_loss, clip_areas, unroll, validate
from quantize.run import Run
from quantize.student import Student
from quantize.train import parser, start, train


def test_unknown_pixels_cost_nothing() -> None:
    masks = torch.zeros(1, 1, 1, 32, 32, dtype=torch.uint8)
    masks[..., :16] = UNKNOWN
    logits = torch.full((1, 1, 1, 16, 16), -8.0)
    wrong = logits.clone()
    wrong[..., :8] = 8.0
    assert mask_loss(wrong, masks).item() == pytest.approx(mask_loss(logits, masks).item(), abs=1e-4)


def test_a_mask_on_clean_air_costs() -> None:
    masks = torch.zeros(1, 1, 1, 32, 32, dtype=torch.uint8)
    clear = torch.full((1, 1, 1, 16, 16), -8.0)
    assert mask_loss(-clear, masks) > mask_loss(clear, masks) + 1.0


def test_labels_shrink_to_shares() -> None:
    masks = torch.zeros(1, 1, 1, 4, 4, dtype=torch.uint8)
    masks[..., 0, 0] = GAS
    target, known = targets(masks, torch.zeros(1, 1, 1, 2, 2))
    assert target.flatten().tolist() == [0.25, 0, 0, 0]
    assert known.all()


def test_the_future_does_not_reach_the_past() -> None:
    torch.manual_seed(0)
    student = Student().eval()
    batch = next(iter(RenderedBatches(None, seed=1, batch=2, size=96, frames=6)))
    with torch.no_grad():
        before, *_ = unroll(student, batch, Past.none(student, batch), autocast=False)
        batch.frames[4:] = 0
        after, *_ = unroll(student, batch, Past.none(student, batch), autocast=False)
    assert torch.equal(before[:4], after[:4])
    assert not torch.equal(before[4:], after[4:])


def test_a_clip_in_parts_is_the_clip_as_a_whole() -> None:
    torch.manual_seed(0)
    student = Student().eval()
    batch = next(iter(RenderedBatches(None, seed=1, batch=2, size=96, frames=14)))
    with torch.no_grad():
        whole, *_ = unroll(student, batch, Past.none(student, batch), autocast=False)
        past, parts = Past.none(student, batch), []
        for part in batch.parts(5):
            logits, _, _, past = unroll(student, part, past, autocast=False)
            parts.append(logits)
    assert torch.allclose(torch.cat(parts), whole, atol=1e-4)


@pytest.mark.slow
def test_the_student_learns_one_batch() -> None:
    torch.manual_seed(0)
    student = Student()
    batch = next(iter(RenderedBatches(None, seed=1, batch=4, size=96, frames=6)))
    optimiser = torch.optim.AdamW(student.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss, *_ = batch_loss(student, batch, Past.none(student, batch), TrainConfig(), autocast=False)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def run_of(*given: str) -> Run:
    small = ("--model", "nano", "--batch", "2", "--frames", "4", "--size", "64", "--device", "cpu")
    return start(parser().parse_args([*small, *given]))


def test_a_budget_of_steps_is_kept_to_the_step_whatever_the_time(tmp_path: Path) -> None:
    run = run_of("--steps", "3", "--minutes", "0.001")
    batch = next(iter(RenderedBatches(None, seed=1, batch=2, size=64, frames=8)))
    given = argparse.Namespace(resume=False, out=tmp_path / "student.pt")
    train(run, given, Clips(iter([batch, batch, batch]), [], []))
    assert (run.steps, run.done, run.share()) == (3, 3, 1.0)
    record = torch.load(given.out, weights_only=True)["provenance"]["runs"][-1]
    assert (record["planned_steps"], record["steps"]) == (3, 3)
    assert "minutes" not in record


def test_the_rate_follows_the_share_of_the_steps() -> None:
    run, rates = run_of("--steps", "100", "--rate", "1.0"), {}
    for run.steps in (0, 10, 50, 99, 100):
        run.done = run.steps
        rates[run.done] = run.rate()
    assert rates == pytest.approx({0: 0.1, 10: 0.9755, 50: 0.5, 99: 0.01, 100: 0.01}, abs=1e-4)


def test_a_run_of_steps_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    run, other, later = run_of("--steps", "6"), run_of("--minutes", "9"), run_of("--steps", "4")
    batch = next(iter(RenderedBatches(None, seed=1, batch=2, size=64, frames=8)))
    run.learn(batch)
    run.save(tmp_path / "a.pt")
    other.load(tmp_path / "a.pt", "cpu")
    assert (other.planned, other.done, other.history) == (6, 2, ())
    while other.share() < 1.0:
        other.learn(batch)
    other.save(tmp_path / "a.pt")
    later.load(tmp_path / "a.pt", "cpu")
    assert (later.planned, later.done, later.steps, len(later.history)) == (4, 0, 6, 1), "a run of its own on those"


def test_clips_are_judged_one_by_one() -> None:
    torch.manual_seed(0)
    student = Student().eval()
    batches = [next(iter(RenderedBatches(None, seed=seed, batch=2, size=64, frames=6))) for seed in (1, 2)]
    config = TrainConfig(frames=4)
    [found] = clip_areas(student, batches, config, autocast=False)
    assert found.shape == (4, 3)
    both, said, true = found.sum(0).tolist()
    assert validate(student, batches, config, autocast=False) == both / (said + true - both)
    assert torch.equal(found[2:], clip_areas(student, batches[1:], config, autocast=False)[0])
    wide, right, narrow = clip_areas(student, batches, config, autocast=False, least=(-99.0, 0.0, 99.0))
    assert torch.equal(right, found)
    assert wide[:, 1].min() == 6 * 32 * 32, "every cell of every frame"
    assert narrow[:, 1].max() == 0


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "student.pt"
    command = [sys.executable, "-m", "quantize.train", "--out", str(out), "--minutes", "0.02", "--workers", "0"]
    small = ["--batch", "2", "--frames", "4", "--clip-frames", "8", "--size", "96", "--device", "cpu", "--threads", "1"]
    for extra in ([], ["--resume"]):
        done = subprocess.run([*command, *small, *extra], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "validation IoU" in done.stdout
    runs = torch.load(out, weights_only=True)["provenance"]["runs"]
    assert len(runs) == 2
    assert runs[1]["steps"] > runs[0]["steps"] > 0
