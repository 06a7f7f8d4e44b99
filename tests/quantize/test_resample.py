"""What is written for the runtimes' sake is what it stands for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from quantize.resample import block_means, double, double_plane, in_row_pairs, over_row_pairs, spread


def picture(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))


def bilinear(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4)])
def test_doubling_is_bilinear_up_to_the_edges(size: tuple[int, int]) -> None:
    x = picture(2, 6, *size)
    assert torch.allclose(double(x), bilinear(x), atol=1e-6)
    assert torch.allclose(double_plane(x[:, :1]), bilinear(x[:, :1]), atol=1e-6)


def test_spread_repeats_a_channel() -> None:
    plane = picture(2, 1, 3, 4)
    assert torch.equal(spread(plane, 5), plane.expand(2, 5, 3, 4))


def test_pairs_of_rows_meet_the_plane_at_half_the_size() -> None:
    frame, plane = picture(2, 1, 6, 8), picture(2, 1, 3, 4)
    nearest = F.interpolate(plane, scale_factor=2.0, mode="nearest")
    assert torch.equal((in_row_pairs(frame) * over_row_pairs(plane)).reshape(frame.shape), frame * nearest)


def test_block_means_are_those_of_pooling() -> None:
    frame = picture(2, 1, 8, 12)
    assert torch.allclose(block_means(frame, 4), F.avg_pool2d(frame, 4).flatten(1), atol=1e-6)
