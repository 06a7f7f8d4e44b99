"""What the student promises: shapes, normalisation, a background that neither swallows a plume nor keeps a ghost."""

from __future__ import annotations

import pytest
import torch

from quantize.senses import Pace, Senses, next_background
from quantize.student import Student


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(0)
    return Student().eval()


def step(student: Student, frame: torch.Tensor, **changed: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return student(frame, torch.tensor([[0.01, 1.0]]), **{**student.states(frame), **changed})


def test_shapes_follow_the_frame(student: Student) -> None:
    out = step(student, torch.rand(1, 1, 96, 128))
    assert out["logits"].shape == (1, 1, 96, 128)
    assert out["key"].shape == (1, 16, 24, 32)
    assert out["memory_next"].shape == (1, 8, 48, 64)
    assert out["background_next"].shape == (1, 1, 96, 128)
    assert out["noise"].shape == (1,)


def test_keys_have_unit_length(student: Student) -> None:
    key = step(student, torch.rand(1, 1, 96, 128))["key"]
    assert torch.allclose(key.norm(dim=1), torch.ones(1, 24, 32), atol=1e-2)


def test_memory_is_bounded_whatever_comes_in(student: Student) -> None:
    memory = torch.full((1, 8, 48, 64), 1.0)
    for _ in range(30):
        memory = step(student, torch.rand(1, 1, 96, 128), memory=memory)["memory_next"]
    assert memory.abs().max() <= 1.0


def test_the_last_layers_are_one_convolution_and_say_what_each_would(student: Student) -> None:
    torch.manual_seed(2)
    features, memory = torch.rand(2, 16, 6, 8), torch.rand(2, 8, 6, 8)
    with torch.no_grad():
        told, side4 = student.conclude(features, memory)
        trusted = torch.cat((features, student.config.trust * memory), dim=1)
        assert torch.allclose(told, student.remember(trusted).flatten(2), atol=1e-5)
        assert torch.allclose(side4, student.side4(features), atol=1e-5)


def test_a_wrong_memory_is_forgotten(student: Student) -> None:
    torch.manual_seed(3)
    frame = torch.rand(1, 1, 96, 128)
    right, wrong = torch.zeros(1, 8, 48, 64), torch.rand(1, 8, 48, 64)
    apart = []
    for _ in range(12):
        right, wrong = (step(student, frame, memory=memory)["memory_next"] for memory in (right, wrong))
        apart.append(float((right - wrong).abs().max()))
    assert apart[0] > 1e-2
    assert apart[-1] < 1e-4


@pytest.mark.parametrize("name", ["frame_short", "frame_long", "background", "key_short", "key_long", "memory"])
def test_every_state_matters(student: Student, name: str) -> None:
    torch.manual_seed(1)
    frame = torch.rand(1, 1, 96, 128)
    other = torch.rand_like(student.states(frame)[name])
    assert not torch.allclose(step(student, frame)["logits"], step(student, frame, **{name: other})["logits"])


def test_differences_are_in_units_of_the_noise() -> None:
    torch.manual_seed(2)
    scene = torch.rand(1, 1, 96, 128) * 0.2 + 0.3
    noise = 0.02
    frames = [scene + noise * torch.randn_like(scene) for _ in range(2)]
    seen, sigma, _ = Senses()(frames[0], frames[1], frames[1], scene)
    assert sigma.item() == pytest.approx(noise, rel=0.1)
    assert seen[:, 2].std().item() == pytest.approx(noise / (3 * noise + 2 / 255), rel=0.1)


def test_a_step_of_the_gain_is_no_difference() -> None:
    frame = torch.rand(1, 1, 96, 128) * 0.5
    seen, _, _ = Senses()(frame + 0.1, frame, frame, frame)
    assert seen[:, 1:].abs().max() < 1e-3


def background_after(student: Student, *, gas: bool, still: bool, seconds: float) -> float:
    """How far a background of 0 has come towards a frame of 1 under or outside a certain mask."""
    frame, background = torch.ones(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    logits = torch.full((1, 1, 16, 16), 20.0 if gas else -20.0)
    movement = torch.zeros_like(frame) if still else torch.full_like(frame, 4.0)
    for i in range(int(seconds * 10)):
        clock = torch.tensor([[0.1, 60.0 + i / 10]])
        background = next_background(student.config, frame, background, movement, logits, clock)
    return float(background.mean())


def test_the_background_takes_up_what_is_no_gas(student: Student) -> None:
    assert background_after(student, gas=False, still=False, seconds=90) > 0.95


def test_a_moving_plume_is_not_absorbed(student: Student) -> None:
    assert background_after(student, gas=True, still=False, seconds=90) < 0.01


def test_a_ghost_that_stays_still_is_let_in_slowly(student: Student) -> None:
    taken = background_after(student, gas=True, still=True, seconds=30)
    assert 0.05 < taken < 0.9
    assert background_after(student, gas=True, still=True, seconds=400) > 0.9


def test_what_moves_leaves_less_of_a_trail_in_the_background() -> None:
    frame, background, air = torch.ones(1, 1, 32, 32), torch.zeros(1, 1, 32, 32), torch.full((1, 1, 16, 16), -10.0)
    still, moving = (
        next_background(Pace(), frame, background, torch.full_like(frame, movement), air, torch.tensor([[0.1, 60.0]]))
        for movement in (0.0, 4.0)
    )
    assert torch.allclose(moving, Pace().passing * still, rtol=1e-2)
