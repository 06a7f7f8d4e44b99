"""A small student's weights in a bigger one that computes the same: what the small one has learned is not learned anew.

Channels that are new look at all that comes in, but nobody listens to them yet: the weights of whoever could are zero,
and grow in training (as in Net2Net, Chen, Goodfellow and Shlens 2016, without the copies). Only the gate of the
perception, a softmax over all its channels, shares itself out a little differently.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edge.errors import ConfigError
from quantize.senses import Senses
from quantize.student import Student, StudentConfig

Places = list[int]  # where the channels of the narrow network lie in the wide one


def widened(weights: dict[str, Tensor], narrow: StudentConfig, wide: Student) -> dict[str, Tensor]:
    """`weights` of a `narrow` student as those of `wide`, whose fresh ones the new channels keep. Raises ConfigError
    where one does not hold the other."""
    if not holds(wide.config, narrow):
        raise ConfigError(
            f"'{narrow.name}' does not fit into '{wide.config.name}': --weights must be of a smaller size"
        )
    made = {name: value.clone() for name, value in wide.state_dict().items()}
    for layer, (read, written) in places(narrow, wide.config).items():
        weight = made[f"{layer}.weight"]
        weight[written] = 0.0
        weight[torch.tensor(written)[:, None], torch.tensor(read)] = weights[f"{layer}.weight"]
        for name in beside(layer):
            if name not in made:
                continue
            if made[name].dim():
                made[name][written] = weights[name]
            else:
                made[name].copy_(weights[name])
    share_gate(made, narrow, wide.config)
    return made


def holds(wide: StudentConfig, narrow: StudentConfig) -> bool:
    """Whether all channels of `narrow` have their like in `wide`, which remembers as much."""
    same = ("key_channels", "memory_channels", "radius", "groups", "reduction")
    alike = all(getattr(wide, name) == getattr(narrow, name) for name in same)
    return alike and all(more >= fewer for more, fewer in zip(wide.widths, narrow.widths, strict=True))


def places(narrow: StudentConfig, wide: StudentConfig) -> dict[str, tuple[Places, Places]]:
    """Of each layer's inputs and outputs."""
    w2, w4, _, w16 = (list(range(width)) for width in narrow.widths)
    part = list(range(narrow.widths[2] // narrow.groups))  # of the perception: each group keeps what is its own
    width = wide.widths[2] // wide.groups
    w8 = joined(*[(part, width)] * wide.groups)
    memory, key = list(range(wide.memory_channels)), list(range(wide.key_channels))
    reminded = joined((w4, wide.widths[1]), (memory, wide.memory_channels))
    compared = list(range(2 * ((2 * wide.radius + 1) ** 2 + wide.key_channels)))
    steps = {f"perceive.steps.{i}.0": (joined(*[(part, width)] * (2 if i else 1)), part) for i in range(wide.groups)}
    return steps | {
        "enter2.0": (list(range(Senses.channels)), w2),
        "enter4.0": (w2, w4),
        "recall.0": (reminded, w4),
        **{f"body4.{name}.0": (w4, w4) for name in ("first", "second")},
        "enter8.0": (w4, w8),
        **{f"body8.{name}.0": (w8, w8) for name in ("first", "second")},
        "correlate.to_key": (w8, key),
        "correlate.mix.0": (compared, w8),
        "correlate.refine.0": (w8, w8),
        "enter16.0.0": (w8, w16),
        **{f"enter16.1.{name}.0": (w16, w16) for name in ("first", "second")},
        "down16.0": (w16, w8),
        "perceive.gate": (w8, w8),
        "perceive.out.0": (w8, w8),
        "down8.0": (w8, w4),
        "decode4.0": (w4, w4),
        "remember": (reminded, list(range(2 * (wide.memory_channels - 1)))),
        "side8": (w8, [0]),
        "side4": (w4, [0]),
    }


def joined(*parts: tuple[Places, int]) -> Places:
    """Of tensors that are joined: places in each, and how many channels it has."""
    found: Places = []
    begin = 0
    for inside, channels in parts:
        found += [begin + place for place in inside]
        begin += channels
    return found


def beside(layer: str) -> Sequence[str]:
    """What belongs to a convolution: its bias, or the batch norm behind it."""
    before, _, last = layer.rpartition(".")
    if not last.isdigit():
        return (f"{layer}.bias",)
    norm = f"{before}.{int(last) + 1}"
    return [f"{norm}.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]


def share_gate(made: dict[str, Tensor], narrow: StudentConfig, wide: StudentConfig) -> None:
    """Let the gate's new channels weigh as much as old ones of their group."""
    old, new = (config.widths[2] // config.groups for config in (narrow, wide))
    for group in range(wide.groups):
        for extra in range(old, new):
            for name in ("perceive.gate.weight", "perceive.gate.bias"):
                made[name][group * new + extra] = made[name][group * new + extra % old]
