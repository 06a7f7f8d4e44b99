"""The paper's structure loss: near boundaries it weighs more, unknown pixels cost nothing."""

from __future__ import annotations

import pytest
import torch

from calibration.render import GAS, UNKNOWN
from quantize.losses import structure_loss


@pytest.fixture
def masks() -> torch.Tensor:
    """A square of gas, (1, 1, 1, 96, 96)."""
    masks = torch.zeros(1, 1, 1, 96, 96, dtype=torch.uint8)
    masks[..., 32:64, 32:64] = GAS
    return masks


def sure(masks: torch.Tensor) -> torch.Tensor:
    """Logits at 1/2 that are right and sure."""
    return torch.where(masks[..., ::2, ::2] == GAS, 9.0, -9.0)


def test_a_right_answer_costs_little_and_a_wrong_one_much(masks: torch.Tensor) -> None:
    right = sure(masks)
    assert structure_loss(right, masks) < 0.01
    assert structure_loss(-right, masks) > 5.0


def test_an_empty_frame_that_stays_dark_costs_nothing() -> None:
    masks = torch.zeros(2, 1, 1, 32, 32, dtype=torch.uint8)
    dark = torch.full((2, 1, 1, 16, 16), -20.0)
    assert structure_loss(dark, masks).item() == pytest.approx(0.0, abs=1e-3)
    assert structure_loss(-dark, masks) > 10.0


def test_a_mistake_at_the_boundary_weighs_more(masks: torch.Tensor) -> None:
    near, far = sure(masks), sure(masks)
    near[..., 32, 32] *= -1.0  # one pixel outside the corner
    far[..., 4, 4] *= -1.0
    assert structure_loss(near, masks) > structure_loss(far, masks) * 1.2


def test_unknown_pixels_cost_nothing(masks: torch.Tensor) -> None:
    masks[..., :16] = UNKNOWN
    right, wrong = sure(masks), sure(masks)
    wrong[..., :8] = 9.0
    assert structure_loss(wrong, masks).item() == pytest.approx(structure_loss(right, masks).item(), abs=1e-5)
