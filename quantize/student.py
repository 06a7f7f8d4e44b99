"""The student: a small causal FGSTP for the box beside the camera.

From FGSTP (arXiv 2505.00295) it keeps the cross-frame correlation, the feedback of earlier outputs, the grouped
fine-grained perception with a gate; it leaves out the transformer and the reverse attention of the decoder.
Dense 3x3 conv + BN + ReLU only, since that is what INT8 makes faster.

The network remembers nothing: what it needs of the past comes in, what it leaves for the future goes out.

A step is given pictures at half of the camera's 320x240 px, in area means: a plume is never as fine as a px, its noise
is halved, and everything that is remembered takes a quarter of the room and of the time. Layers are named after their
scale in the camera's px.

    frame, clock, states ──▶ Senses ──▶ encoder ──▶ correlation ──▶ perception ──▶ decoder ──▶ logits, next states
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantize.correlation import mixed_correlation, unit
from quantize.resample import double, double_plane
from quantize.senses import Pace, Senses, next_background, next_memory

LAG_SHORT_S = 2 / 15
LAG_LONG_S = 8 / 15


@dataclass(frozen=True, kw_only=True)
class StudentConfig(Pace):
    """Widths by scale (1/2, 1/4, 1/8, 1/16), and what the past looks like."""

    name: str = "small"
    widths: tuple[int, int, int, int] = (12, 16, 32, 48)
    key_channels: int = 16
    memory_channels: int = 8  # the first one is the previous output
    radius: int = 3  # of the correlation window, in steps of 8 px
    groups: int = 4
    reduction: int = 2  # camera px in a px of the pictures, each way


SIZES = {
    size.name: size
    for size in (
        StudentConfig(name="nano", widths=(6, 8, 12, 16), key_channels=8, memory_channels=4),
        StudentConfig(),
        StudentConfig(name="base", widths=(16, 24, 48, 72)),
    )
}  # 33, 144 and 295 MMAC at 320x240


def conv(cin: int, cout: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Dense convolution, batch norm (folded at export), ReLU."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


def changes(key: Tensor, past: Tensor) -> Tensor:
    """Since a past of unit length; zeros where nothing is remembered: an empty past must not look like a change."""
    return (key - past) * (past * past).sum(1, keepdim=True)


class Mix(nn.Sequential):
    """A 1x1 convolution, batch norm and ReLU over the correlations with two pasts and the changes since each."""

    def __init__(self, channels: int, key_channels: int, radius: int) -> None:
        side = 2 * radius + 1
        super().__init__(*conv(2 * (side**2 + key_channels), channels, kernel=1))
        self.side = side

    def forward(self, key: Tensor, pasts: tuple[Tensor, Tensor]) -> Tensor:
        """(N,K,h,w) each -> (N,C,h,w)."""
        around, channels = self.side**2, int(key.shape[1])
        weight = self[0].weight.reshape(-1, 2, around + channels)  # (C, pasts, ...)
        window = weight[:, :, :around].reshape(-1, 2, self.side, self.side)
        changed = weight[:, :, around:].reshape(-1, 2 * channels, 1, 1)
        mixed = mixed_correlation(key, pasts, window)
        since = torch.cat([changes(key, past) for past in pasts], dim=1)
        return self[2](self[1](mixed + F.conv2d(since, changed)))


class TemporalCorrelation(nn.Module):
    """Where does this frame's texture lie in the remembered ones, and how has it changed? (FGSTP's CTC, local)"""

    def __init__(self, channels: int, key_channels: int, radius: int) -> None:
        super().__init__()
        self.to_key = nn.Conv2d(channels, key_channels, 1)
        self.mix = Mix(channels, key_channels, radius)
        self.refine = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor, key_short: Tensor, key_long: Tensor) -> tuple[Tensor, Tensor]:
        """(N,C,h,w) and two (N,K,h,w) -> refined (N,C,h,w) and this frame's key (N,K,h,w)."""
        key = unit(self.to_key(x))
        return F.relu(x + self.refine(self.mix(key, (key_short, key_long)))), key


