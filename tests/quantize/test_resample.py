"""What is written for the runtimes' sake is what it stands for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from quantize.resample import block_means, double, double_plane, pictures


def picture(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))


def bilinear(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4)])
def test_doubling_is_bilinear_up_to_the_edges(size: tuple[int, int]) -> None:
    x = picture(2, 6, *size)
    assert torch.allclose(double(x), bilinear(x), atol=1e-6)
    assert torch.allclose(double_plane(x[:, :1]), bilinear(x[:, :1]), atol=1e-6)


def test_pictures_are_area_means() -> None:
    frames = picture(3, 2, 1, 8, 12)
    small = pictures(frames, 2)
    assert small.shape == (3, 2, 1, 4, 6)
    assert small[1, 1, 0, 2, 3].item() == pytest.approx(frames[1, 1, 0, 4:6, 6:8].mean().item())
    assert pictures(frames, 1) is frames


def test_block_means_are_those_of_pooling() -> None:
    frame = picture(2, 1, 8, 12)
    assert torch.allclose(block_means(frame, 4), F.avg_pool2d(frame, 4).flatten(1), atol=1e-6)
