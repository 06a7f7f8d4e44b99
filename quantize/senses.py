"""What student and teacher see, and how they keep a background: plain arithmetic, no weights, part of the graph."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantize.resample import block_means


@dataclass(frozen=True)
class Pace:
    """How fast what is remembered changes; the same for every network, so that one may learn from another."""

    background_s: float = 6.0  # time constant of the slow background
    passing: float = 0.4  # share of that rate at which it takes in what moves
    trust: float = 0.33  # what the memory counts: belief must be earned again from the pixels
    ghost_s: float = 60.0  # time in which something still leaves the mask; a dense plume may hang as still


class Senses(nn.Module):
    """Pixels to what the network looks at; plain arithmetic, no weights.

    Every difference is freed of its median over the view (an AGC offset is no gas) and divided by 3 sigma + 2/255, with
    sigma the temporal noise in the quieter quarter of the view, black borders apart. Kept in float.
    """

    channels = 5
    reach = 4.0  # no value is larger, either way
    black = 2.0 / 255.0  # mean below which a block counts as border: no camera is that dark where it has a scene

    def __init__(self, block: int = 16) -> None:
        """`block`: side of the blocks whose means the robust figures are taken over, px."""
        super().__init__()
        self.block = block

    def forward(self, frame: Tensor, short: Tensor, long: Tensor, background: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N,1,H,W) each, 0..1 -> (N,5,H,W) inputs, (N,1,1,1) sigma, (N,1,H,W) normalised long difference."""
        pasts = (short, long, background)
        means = block_means(frame, self.block)
        offsets = quantile(torch.stack([means - block_means(past, self.block) for past in pasts], dim=1), 0.5)
        to_short, to_long, to_background = (frame - past - offsets[:, i] for i, past in enumerate(pasts))
        border = (means < self.black).to(frame.dtype)  # comes after all others
        # E|a-b| of two frames with noise sigma is 2/sqrt(pi) sigma
        quiet = quantile((block_means(to_short.abs(), self.block) + border).unsqueeze(1), 0.25)[:, 0]
        sigma = 0.8862 * (quiet - quiet.floor())  # a night sky that is black almost everywhere is a scene all the same
        scale = self.scale(sigma)
        movement = to_long * scale
        parts = (
            2.0 * frame - 1.0,
            (8.0 * to_background).clamp(-2.0, 2.0),
            (to_background * scale).clamp(-self.reach, self.reach),
            (to_short * scale).clamp(-self.reach, self.reach),
            movement.clamp(-self.reach, self.reach),
        )
        return torch.cat(parts, dim=1), sigma, movement

    def scale(self, sigma: Tensor) -> Tensor:
        """What differences are multiplied by where the noise is `sigma`."""
        return 1.0 / (3.0 * sigma + 2.0 / 255.0)


def quantile(blocks: Tensor, share: float) -> Tensor:
    """A quantile of each row, (N,C,B) -> (N,C,1,1,1): TopK over some hundred values, not a sort over pixels."""
    count = max(1, int(int(blocks.shape[2]) * share))
    return blocks.topk(count, dim=2, largest=False).values[:, :, -1:, None, None]


def next_background(
    pace: Pace, frame: Tensor, background: Tensor, movement: Tensor, logits: Tensor, clock: Tensor
) -> Tensor:
    """The next slow background: a running mean at first, then exponential. What moves is let in at a fraction of the
    rate, or a slow bird would leave a trail; what may be gas is left out, but where it stays still it is let in slowly,
    or a once mistaken object would stay lit for good."""
    gas = (2.0 * torch.sigmoid(logits)).clamp(max=1.0)
    if gas.shape != frame.shape:
        gas = F.interpolate(gas, size=frame.shape[-2:], mode="nearest")
    step = clock[:, 0].reshape(-1, 1, 1, 1)
    age = clock[:, 1].reshape(-1, 1, 1, 1)
    still = torch.exp(-movement * movement)
    rate = step / (age.clamp(max=pace.background_s) + step + 1e-6)
    open_air = rate * (pace.passing + (1.0 - pace.passing) * still)
    slow = (step / pace.ghost_s) * still
    return background + (open_air * (1.0 - gas) + slow * gas).clamp(max=1.0) * (frame - background)


def next_memory(told: Tensor, memory: Tensor, logits: Tensor, trust: float = 1.0) -> Tensor:
    """The next memory (N, C, h, w): the output at its scale, and C - 1 features behind a forget gate (as in a GRU):
    bounded, so a year of it cannot drift.

    `told` (N, 2 (C - 1), h w) is the gate, then what may be remembered; `logits` (N, 1, H, W), whole multiples of
    that; `trust` is what the old memory counts. In rows over all positions, along which a runtime splits, joins and
    takes exponentials at little cost.
    """
    gate, candidate = told.float().chunk(2, dim=1)
    keep = torch.sigmoid(gate)
    new = 2.0 * torch.sigmoid(2.0 * candidate) - 1.0  # tanh, which takes OpenVINO three times as long
    old = memory.flatten(2).split([1, int(memory.shape[1]) - 1], dim=1)[1]
    kept = keep * (trust * old) + (1.0 - keep) * new
    output = F.avg_pool2d(torch.sigmoid(logits), int(logits.shape[-1]) // int(memory.shape[-1]))
    return torch.cat((output.flatten(2), kept), dim=1).reshape(memory.shape)
