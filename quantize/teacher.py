"""The teacher: FGSTP as the paper describes it (arXiv 2505.00295), causal, in the student's step interface.

    frame, clock, states ──▶ Senses ──▶ backbone ──▶ CTC ──▶ feedback ──▶ FSP ──▶ decoder ──▶ fine stage ──▶ logits
                                      1/8 1/16 1/32  each scale, two lags         four masks

What a step leaves behind are this frame's features at the three scales, so one pass of the backbone a frame is enough.
Ours beyond the paper: the inputs (`Senses`), two lags in seconds instead of neighbouring frames, and a fine stage from
1/8 to 1/2, since a mask at 1/8 loses the edge of a plume.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import ConfigError
from quantize.correlation import all_pairs, unit
from quantize.decoder import Decoder, resize
from quantize.lite0 import PACKAGE, Lite0
from quantize.perception import ConvNorm, FineGrainedPerception, ReceptiveField
from quantize.pvt import PVT, PVTConfig, PVTv2
from quantize.resample import double
from quantize.senses import Pace, Senses, next_background, next_memory
from quantize.student import conv

BACKBONES = ("lite0", *PVT)


@dataclass(frozen=True)
class TeacherConfig(Pace):
    """Widths, and which backbone."""

    backbone: str = "lite0"
    channels: int = 32  # of each scale behind the backbone
    memory_channels: int = 8  # the first one is the previous output
    groups: int = 6  # of the fine-grained perception
    detail: int = 16  # width of the fine stage
    pvt: PVTConfig | None = None  # another PVTv2 than the published ones
    reduction: int = 1  # camera px in a px of the pictures

    @property
    def name(self) -> str:
        return f"teacher-{self.backbone}"


class Backbone(nn.Module):
    """Features at 1/8, 1/16 and 1/32, brought to the same number of channels."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        if config.backbone not in BACKBONES and config.pvt is None:
            raise ConfigError(f"backbone '{config.backbone}' is unknown; choose one of {', '.join(BACKBONES)}")
        if config.backbone == "lite0":
            self.pyramid = Lite0(Senses.channels)
        else:
            self.pyramid = PVTv2(config.pvt or PVT[config.backbone], Senses.channels)
        self.necks = nn.ModuleList(ReceptiveField(width, config.channels) for width in self.pyramid.widths[-3:])
        self.published = ""  # which published weights the pyramid starts from

    def start_from_imagenet(self, path: Path | None = None) -> None:
        """Take over the weights that lite0's package holds, or a PVTv2's published file. Raises ConfigError or
        ModelError."""
        if isinstance(self.pyramid, Lite0):
            self.pyramid.load_imagenet()
            self.published = f"ImageNet, {PACKAGE} (Apache-2.0)"
        elif path:
            self.pyramid.load_published(path)
            self.published = f"ImageNet, {path.name}"

    def forward(self, seen: Tensor) -> list[Tensor]:
        return [neck(x) for neck, x in zip(self.necks, self.pyramid(seen)[-3:], strict=True)]


class ConsecutiveCorrelation(nn.Module):
    """FGSTP's CTC at one scale: xi = Corr * delta(f_t, f_past), then convolutions beside an identity.

    Corr says how much of what lies at (u,v) in a remembered frame each position (x,y) of this one takes; delta is a
    learned comparison of the two frames at (u,v).
    """

    def __init__(self, channels: int, lags: int = 2) -> None:
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.tensor(log(10.0)))
        self.compare = nn.Conv2d(2 * channels, channels, 1)
        self.refine = nn.Sequential(conv(lags * channels, channels), ConvNorm(channels, channels, 3))

    def forward(self, x: Tensor, key: Tensor, pasts: list[Tensor]) -> Tensor:
        """`x`, `key` and each of `pasts` (N, C, h, w); `key` is `x` with unit length over C."""
        found = [self.recall(key, past) for past in pasts]
        return F.relu(x + self.refine(torch.cat(found, dim=1)))

    def recall(self, key: Tensor, past: Tensor) -> Tensor:
        with torch.autocast(key.device.type, enabled=False):  # what is compared is small: kept in float
            sharpness = self.log_sharpness.float().exp().clamp(max=100.0)
            volume = all_pairs(key.flatten(2), past.flatten(2), sharpness)
        # an empty past (all zeros) must not look like a change
        known = (past * past).sum(1, keepdim=True)
        delta = self.compare(torch.cat((key, past), dim=1)) * known
        return torch.matmul(volume, delta.flatten(2).transpose(1, 2).float()).transpose(1, 2).reshape(key.shape)


