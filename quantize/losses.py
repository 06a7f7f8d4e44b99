"""What the student is asked for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from calibration.render import GAS, UNKNOWN


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Boundary-weighted BCE plus Dice over the clip.

    `logits` (T, N, 1, h, w), `masks` (T, N, 1, H, W) labels of calibration.render. The weight grows where a pixel's
    neighbourhood disagrees with it (as in the structure loss of the FGSTP paper); Dice is summed over a clip's frames,
    so that a gas-free frame in a leaking clip does not dominate it.
    """
    target, known = targets(masks, logits)
    flat = target.flatten(0, 1)
    weight = known * (1.0 + 3.0 * (F.avg_pool2d(flat, 11, 1, 5) - flat).abs().view_as(target))
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    bce = (weight * cross).sum() / weight.sum()
    probability = torch.sigmoid(logits) * known
    over = (0, 2, 3, 4)
    both = (probability * target).sum(over)
    dice = 1.0 - (2.0 * both + 20.0) / (probability.sum(over) + target.sum(over) + 20.0)
    return bce * 2.0 + dice.mean()


def structure_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """The paper's loss: BCE and IoU of every frame, both weighted up to six times where a pixel lies near a boundary.

    Shapes as `mask_loss`. The neighbourhood is the paper's 31 of 352 px, at whatever size the logits have.
    """
    target, known = targets(masks, logits)
    reach = max(1, int(0.044 * min(logits.shape[-2:])))
    flat = target.flatten(0, 1)
    weight = known * (1.0 + 5.0 * (F.avg_pool2d(flat, 2 * reach + 1, 1, reach) - flat).abs().view_as(target))
    over = (2, 3, 4)
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    bce = (weight * cross).sum(over) / weight.sum(over).clamp(min=1.0)
    probability = torch.sigmoid(logits)
    both = (weight * probability * target).sum(over)
    either = (weight * (probability + target)).sum(over) - both
    return (bce + 1.0 - (both + 1.0) / (either + 1.0)).mean()


LOSSES = {"mask": mask_loss, "structure": structure_loss}


def targets(masks: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Labels at the resolution of `like`: the share of each cell that is gas, and 1 where nothing in it is unknown."""
    factor = masks.shape[-1] // like.shape[-1]
    flat = masks.flatten(0, 1)
    gas = F.avg_pool2d((flat == GAS).float(), factor).view_as(like)
    unknown = F.max_pool2d((flat == UNKNOWN).float(), factor).view_as(like)
    return gas * (1.0 - unknown), 1.0 - unknown
