"""Training with the rounding of INT8: what `quantize.int8` will do to convolutions is done in the forward pass already.

The weights of each output channel and the input of each convolution are rounded to symmetric integers, at the scales
that the quantiser will choose; gradients pass as if they were not (straight-through estimator, Bengio et al. 2013).
Batch norm may stay unfolded: it scales whole output channels, and so does the scale of their weights.
"""

from __future__ import annotations

from torch import Tensor, nn

WEIGHT_LEVELS = 63  # 7 bits: see quantize.int8
INPUT_LEVELS = 127
MEMORY = 0.99  # of the running mean of an input's largest value, as in the quantiser's calibration

# Names of what stays in float: where a small error moves a mask edge or is remembered for a year.
FLOAT_PARTS = (
    "correlate.to_key",
    "remember",
    "gate",
    "side4",
    "side8",
    "recall",
)


class RoundedConv(nn.Conv2d):
    """A convolution that computes with what INT8 leaves of its weights and its input."""

    reach: Tensor  # largest absolute value of the input, running mean; not part of the weights

    def forward(self, x: Tensor) -> Tensor:
        seen = x.detach().abs().amax().float()
        if self.training:
            self.reach = seen if self.reach == 0 else MEMORY * self.reach + (1.0 - MEMORY) * seen
        reach = self.reach if self.reach > 0 else seen
        own = self.weight.detach().abs().amax((1, 2, 3), keepdim=True)
        weight = rounded(self.weight, own, WEIGHT_LEVELS)
        return self._conv_forward(rounded(x, reach, INPUT_LEVELS), weight, self.bias)


def rounded(x: Tensor, reach: Tensor, levels: int) -> Tensor:
    """`x` on a grid of `levels` steps between 0 and `reach` on either side; the gradient ignores the grid."""
    scale = (reach / levels).clamp(min=1e-8).to(x.dtype)
    return x + ((x / scale).round().clamp(-levels, levels) * scale - x).detach()


def round_convolutions(network: nn.Module) -> nn.Module:
    """Turn the convolutions that INT8 will hold into rounded ones, in place; names and weights stay as they are."""
    for name, module in network.named_modules():
        if type(module) is nn.Conv2d and not any(part in f"{name}." for part in FLOAT_PARTS):
            module.__class__ = RoundedConv
            module.register_buffer("reach", module.weight.new_zeros(()), persistent=False)
    return network
