"""A bigger student can begin with a smaller one's weights: it says the same, and learns with all that it has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edge.errors import ConfigError
from quantize.models import describe
from quantize.student import SIZES, Student
from quantize.train import parser, start
from quantize.widen import widened

GATED = 0.2  # logits: the gate is a softmax over more channels


def learned(student: Student) -> Student:
    """With batch statistics that are not those of fresh weights."""
    for module in student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
    return student.eval()


def step(student: Student, seed: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    frame = torch.rand(2, 1, 64, 96)
    states = {name: torch.rand_like(state) for name, state in student.states(frame).items()}
    with torch.no_grad():
        found: dict[str, Tensor] = student(frame, torch.tensor([[0.1, 9.0]] * 2), **states)
    return found


def grown(narrow: Student, name: str = "base") -> Student:
    wide = Student(SIZES[name]).eval()
    wide.load_state_dict(widened(narrow.state_dict(), narrow.config, wide))
    return wide


@pytest.fixture
def small() -> Student:
    torch.manual_seed(1)
    return learned(Student())


def test_it_says_what_the_smaller_one_says(small: Student) -> None:
    said, wanted = step(grown(small)), step(small)
    for name in ("key", "noise", "background_next"):
        torch.testing.assert_close(said[name], wanted[name], rtol=1e-3, atol=1e-3)
    assert (said["logits"] - wanted["logits"]).abs().max() < GATED * wanted["logits"].std()
    assert (step(Student(SIZES["base"]).eval())["logits"] - wanted["logits"]).abs().max() > wanted["logits"].std()


def test_what_is_new_learns(small: Student) -> None:
    wide = grown(small)
    before = wide.enter4[0].weight.detach().clone()
    assert not before[:16, 12:].any(), "nobody listens to the new ones yet"
    optimiser = torch.optim.SGD(wide.parameters(), 0.1)
    frame = torch.rand(1, 1, 64, 96)
    states = {name: torch.rand_like(state) for name, state in wide.states(frame).items()}
    wide(frame, torch.tensor([[0.1, 9.0]]), **states)["logits"].square().mean().backward()
    optimiser.step()
    assert wide.enter4[0].weight[:16, 12:].any()


def test_a_student_that_remembers_otherwise_is_refused(small: Student) -> None:
    with pytest.raises(ConfigError, match="'nano' does not fit into 'base'"):
        widened(Student(SIZES["nano"]).state_dict(), SIZES["nano"], Student(SIZES["base"]))
    with pytest.raises(ConfigError, match="must be of a smaller size"):
        widened(small.state_dict(), replace(small.config, widths=(32, 32, 64, 96)), Student(SIZES["base"]))


def test_a_run_of_a_bigger_size_begins_with_them_and_says_so(small: Student, tmp_path: Path) -> None:
    saved = {"ema": small.state_dict(), "steps": 7, "provenance": {"runs": [{"steps": 7}]}, "model": describe(small)}
    torch.save(saved, tmp_path / "small.pt")
    run = start(parser().parse_args(["--model", "base", "--device", "cpu", "--weights", str(tmp_path / "small.pt")]))
    assert (run.steps, run.history) == (7, ({"steps": 7},))
    assert run.record()["widened_from"] == "small"
    torch.testing.assert_close(step(run.ema)["key"], step(small)["key"], rtol=1e-3, atol=1e-3)
