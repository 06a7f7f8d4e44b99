"""The small student with one part of it taken out or made otherwise; `quantize.ablation` asks what each part is worth.

A part is replaced after the whole network has been built, so that with the same seed all other weights begin alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import ConfigError
from quantize.correlation import unit
from quantize.senses import Senses
from quantize.student import SIZES, Mix, Student, StudentConfig, TemporalCorrelation, changes, conv

TYPICAL_NOISE = 1.0 / 255.0  # of rendered clips
SHARPNESS = 10.0  # of the exponentials that a correlation is normalised with; it is learned from there on


class Unscaled(Senses):
    """Differences in units of one constant, whatever the camera's noise."""

    def scale(self, sigma: Tensor) -> Tensor:
        return super().scale(torch.full_like(sigma, TYPICAL_NOISE))


class WithoutBackground(Senses):
    """No slow background: the present frame stands for it, and nothing differs from that."""

    def forward(self, frame: Tensor, short: Tensor, long: Tensor, background: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return super().forward(frame, short, long, frame)


class Uncorrelated(nn.Module):
    """In the place of the correlation the same number of layers over the present frame alone."""

    def __init__(self, instead_of: TemporalCorrelation, config: StudentConfig) -> None:
        super().__init__()
        self.to_key, self.refine = instead_of.to_key, instead_of.refine
        self.mix = conv(config.key_channels, config.widths[2], kernel=1)

    def forward(self, x: Tensor, key_short: Tensor, key_long: Tensor) -> tuple[Tensor, Tensor]:
        key = unit(self.to_key(x))
        return F.relu(x + self.refine(self.mix(key))), key


class ChangesAlone(Mix):
    """The changes of the keys in place, without a window around them."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__(channels, key_channels, 0)

    def forward(self, key: Tensor, pasts: tuple[Tensor, Tensor]) -> Tensor:
        nothing = key.new_zeros(len(key), 1, *key.shape[2:])
        parts = [part for past in pasts for part in (nothing, changes(key, past))]
        return nn.Sequential.forward(self, torch.cat(parts, dim=1))


class NormalisedMix(Mix):
    """Similarities as the paper has them, exponentials over their sum, here over the window."""

    def __init__(self, channels: int, key_channels: int, radius: int) -> None:
        super().__init__(channels, key_channels, radius)
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))

    def forward(self, key: Tensor, pasts: tuple[Tensor, Tensor]) -> Tensor:
        parts = [part for past in pasts for part in (self.similar(key, past), changes(key, past))]
        return nn.Sequential.forward(self, torch.cat(parts, dim=1))

    def similar(self, key: Tensor, past: Tensor) -> Tensor:
        """(N,K,h,w) each -> (N, side², h, w), each place's values sum to 1; zeros where nothing is remembered."""
        n, channels, height, width = key.shape
        around = F.unfold(past, self.side, padding=self.side // 2).view(n, channels, self.side**2, height, width)
        volume = torch.softmax(self.sharpness * (around * key.unsqueeze(2)).sum(1).float(), dim=1)
        return volume * (past * past).sum(1, keepdim=True)


def uncorrelated(student: Student) -> None:
    student.correlate = Uncorrelated(student.correlate, student.config)


def without_window(student: Student) -> None:
    student.correlate.mix = ChangesAlone(student.config.widths[2], student.config.key_channels)


def normalised(student: Student) -> None:
    config = student.config
    student.correlate.mix = NormalisedMix(config.widths[2], config.key_channels, config.radius)


def unscaled(student: Student) -> None:
    student.senses = Unscaled(student.senses.block)


def without_background(student: Student) -> None:
    student.senses = WithoutBackground(student.senses.block)


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    name: str  # also of its files
    what: str  # as the table says it
    config: Mapping[str, Any] = field(default_factory=dict)  # fields of StudentConfig
    change: Callable[[Student], None] = lambda student: None
    taught: bool = False
    procedural: bool = False  # learns from no footage
    goes_on: bool = False  # begins where "full" has ended
    rounded: bool = False
    against: str = "full"  # what it is compared with

    def build(self) -> Student:
        """With fresh weights; named after the variant, so that nobody takes its checkpoint for what ships."""
        student = Student(replace(SIZES["small"], name=f"small, {self.name}", **self.config))
        self.change(student)
        return student


VARIANTS = (
    Variant("full", "the whole network, from labels alone"),
    Variant("distilled", "distilled", taught=True),
    Variant("no-correlation", "without the correlation, its keys unused", change=uncorrelated),
    Variant("no-feedback", "without the feedback of earlier outputs", config={"trust": 0.0}),
    Variant("no-noise", "without the noise normalisation", change=unscaled),
    Variant("no-background", "without the slow background", change=without_background),
    Variant("procedural", "procedural backgrounds alone", procedural=True),
    Variant("changes", "changes of the keys alone, no window", change=without_window),
    Variant("radius-2", "window of 5x5 places, not 7x7", config={"radius": 2}),
    Variant("radius-4", "window of 9x9 places", config={"radius": 4}),
    Variant("normalised", "correlation as in the paper, normalised over the window", change=normalised),
    Variant("longer", "the whole network, further steps", goes_on=True),
    Variant("rounded", "the whole network, further steps with rounding", goes_on=True, rounded=True, against="longer"),
)


def named(name: str) -> Variant:
    """The variant of that name. Raises ConfigError where there is none of that name."""
    found = next((each for each in VARIANTS if each.name == name), None)
    if found is None:
        raise ConfigError(f"variant '{name}' is unknown; choose of {', '.join(each.name for each in VARIANTS)}")
    return found
