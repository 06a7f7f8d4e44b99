"""What is remembered, brought to where a moving camera now looks: the device's look-up by registration, for training.

Steps are (T, N, 2, 3), px of each view -> px of the previous one. A view reaches from -1 to 1 each way whatever its
resolution, so one matrix serves pictures, the memory at 1/4 and the keys at 1/8.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from quantize.teacher import scales

ROUNDING = 1e-4  # of a view's half: what arithmetic may make of the middle of an outermost px


def normalised(steps: Tensor, height: int, width: int) -> Tensor:
    """(..., 2, 3) between px of views of this size -> (..., 3, 3) between their shares, -1..1."""
    last = steps.new_tensor((0.0, 0.0, 1.0)).expand(*steps.shape[:-2], 1, 3)
    inward = shares(height, width, like=steps)
    return inward @ torch.cat((steps, last), dim=-2) @ torch.linalg.inv(inward)


def in_cells(steps: Tensor, across: int) -> Tensor:
    """(..., 2, 3) between px of views -> between cells of `across` px each way."""
    middle = steps[..., :2] @ steps.new_tensor(2 * ((across - 1) / 2,))
    shift = (steps[..., 2] + middle - (across - 1) / 2) / across
    return torch.cat((steps[..., :2], shift[..., None]), dim=-1)


def shares(height: int, width: int, *, like: Tensor) -> Tensor:
    """(3, 3) from px of a view of this size, whole numbers in their middles, to -1..1 between its edges."""
    return like.new_tensor(((2 / width, 0, 1 / width - 1), (0, 2 / height, 1 / height - 1), (0, 0, 1)))


def outside(grid: Tensor, height: int, width: int) -> Tensor:
    """(N, 1, H, W) bool: places (N, H, W, 2) beyond the middles of the outermost px, where the device sees nothing."""
    reach = grid.new_tensor((1 - 1 / width, 1 - 1 / height)) + ROUNDING
    return (grid.abs() > reach).any(-1)[:, None]


def back(moves: Tensor, at: int, lag: int) -> Tensor:
    """(N, 3, 3) from the view `at` to the one `lag` before it; `moves` (T, N, 3, 3) as `normalised` gives them."""
    whole = moves[at]
    for earlier in range(at - 1, at - lag, -1):
        whole = moves[earlier] @ whole
    return whole


def warp(past: Tensor, move: Tensor, instead: Tensor | None = None) -> Tensor:
    """(N, C, h, w) of an earlier view where the present one looks, `move` (N, 3, 3) from this to that; `instead`, or
    zeros, where the earlier one did not reach."""
    grid = F.affine_grid(move[:, :2], list(past.shape), align_corners=False)
    padding = "zeros" if instead is None else "border"
    seen = F.grid_sample(past.float(), grid, mode="bilinear", padding_mode=padding, align_corners=False)
    return torch.where(outside(grid, *past.shape[-2:]), torch.zeros_like(seen) if instead is None else instead, seen)


def warp_key(key: Tensor, move: Tensor, size: tuple[int, int]) -> Tensor:
    """A key of a view of (height, width), or the teacher's three in one row (N, C, P)."""
    if key.dim() == 4:
        return warp(key, move)
    parts = key.split([high * wide for high, wide in scales(*size)], dim=2)
    planes = [part.unflatten(2, scale) for part, scale in zip(parts, scales(*size), strict=True)]
    return torch.cat([warp(plane, move).flatten(2) for plane in planes], dim=2)
