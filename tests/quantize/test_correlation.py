"""The row-band form of the local correlation is the plain one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from quantize.correlation import local_correlation


def plain(query: torch.Tensor, key: torch.Tensor, radius: int) -> torch.Tensor:
    n, c, h, w = query.shape
    side = 2 * radius + 1
    windows = F.unfold(key, side, padding=radius).reshape(n, c, side * side, h, w)
    return (query[:, :, None] * windows).sum(1)


@pytest.mark.parametrize("radius", [1, 2, 3, 4])
def test_it_is_the_sum_over_channels_in_every_window(radius: int) -> None:
    torch.manual_seed(radius)
    query, key = (F.normalize(torch.randn(2, 16, 9, 13), dim=1) for _ in range(2))
    assert torch.allclose(local_correlation(query, key, radius), plain(query, key, radius), atol=1e-6)


def test_a_shifted_texture_peaks_at_its_shift() -> None:
    torch.manual_seed(0)
    key = F.normalize(torch.randn(1, 16, 12, 12), dim=1)
    query = torch.roll(key, shifts=(1, -2), dims=(2, 3))  # down by one, left by two
    best = local_correlation(query, key, 3)[0, :, 4:8, 4:8].argmax(0)
    dy, dx = best // 7 - 3, best % 7 - 3
    assert (dy == -1).all()
    assert (dx == 2).all()


def test_an_empty_memory_correlates_with_nothing() -> None:
    query = F.normalize(torch.randn(1, 8, 5, 6), dim=1)
    assert not local_correlation(query, torch.zeros_like(query), 2).any()
