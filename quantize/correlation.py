"""Local-window correlation between a key map and remembered ones, with the 1x1 layer over it, in matrix products.

The rows of `query` are cut into blocks. For each row offset dy a block meets, in one product, the part of the
remembered rows that its window reaches over, so each position is also compared with neighbours of its neighbours. Which
of these products are its own depends on its place in the block: a convolution with one group a place picks them by its
weights, with the row offsets as the kernel's height, and nothing is gathered, padded or copied between.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST = 10  # positions in a block: its window over two pasts, 2 x 16 columns, fills vector registers exactly


def unit(x: Tensor) -> Tensor:
    """Unit length over the channels, in float: what both correlations below take."""
    x = x.float()
    return x / torch.sqrt(x.pow(2).sum(1, keepdim=True) + 1e-6)  # spelt so, OpenVINO has one layer for it


def mixed_correlation(query: Tensor, pasts: Sequence[Tensor], weight: Tensor) -> Tensor:
    """A 1x1 convolution over the cosine similarities of each position of `query` with its neighbours in `pasts`.

    `query`, each of `pasts`: (N, C, H, W), L2-normalised over C; an all-zero past means "nothing remembered" and gives
    zeros, and so do neighbours outside the view. `weight` (O, P, 2r+1, 2r+1): for each past, row and column offsets.
    Returns (N, O, H, W).
    """
    n, channels, h, w = (int(size) for size in query.shape)
    side = int(weight.shape[2])
    radius = side // 2
    block = max(size for size in range(1, LARGEST + 1) if w % size == 0)
    reach = block + 2 * radius
    padded = F.pad(torch.cat(tuple(pasts), dim=1), (radius, radius, radius, radius))  # (N, P C, H+2r, W+2r)
    windows = torch.stack([padded[..., x : x + reach] for x in range(0, w, block)], dim=1)  # (N, B, P C, H+2r, reach)
    windows = windows.reshape(n, w // block, len(pasts), channels, h + 2 * radius, reach).permute(0, 4, 1, 3, 2, 5)
    windows = windows.reshape(n, h + 2 * radius, w // block, channels, len(pasts) * reach)
    rows = query.permute(0, 2, 3, 1).reshape(n, h, w // block, block, channels)
    products = torch.stack([torch.matmul(rows, windows[:, dy : dy + h]) for dy in range(side)], dim=1)
    places = products.reshape(n, side, h * (w // block), block * len(pasts) * reach).permute(0, 3, 1, 2)
    mixed = F.conv2d(places, by_place(weight, block), groups=block)  # (N, block O, 1, h B)
    return mixed.permute(0, 2, 3, 1).reshape(n, h, w, -1).permute(0, 3, 1, 2)


def by_place(weight: Tensor, block: int) -> Tensor:
    """(O, P, side, side) -> (block O, P reach, side, 1): at place x of a block the weights begin at column x.

    By slices and joins alone, which the exporter computes once and for all: a constant is quantised by its rows.
    """
    out, pasts, side, _ = (int(size) for size in weight.shape)
    beside = [weight.new_zeros(out, pasts, side, x) for x in range(block)]
    shifted = [torch.cat((beside[x], weight, beside[block - 1 - x]), dim=3) for x in range(block)]
    return torch.stack(shifted).permute(0, 1, 2, 4, 3).reshape(block * out, -1, side, 1)


def all_pairs(query: Tensor, key: Tensor, sharpness: Tensor) -> Tensor:
    """FGSTP's correlation volume, normalised: exp(sharpness * sum_c q[x,y,c] k[u,v,c]) over its sum over (u,v).

    `query` (N, C, P) and `key` (N, C, Q), positions in a row, unit length over C. Returns (N, P, Q); each row sums to
    1. The largest exponent of a row is taken off first, so that no scale of features overflows.
    """
    return torch.softmax(sharpness * torch.matmul(query.transpose(1, 2), key), dim=2)
