"""Local-window correlation volume between two key maps, written as row-band matrix products.

For each row offset dy the rows of `query` meet the rows of `key` in one batched product; the 2r+1 wanted column offsets
lie on a diagonal band of the result. Padding the flattened product by one column a row moves that band into the first
2r+1 columns, so the graph needs only MatMul, Pad, Reshape and Slice: no gather, no unfold.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def unit(x: Tensor) -> Tensor:
    """Unit length over the channels, in float: what both correlations below take."""
    x = x.float()
    return x * torch.rsqrt((x * x).sum(1, keepdim=True) + 1e-6)


def local_correlation(query: Tensor, key: Tensor, radius: int) -> Tensor:
    """Cosine similarity of each position of `query` with its (2r+1)^2 neighbours in `key`.

    `query`, `key`: (N, C, H, W), L2-normalised over C; a zero key means "nothing remembered" and gives zeros.
    Returns (N, (2r+1)^2, H, W), row offsets outermost; neighbours outside the view count as zero.
    """
    n, _, h, w = query.shape
    side = 2 * radius + 1
    wide = w + 2 * radius
    rows = query.permute(0, 2, 3, 1)  # (N, H, W, C)
    padded = F.pad(key, (radius, radius, radius, radius)).permute(0, 2, 1, 3)  # (N, H+2r, C, W+2r)
    bands = []
    for dy in range(side):
        product = torch.matmul(rows, padded[:, dy : dy + h])  # (N, H, W, W+2r)
        flat = F.pad(product.reshape(n, h, w * wide), (0, w))
        bands.append(flat.reshape(n, h, w, wide + 1)[..., :side])
    return torch.cat(bands, dim=3).permute(0, 3, 1, 2)


def all_pairs(query: Tensor, key: Tensor, sharpness: Tensor) -> Tensor:
    """FGSTP's correlation volume, normalised: exp(sharpness * sum_c q[x,y,c] k[u,v,c]) over its sum over (u,v).

    `query` (N, C, P) and `key` (N, C, Q), positions in a row, unit length over C. Returns (N, P, Q); each row sums to
    1. The largest exponent of a row is taken off first, so that no scale of features overflows.
    """
    return torch.softmax(sharpness * torch.matmul(query.transpose(1, 2), key), dim=2)