class Detail(nn.Module):
    """From 1/8 to 1/2: looks at the pixels where the coarse mask is not sure that there is gas."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.enter2 = conv(Senses.channels, width, stride=2)
        self.enter4 = conv(width, 2 * width, stride=2)
        self.down8 = conv(channels, 2 * width, kernel=1)
        self.decode4 = conv(2 * width, 2 * width)
        self.down4 = conv(2 * width, width, kernel=1)
        self.refine2 = conv(width, width)
        self.boundary = nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, seen: Tensor, x8: Tensor, coarse: Tensor) -> Tensor:
        """Inputs (N,5,H,W), features (N,C,H/8,W/8) and logits (N,1,H/2,W/2) -> logits (N,1,H/2,W/2)."""
        e2 = self.enter2(seen)
        d4 = self.decode4(self.enter4(e2) + double(self.down8(x8)))
        return coarse + self.boundary(self.refine2(double(self.down4(d4)) + e2 * (1.0 - torch.sigmoid(coarse))))


class Teacher(nn.Module):
    """One step, as Student's: frame and remembered tensors in, mask logits and tensors to remember out.

    `key` is (N, C, P): unit-length features at 1/8, 1/16 and 1/32 one after the other, positions in a row.
    """

    def __init__(self, config: TeacherConfig | None = None) -> None:
        super().__init__()
        self.config = cfg = config or TeacherConfig()
        self.senses = Senses()
        self.encoder = Backbone(cfg)
        self.correlate = nn.ModuleList(ConsecutiveCorrelation(cfg.channels) for _ in range(3))
        self.feedback = nn.ModuleList(conv(cfg.channels + cfg.memory_channels, cfg.channels) for _ in range(3))
        self.perceive = nn.ModuleList(FineGrainedPerception(cfg.channels, cfg.groups) for _ in range(3))
        self.decoder = Decoder(cfg.channels)
        self.detail = Detail(cfg.channels, cfg.detail)
        self.remember = nn.Conv2d(cfg.channels + cfg.memory_channels, 2 * (cfg.memory_channels - 1), 1)

    def states(self, frame: Tensor) -> dict[str, Tensor]:
        """What a step is fed while nothing is remembered; `frame` is (N,1,H,W), H and W multiples of 16."""
        n, _, h, w = frame.shape
        places = sum(high * wide for high, wide in scales(int(h), int(w)))
        key = frame.new_zeros(n, self.config.channels, places)
        memory = frame.new_zeros(n, self.config.memory_channels, h // 8, w // 8)
        images = dict.fromkeys(("frame_short", "frame_long", "background"), frame)
        return {**images, "key_short": key, "key_long": key.clone(), "memory": memory}

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
        """As Student.forward; the side outputs are the decoder's four masks at the resolution of the logits, and
        `bottleneck` its finest features (N, C, H/8, W/8)."""
        memory = self.config.trust * memory
        seen, sigma, movement = self.senses(frame, frame_short, frame_long, background)
        features = self.encoder(seen)
        keys = [unit(x) for x in features]
        pasts = [unpack(key, features) for key in (key_short, key_long)]
        found = []
        for i, x in enumerate(features):
            x = self.correlate[i](x, keys[i], [past[i] for past in pasts])
            x = x + self.feedback[i](torch.cat((x, resize(memory, x)), dim=1))
            found.append(self.perceive[i](x))
        sides = [resize(mask, frame_size(frame, 2)).float() for mask in self.decoder(*found)]
        logits = self.detail(seen, found[0], sides[-1]).float()
        told = self.remember(torch.cat((found[0], memory), dim=1))
        return {
            "logits": logits,
            "noise": sigma.reshape(-1),
            "key": pack(keys),
            "background_next": next_background(self.config, frame, background, movement, logits, clock),
            "memory_next": next_memory(told.flatten(2), memory, logits),
            **{f"side{i}": side for i, side in enumerate(sides)},
            "bottleneck": found[0],
        }


def scales(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes of the three scales of a view; strided layers round up."""
    return [(-(-height // by), -(-width // by)) for by in (8, 16, 32)]


def frame_size(frame: Tensor, by: int) -> Tensor:
    """Something with the height and width of the frame, divided."""
    return frame[..., ::by, ::by]


def pack(keys: list[Tensor]) -> Tensor:
    """Three (N, C, h, w) -> one (N, C, P), so that the ring remembers one tensor a frame."""
    return torch.cat([key.flatten(2) for key in keys], dim=2)


def unpack(key: Tensor, like: list[Tensor]) -> list[Tensor]:
    """What `pack` put together."""
    parts = key.split([int(x.shape[2]) * int(x.shape[3]) for x in like], dim=2)
    return [part.reshape(x.shape) for part, x in zip(parts, like, strict=True)]
