"""The blocked form of the local correlation is the plain one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from quantize.correlation import all_pairs, mixed_correlation


def plain(query: torch.Tensor, key: torch.Tensor, radius: int) -> torch.Tensor:
    n, c, h, w = query.shape
    side = 2 * radius + 1
    windows = F.unfold(key, side, padding=radius).reshape(n, c, side * side, h, w)
    return (query[:, :, None] * windows).sum(1)


def volumes(query: torch.Tensor, pasts: list[torch.Tensor], radius: int) -> torch.Tensor:
    """All similarities, (N, P, side², H, W): what comes out where each output is one of them."""
    around = (2 * radius + 1) ** 2
    count = len(pasts) * around
    weight = torch.eye(count).reshape(count, len(pasts), 2 * radius + 1, 2 * radius + 1)
    n, _, h, w = query.shape
    return mixed_correlation(query, pasts, weight).reshape(n, len(pasts), around, h, w)


@pytest.mark.parametrize(("radius", "width"), [(1, 13), (2, 12), (3, 10), (3, 40), (4, 14)])
def test_it_is_the_sum_over_channels_in_every_window(radius: int, width: int) -> None:
    torch.manual_seed(radius)
    query, *pasts = (F.normalize(torch.randn(2, 16, 9, width), dim=1) for _ in range(3))
    expected = torch.stack([plain(query, past, radius) for past in pasts], dim=1)
    assert torch.allclose(volumes(query, pasts, radius), expected, atol=1e-6)


def test_it_is_mixed_as_by_a_convolution() -> None:
    torch.manual_seed(0)
    query, *pasts = (F.normalize(torch.randn(1, 8, 5, 20), dim=1) for _ in range(3))
    weight = torch.randn(6, 2, 5, 5)
    plainly = F.conv2d(torch.cat([plain(query, past, 2) for past in pasts], dim=1), weight.reshape(6, -1, 1, 1))
    assert torch.allclose(mixed_correlation(query, pasts, weight), plainly, atol=1e-5)


def test_a_shifted_texture_peaks_at_its_shift() -> None:
    torch.manual_seed(0)
    key = F.normalize(torch.randn(1, 16, 12, 12), dim=1)
    query = torch.roll(key, shifts=(1, -2), dims=(2, 3))  # down by one, left by two
    best = volumes(query, [key], 3)[0, 0, :, 4:8, 4:8].argmax(0)
    dy, dx = best // 7 - 3, best % 7 - 3
    assert (dy == -1).all()
    assert (dx == 2).all()


def test_an_empty_memory_correlates_with_nothing() -> None:
    query = F.normalize(torch.randn(1, 8, 5, 6), dim=1)
    assert not volumes(query, [torch.zeros_like(query)], 2).any()


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_the_all_pairs_volume_is_normalised_over_the_remembered_frame(scale: float) -> None:
    torch.manual_seed(1)
    query, key = torch.randn(2, 8, 12), torch.randn(2, 8, 20)
    volume = all_pairs(query * scale, key, torch.tensor(10.0))
    assert volume.shape == (2, 12, 20)
    assert torch.isfinite(volume).all()
    assert torch.allclose(volume.sum(2), torch.ones(2, 12), atol=1e-5)


def test_the_all_pairs_volume_is_the_papers_formula() -> None:
    torch.manual_seed(2)
    query, key = torch.randn(1, 4, 6), torch.randn(1, 4, 7)
    raw = torch.exp((query[:, :, :, None] * key[:, :, None, :]).sum(1))
    assert torch.allclose(all_pairs(query, key, torch.tensor(1.0)), raw / raw.sum(2, keepdim=True), atol=1e-6)


def test_a_texture_is_found_wherever_it_went() -> None:
    torch.manual_seed(3)
    key = F.normalize(torch.randn(1, 16, 30), dim=1)
    order = torch.randperm(30)
    assert torch.equal(all_pairs(key[:, :, order], key, torch.tensor(20.0)).argmax(2)[0], order)
