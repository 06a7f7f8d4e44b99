"""The FGSTP authors' own network, for those who have their file of weights.

    python -m quantize.authors --load-authors gasvid_best.pth --out runs/authors.pt
    python -m quantize.export runs/authors.pt --size 352x352 --out runs/authors.onnx

Names and arithmetic are theirs (github.com/GeekEagle/FGSTP), written anew: a non-local block on each concatenated pair
of frames, no feedback, masks of two pairs fused by three convolutions. Theirs pairs a frame with the two that follow;
here it is paired with two earlier ones, at the student's lags, so that the mask of a frame needs nothing after it.
Best at 352x352, RGB with ImageNet's mean and deviation (a grey frame is all three).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import ConfigError, FgstpError
from quantize.decoder import Decoder, resize
from quantize.perception import ConvNorm, FineGrainedPerception, ReceptiveField
from quantize.pvt import PVT, PVTConfig, PVTv2
from quantize.senses import Pace, Senses, next_background
from quantize.teacher import frame_size, pack, scales, unpack
from quantize.weights import read, take

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB
SMALLEST = 240  # px


@dataclass(frozen=True)
class AuthorsConfig(Pace):
    """Their figures; a test takes smaller ones."""

    channels: int = 32
    pvt: PVTConfig = PVT["b5"]
    reduction: int = 1  # camera px in a px of the pictures

    @property
    def name(self) -> str:
        return "authors"


class NonLocal(nn.Module):
    """Self-attention of a concatenated pair over its own max-pooled positions."""

    def __init__(self, channels: int, pool: int) -> None:
        super().__init__()
        self.g = nn.Sequential(nn.Conv2d(channels, channels // 2, 1), nn.MaxPool2d(pool))
        self.phi = nn.MaxPool2d(pool)
        self.W = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, pair: Tensor) -> Tensor:
        values = self.g(pair).flatten(2).transpose(1, 2)
        volume = torch.softmax(torch.matmul(pair.flatten(2).transpose(1, 2), self.phi(pair).flatten(2)), dim=2)
        read = torch.matmul(volume, values).transpose(1, 2)
        return self.W(read.reshape(read.shape[0], read.shape[1], *pair.shape[-2:])) + pair


class PairCorrelation(nn.Module):
    def __init__(self, channels: int, pool: int) -> None:
        super().__init__()
        self.nonlocals = nn.ModuleList([NonLocal(channels, pool)])
        self.out_conv = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, pair: Tensor) -> Tensor:
        return self.out_conv(torch.cat((pair, self.nonlocals[0](pair)), dim=1))


class PairCorrelations(nn.Module):
    """Their CTC: one pair of frames, three scales."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nl_layer1, self.nl_layer2, self.nl_layer3 = (PairCorrelation(2 * channels, pool) for pool in (2, 4, 8))
        self.conv1, self.conv2, self.conv3 = (ConvNorm(2 * channels, channels, 3) for _ in range(3))

    def forward(self, now: list[Tensor], other: list[Tensor]) -> list[Tensor]:
        layers = (self.nl_layer1, self.nl_layer2, self.nl_layer3)
        after = (self.conv1, self.conv2, self.conv3)
        pairs = [torch.cat(pair, dim=1) for pair in zip(now, other, strict=True)]
        return [mix(layer(pair)) for mix, layer, pair in zip(after, layers, pairs, strict=True)]


class Encoder(nn.Module):
    def __init__(self, config: AuthorsConfig) -> None:
        super().__init__()
        self.pvtv2_en = PVTv2(config.pvt)
        self.rfb2_1, self.rfb3_1, self.rfb4_1 = (
            ReceptiveField(width, config.channels) for width in config.pvt.widths[1:]
        )

    def forward(self, picture: Tensor) -> list[Tensor]:
        _, x8, x16, x32 = self.pvtv2_en(picture)
        return [self.rfb2_1(x8), self.rfb3_1(x16), self.rfb4_1(x32)]


