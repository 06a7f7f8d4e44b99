"""PVTv2-b0 to b5 (arXiv 2106.13797, Apache-2.0 reference implementation by its authors; written anew here).

A pyramid of four transformer stages at 1/4 to 1/32: overlapping patches, attention over spatially reduced keys, and a
depthwise convolution in each MLP, whose zero padding tells a token where it is. The names of the parameters are those
of the published weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from quantize.weights import adapt, read, take


@dataclass(frozen=True)
class PVTConfig:
    """Per stage."""

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int] = (64, 128, 320, 512)
    expansions: tuple[int, int, int, int] = (8, 8, 4, 4)  # of the MLP
    heads: tuple[int, int, int, int] = (1, 2, 5, 8)
    reductions: tuple[int, int, int, int] = (8, 4, 2, 1)  # of the keys' height and width


PVT = {
    "b0": PVTConfig((2, 2, 2, 2), widths=(32, 64, 160, 256)),
    "b1": PVTConfig((2, 2, 2, 2)),
    "b2": PVTConfig((3, 4, 6, 3)),
    "b3": PVTConfig((3, 4, 18, 3)),
    "b4": PVTConfig((3, 8, 27, 3)),
    "b5": PVTConfig((3, 6, 40, 3), expansions=(4, 4, 4, 4)),
}


def tokens(image: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h*w, C)"""
    return image.flatten(2).transpose(1, 2)


def picture(tokens: Tensor, like: Tensor) -> Tensor:
    """(N, h*w, C) -> (N, C, h, w), with the height and width of `like`."""
    return tokens.transpose(1, 2).reshape(-1, tokens.shape[2], *like.shape[-2:])


class PatchEmbed(nn.Module):
    """Overlapping patches."""

    def __init__(self, cin: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(cin, width, kernel, stride, kernel // 2)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x)
        return picture(self.norm(tokens(x)), x)


class Attention(nn.Module):
    """Every position asks; keys and values are of a picture reduced by a strided convolution."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.reduces = reduction > 1
        if self.reduces:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        """(N, L, C) of a picture with the height and width of `like`."""
        source = self.norm(tokens(self.sr(picture(x, like)))) if self.reduces else x
        key, value = self.kv(source).chunk(2, dim=2)
        seen = F.scaled_dot_product_attention(*(self.split(part) for part in (self.q(x), key, value)))
        return self.proj(seen.transpose(1, 2).reshape(x.shape))

    def split(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, heads, L, C/heads)"""
        return x.reshape(x.shape[0], -1, self.heads, x.shape[2] // self.heads).transpose(1, 2)


class Depthwise(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, 1, 1, groups=width)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return tokens(self.dwconv(picture(x, like)))


class MLP(nn.Module):
    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, expansion * width)
        self.dwconv = Depthwise(expansion * width)
        self.fc2 = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.dwconv(self.fc1(x), like)))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, expansion: int, reduction: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, reduction)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width, expansion)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), like)
        return x + self.mlp(self.norm2(x), like)


class PVTv2(nn.Module):
    """(N, cin, H, W) -> four features (N, C, H/s, W/s), s = 4, 8, 16, 32, sizes rounded up."""

    def __init__(self, config: PVTConfig, cin: int = 3) -> None:
        super().__init__()
        self.widths = config.widths
        stages = zip(config.widths, config.heads, config.expansions, config.reductions, config.depths, strict=True)
        for i, (width, heads, expansion, reduction, depth) in enumerate(stages, 1):
            self.add_module(f"patch_embed{i}", PatchEmbed(cin, width, *((7, 4) if i == 1 else (3, 2))))
            blocks = (Block(width, heads, expansion, reduction) for _ in range(depth))
            self.add_module(f"block{i}", nn.ModuleList(blocks))
            self.add_module(f"norm{i}", nn.LayerNorm(width, eps=1e-6))
            cin = width
        self.apply(self.initialise)

    def load_published(self, path: Path) -> None:
        """Take over a published file of ImageNet weights. Raises ModelError that names every key that does not fit."""
        weights = {name: value for name, value in read(path).items() if not name.startswith("head.")}  # its classifier
        first = "patch_embed1.proj.weight"
        if first in weights:
            weights[first] = adapt(weights[first], self.patch_embed1.proj.in_channels)
        take(self, weights, path, "this backbone's")

    @staticmethod
    def initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
        elif isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0.0, (2.0 / fan_out) ** 0.5)
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = []
        for i in range(1, 5):
            x = getattr(self, f"patch_embed{i}")(x)
            row = tokens(x)
            for block in getattr(self, f"block{i}"):
                row = block(row, x)
            x = picture(getattr(self, f"norm{i}")(row), x)
            found.append(x)
        return tuple(found)
