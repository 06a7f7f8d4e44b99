"""FGSTP's decoder: a neighbour connection decoder for a first mask, then three reverse stages from coarse to fine.

The names of the attributes are those of the authors' published weights. Sizes follow the features, so that an input
need not be a multiple of 32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantize.perception import ConvNorm


def resize(x: Tensor, like: Tensor, *, corners: bool = False) -> Tensor:
    """Bilinear, to the height and width of `like`."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=corners)


class NeighbourConnection(nn.Module):
    """The pyramid's scales multiplied into their finer neighbours: only what all of them see remains."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        self.conv_upsample1, self.conv_upsample2, self.conv_upsample3, self.conv_upsample4 = (
            ConvNorm(c, c, 3) for _ in range(4)
        )
        self.conv_upsample5 = ConvNorm(2 * c, 2 * c, 3)
        self.conv_concat2 = ConvNorm(2 * c, 2 * c, 3)
        self.conv_concat3 = ConvNorm(3 * c, 3 * c, 3)
        self.conv4 = ConvNorm(3 * c, 3 * c, 3)
        self.conv5 = nn.Conv2d(3 * c, 1, 1)

    def forward(self, x8: Tensor, x16: Tensor, x32: Tensor) -> Tensor:
        """(N, C, h, w) at 1/8, 1/16, 1/32 -> logits (N, 1, h, w) at 1/8."""
        top = resize(x32, x16, corners=True)
        middle = self.conv_upsample1(top) * x16
        fine = self.conv_upsample2(resize(middle, x8, corners=True))
        fine = fine * self.conv_upsample3(resize(x16, x8, corners=True)) * x8
        joined = self.conv_concat2(torch.cat((middle, self.conv_upsample4(top)), dim=1))
        joined = self.conv_upsample5(resize(joined, x8, corners=True))
        return self.conv5(self.conv4(self.conv_concat3(torch.cat((fine, joined), dim=1))))


class ReversalAttention(nn.Module):
    """Group-wise: the reversed mask stands beside every `width` channels, and is itself corrected."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.groups = channels // width
        self.conv = nn.Sequential(nn.Conv2d(channels + self.groups, channels, 3, padding=1), nn.ReLU())
        self.score = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        parts = [part for group in x.chunk(self.groups, dim=1) for part in (group, mask)]
        x = x + self.conv(torch.cat(parts, dim=1))
        return x, mask + self.score(x)


class ReverseStage(nn.Module):
    """Looks where the coarser mask sees nothing, with groups of all, 8 and 1 channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weak_gra = ReversalAttention(channels, channels)
        self.medium_gra = ReversalAttention(channels, min(8, channels))
        self.strong_gra = ReversalAttention(channels, 1)

    def forward(self, x: Tensor, coarse: Tensor) -> Tensor:
        """Features and logits of a coarser stage, resized to them -> logits."""
        reverse = 1.0 - torch.sigmoid(coarse)
        x, reverse = self.weak_gra(x, reverse)
        x, reverse = self.medium_gra(x, reverse)
        return coarse + self.strong_gra(x, reverse)[1]


class Decoder(nn.Module):
    """Three scales of features to four masks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.NCD = NeighbourConnection(channels)
        self.RS5, self.RS4, self.RS3 = (ReverseStage(channels) for _ in range(3))

    def forward(self, x8: Tensor, x16: Tensor, x32: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of the first mask (1/8) and of the stages at 1/32, 1/16 and 1/8, the last one the best."""
        first = self.NCD(x8, x16, x32)
        stage5 = self.RS5(x32, resize(first, x32))
        stage4 = self.RS4(x16, resize(stage5, x16))
        return first, stage5, stage4, self.RS3(x8, resize(stage4, x8))