class Authors(nn.Module):
    """Their network in the student's step interface; neither memory nor background changes its masks."""

    def __init__(self, config: AuthorsConfig | None = None) -> None:
        super().__init__()
        self.config = cfg = config or AuthorsConfig()
        self.backbone = nn.ModuleDict({"encoder": Encoder(cfg), "decoder": Decoder(cfg.channels)})
        self.ctc = PairCorrelations(cfg.channels)
        self.fsp1, self.fsp2, self.fsp3 = (FineGrainedPerception(cfg.channels) for _ in range(3))
        # as theirs: no activation between them
        self.fusion_conv = nn.Sequential(
            nn.Conv2d(2, 32, 3, 1, 1), nn.Conv2d(32, 32, 3, 1, 1), nn.Conv2d(32, 1, 3, 1, 1)
        )
        self.senses = Senses()
        self.published = ""  # which weights these are
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values).reshape(1, 3, 1, 1), persistent=False)

    def states(self, frame: Tensor) -> dict[str, Tensor]:
        """What a step is fed while nothing is remembered; `frame` is (N,1,H,W), 240 px or more each way. Raises
        ConfigError for less: nothing of 1/32 would be left under their coarsest pooling."""
        n, _, h, w = frame.shape
        if min(h, w) < SMALLEST:
            raise ConfigError(f"the authors' network wants {SMALLEST} px or more each way, not {w}x{h}; see --size")
        places = sum(high * wide for high, wide in scales(int(h), int(w)))
        key = frame.new_zeros(n, self.config.channels, places)
        images = dict.fromkeys(("frame_short", "frame_long", "background"), frame)
        memory = frame.new_zeros(n, 1, h // 8, w // 8)
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
        """As Student.forward; a missing earlier frame is taken to look like this one."""
        _, sigma, movement = self.senses(frame, frame_short, frame_long, background)
        now = self.backbone["encoder"]((frame - self.mean) / self.deviation)
        here = pack(now)
        others = [unpack(known(key, here), now) for key in (key_short, key_long)]
        *masks, fused = self.fuse(now, others, frame)
        half = frame_size(frame, 2)
        logits = resize(fused, half).float()
        return {
            "logits": logits,
            "noise": sigma.reshape(-1),
            "key": here.float(),
            "background_next": next_background(self.config, frame, background, movement, logits, clock),
            "memory_next": F.avg_pool2d(torch.sigmoid(logits), 4),
            **{f"side{i}": resize(mask, half).float() for i, mask in enumerate(masks)},
            "bottleneck": now[0],
        }

    def fuse(self, now: list[Tensor], others: list[list[Tensor]], frame: Tensor) -> list[Tensor]:
        """Features of a frame and of two others -> four masks of each pair and the fused one, (N,1,H,W) logits."""
        masks: list[Tensor] = []
        for other in others:
            changed = self.ctc(now, other)
            perceived = [
                fsp(change + x) for fsp, change, x in zip((self.fsp1, self.fsp2, self.fsp3), changed, now, strict=True)
            ]
            masks += [resize(mask, frame) for mask in self.backbone["decoder"](*perceived)]
        return [*masks, self.fusion_conv(torch.cat((masks[3], masks[7]), dim=1))]


def known(key: Tensor, here: Tensor) -> Tensor:
    """A remembered key; this frame's where nothing is remembered (all zeros)."""
    remembered = (key.abs().amax((1, 2), keepdim=True) > 0).to(here)
    return key * remembered + here * (1.0 - remembered)


def load_authors(path: Path, config: AuthorsConfig | None = None) -> Authors:
    """Their network with the weights in their file. Raises ModelError that names every key that does not fit."""
    weights = read(path)
    network = Authors(config)
    take(network, weights, path, "the authors'")
    network.published = f"the FGSTP authors' {path.name}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return network.eval()


def main() -> None:
    from quantize.models import describe

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load-authors", type=Path, required=True, help="their state dict")
    parser.add_argument("--out", type=Path, default=Path("runs/authors.pt"), help="a checkpoint as quantize.train's")
    options = parser.parse_args()
    network = load_authors(options.load_authors)
    provenance = {"model": network.config.name, "data": network.published, "runs": []}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = {"ema": network.state_dict(), "steps": 0, "provenance": provenance, "model": describe(network)}
    torch.save(checkpoint, options.out)
    print(f"{options.out}: {sum(p.numel() for p in network.parameters()) / 1e6:.1f} M parameters")


if __name__ == "__main__":
    try:
        main()
    except FgstpError as error:
        print(f"quantize.authors: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