class FinePerception(nn.Module):
    """Channel groups that pass on what they found to the next one, weighed by a gate over all of them (FGSTP's FSP)."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.width = channels // groups
        self.steps = nn.ModuleList(conv(self.width if i == 0 else 2 * self.width, self.width) for i in range(groups))
        self.gate = nn.Conv2d(channels, channels, 1)
        self.out = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        found: list[Tensor] = []
        for i, step in enumerate(self.steps):
            part = x[:, i * self.width : (i + 1) * self.width]
            found.append(step(torch.cat((part, found[-1]), dim=1) if found else part))
        joined = torch.cat(found, dim=1)
        weight = torch.softmax(self.gate(joined.mean((2, 3), keepdim=True)), dim=1) * joined.shape[1]
        return self.out(x + joined * weight)


class Student(nn.Module):
    """One step: frame and remembered tensors in, mask logits and tensors to remember out."""

    def __init__(self, config: StudentConfig | None = None) -> None:
        super().__init__()
        self.config = cfg = config or StudentConfig()
        w2, w4, w8, w16 = cfg.widths
        self.senses = Senses(block=8)
        self.enter2 = conv(Senses.channels, w2)
        self.enter4 = conv(w2, w4, stride=2)
        self.recall = conv(w4 + cfg.memory_channels, w4, kernel=1)
        self.body4 = Residual(w4)
        self.enter8 = conv(w4, w8, stride=2)
        self.body8 = Residual(w8)
        self.correlate = TemporalCorrelation(w8, cfg.key_channels, cfg.radius)
        self.enter16 = nn.Sequential(conv(w8, w16, stride=2), Residual(w16))
        self.down16 = conv(w16, w8, kernel=1)
        self.perceive = FinePerception(w8, cfg.groups)
        self.down8 = conv(w8, w4, kernel=1)
        self.decode4 = conv(w4, w4)
        self.remember = nn.Conv2d(w4 + cfg.memory_channels, 2 * (cfg.memory_channels - 1), 1)
        self.side8, self.side4 = nn.Conv2d(w8, 1, 1), nn.Conv2d(w4, 1, 1)

    def states(self, frame: Tensor) -> dict[str, Tensor]:
        """What a step is fed while nothing is remembered; `frame` is (N,1,H,W), H and W multiples of 8."""
        n, _, h, w = frame.shape
        key = frame.new_zeros(n, self.config.key_channels, h // 4, w // 4)
        memory = frame.new_zeros(n, self.config.memory_channels, h // 2, w // 2)
        images = dict.fromkeys(("frame_short", "frame_long", "background"), frame)
        return {**images, "key_short": key, "key_long": key, "memory": memory}

    def forward(
        self,
        frame: Tensor,
        clock: Tensor,
        frame_short: Tensor,
        frame_long: Tensor,
        key_short: Tensor,
        key_long: Tensor,
        background: Tensor,
        memory: Tensor,
    ) -> dict[str, Tensor]:
        """Shapes as in the ModelSpec. Returns logits (N,1,H,W), noise (N,), key, background_next, memory_next and
        what only training looks at: the coarser `side4`, `side8` logits and the `bottleneck` (N,C,H/4,W/4)."""
        seen, sigma, movement = self.senses(frame, frame_short, frame_long, background)
        e4 = self.body4(self.remind(self.enter4(self.enter2(seen)), memory))
        e8, key = self.correlate(self.body8(self.enter8(e4)), key_short, key_long)
        d8 = self.perceive(e8 + double(self.down16(self.enter16(e8))))
        d4 = self.decode4(e4 + double(self.down8(d8)))
        told, side4 = self.conclude(d4, memory)
        logits = double_plane(side4).float()
        return {
            "logits": logits,
            "noise": sigma.reshape(-1),
            "key": key,
            "background_next": next_background(self.config, frame, background, movement, logits, clock),
            "memory_next": next_memory(told, memory, logits, self.config.trust),
            "side4": side4,
            "side8": self.side8(d8),
            "bottleneck": d8,
        }

    def remind(self, x: Tensor, memory: Tensor) -> Tensor:
        """`recall` over features and memory."""
        layer, norm, active = self.recall
        seen, remembered = self.apart(layer)
        return active(norm(F.conv2d(x, seen) + F.conv2d(memory, remembered)))

    def conclude(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """`remember` over features and memory (N, 2 (C - 1), h w), and `side4` (N, 1, h, w) as one more channel of it,
        in which the memory has no say: by itself it would take as long as all the others."""
        seen, remembered = self.apart(self.remember)
        weight, bias = torch.cat((seen, self.side4.weight)), torch.cat((self.remember.bias, self.side4.bias))
        unsaid = remembered.new_zeros(1, *remembered.shape[1:])
        said = F.conv2d(x, weight, bias) + F.conv2d(memory, torch.cat((remembered, unsaid)))
        told, side4 = said.flatten(2).split([len(seen), 1], dim=1)
        return told, side4.reshape(len(x), 1, *x.shape[2:])

    def apart(self, layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
        """Weights of a 1x1 layer over features and over memory, these by as much as that is trusted. The two are not
        joined: their channels are the innermost axis in most runtimes."""
        channels = self.config.memory_channels
        seen, remembered = layer.weight.split([layer.in_channels - channels, channels], dim=1)
        return seen, self.config.trust * remembered
