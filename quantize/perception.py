"""Blocks that FGSTP's encoder and Fine-grained Spatial Perception are made of, in the paper's form and in the authors'.

The names of the attributes are those of the authors' published weights, so that both variants share these modules.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """Convolution and batch norm; ReLU only where asked for. Keeps the size."""

    def __init__(
        self, cin: int, cout: int, kernel: int | tuple[int, int], *, dilation: int = 1, relu: bool = False
    ) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2 * dilation, width // 2 * dilation)
        self.conv = nn.Conv2d(cin, cout, kernel, padding=padding, dilation=dilation, bias=False)
        self.bn = nn.BatchNorm2d(cout)
        self.active = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return F.relu(x) if self.active else x


class ReceptiveField(nn.Module):
    """Receptive-field block: the same place seen in four widths, brought to the pyramid's common channels."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.branch0 = nn.Sequential(ConvNorm(cin, cout, 1))
        self.branch1, self.branch2, self.branch3 = (self.branch(cin, cout, reach) for reach in (3, 5, 7))
        self.conv_cat = ConvNorm(4 * cout, cout, 3)
        self.conv_res = ConvNorm(cin, cout, 1)

    @staticmethod
    def branch(cin: int, cout: int, reach: int) -> nn.Sequential:
        return nn.Sequential(
            ConvNorm(cin, cout, 1),
            ConvNorm(cout, cout, (1, reach)),
            ConvNorm(cout, cout, (reach, 1)),
            ConvNorm(cout, cout, 3, dilation=reach),
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = [branch(x) for branch in (self.branch0, self.branch1, self.branch2, self.branch3)]
        return F.relu(self.conv_cat(torch.cat(seen, dim=1)) + self.conv_res(x))


class FineGrainedPerception(nn.Module):
    """FGSTP's FSP: channel groups in a row, each with what the one before found, under a softmax gate over them all.

    A group's convolution gives three parts: its output, what it passes on, and its say in the gate.
    """

    def __init__(self, channels: int, groups: int = 6) -> None:
        super().__init__()
        self.groups = groups
        width = channels // 2
        self.expand_conv = ConvNorm(channels, groups * width, 1, relu=True)
        self.interact = nn.ModuleDict()
        for i in range(groups):
            read, told = (1 if i == 0 else 2), (3 if i < groups - 1 else 2)  # the last has nobody to pass on to
            self.interact[str(i)] = ConvNorm(read * width, told * width, 3, relu=True)
        self.gate_genator = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(groups * width, width, 1),
            nn.ReLU(),
            nn.Conv2d(width, groups * width, 1),
            nn.Softmax(dim=1),
        )
        self.BNReLU = ConvNorm(groups * width, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        found: list[Tensor] = []
        says: list[Tensor] = []
        passed: list[Tensor] = []
        for part, step in zip(self.expand_conv(x).chunk(self.groups, dim=1), self.interact.values(), strict=True):
            told = step(torch.cat((part, *passed), dim=1)).chunk(3 if len(found) < self.groups - 1 else 2, dim=1)
            found.append(told[0])
            passed = [told[1]]
            says.append(told[-1])
        gate = self.gate_genator(torch.cat(says, dim=1))
        return F.relu(self.BNReLU(torch.cat(found, dim=1) * gate) + x)
