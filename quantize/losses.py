"""What the student is asked for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Boundary-weighted BCE plus Dice over the clip.

    `logits`, `target`: (T, N, 1, h, w), target 0..1 (share of the cell that is gas). The weight grows where a pixel's
    neighbourhood disagrees with it (as in the structure loss of the FGSTP paper); Dice is summed over a clip's frames,
    so that a gas-free frame in a leaking clip does not dominate it.
    """
    flat = target.flatten(0, 1)
    weight = 1.0 + 3.0 * (F.avg_pool2d(flat, 11, 1, 5) - flat).abs().view_as(target)
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    bce = (weight * cross).sum() / weight.sum()
    probability = torch.sigmoid(logits)
    over = (0, 2, 3, 4)
    both = (probability * target).sum(over)
    dice = 1.0 - (2.0 * both + 20.0) / (probability.sum(over) + target.sum(over) + 20.0)
    return bce * 2.0 + dice.mean()


def shrink(masks: Tensor, like: Tensor) -> Tensor:
    """(T, N, 1, H, W) masks to the resolution of `like`, as shares of gas."""
    t, n = masks.shape[:2]
    factor = masks.shape[-1] // like.shape[-1]
    return F.avg_pool2d(masks.flatten(0, 1).float(), factor).view(t, n, 1, *like.shape[-2:])
