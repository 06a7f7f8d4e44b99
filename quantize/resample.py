"""Pictures made twice or eight times smaller or larger, written so that the runtimes take little time over it.

A Resize of OpenVINO costs more than a dense convolution of the same size, and a pooling or convolution with one
channel leaves most of a vector register empty. So bilinear doubling is copying and a depthwise convolution, and what
can be said by reshaping alone is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def double(x: Tensor) -> Tensor:
    """Twice the size, bilinear (half-pixel centres): each pixel copied to 2x2, then smoothed by 1 2 1 over 4."""
    if torch.compiler.is_compiling():  # where torch 2.13 mistakes the strides of the padding's gradient
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    channels = int(x.shape[1])
    weights = x.new_tensor((0.25, 0.5, 0.25))
    kernel = torch.outer(weights, weights).expand(channels, 1, 3, 3)
    copied = F.pad(F.interpolate(x, scale_factor=2.0, mode="nearest"), (1, 1, 1, 1), mode="replicate")
    return F.conv2d(copied, kernel.to(x.dtype), groups=channels)


def double_plane(x: Tensor) -> Tensor:
    """The same for one channel: columns become two channels of a convolution, rows are mixed and stacked."""
    n, _, height, width = (int(size) for size in x.shape)
    kernel = x.new_tensor(((0.25, 0.75, 0.0), (0.0, 0.75, 0.25))).reshape(2, 1, 1, 3)
    columns = F.conv2d(F.pad(x, (1, 1, 0, 0), mode="replicate"), kernel.to(x.dtype))
    wide = columns.permute(0, 2, 3, 1).reshape(n, 1, height, 2 * width)
    beside = F.pad(wide, (0, 0, 1, 1), mode="replicate")
    rows = [0.75 * wide + 0.25 * beside[:, :, dy : dy + height] for dy in (0, 2)]
    return torch.stack(rows, dim=3).reshape(n, 1, 2 * height, 2 * width)


def pictures(frames: Tensor, reduction: int) -> Tensor:
    """(..., 1, H, W) of a camera -> area means over `reduction` px each way, as the device's preprocessing does it."""
    if reduction == 1:
        return frames
    size = tuple(int(side) // reduction for side in frames.shape[-2:])
    return F.avg_pool2d(frames.reshape(-1, *frames.shape[-3:]), reduction).reshape(*frames.shape[:-2], *size)


def block_means(picture: Tensor, side: int) -> Tensor:
    """(N,1,H,W), multiples of `side` -> (N, H W / side²) means over square blocks."""
    n, _, height, width = (int(size) for size in picture.shape)
    rows = picture.reshape(n, height // side, side, width).mean(2)
    return rows.reshape(n, height // side, width // side, side).mean(3).flatten(1)
