"""A network over clips through time, its state carried as the device's ring carries it; the loss of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from quantize.dataset import Batch
from quantize.ground import Ground
from quantize.losses import LOSSES, targets
from quantize.recipe import TrainConfig
from quantize.resample import pictures
from quantize.warp import back, in_cells, normalised, warp, warp_key


@dataclass(frozen=True)
class Past:
    """What the frames so far have left behind: the ring's content, for a batch of clips."""

    frames: Tensor  # (L, N, 1, H, W) float32, the last pictures, no more than the long lag wants
    keys: tuple[Tensor, ...]  # of the same frames
    memories: tuple[Tensor, ...]  # of the same frames
    background: Tensor
    stray: Tensor  # what is remembered before the first frame
    steps: int = 0
    ground: Ground | None = None  # the background of moving views
    moves: Tensor | None = None  # (L, N, 3, 3) of the same frames as `quantize.warp` has them; None: still views

    @classmethod
    def none(cls, student: nn.Module, batch: Batch, memory: Tensor | None = None) -> Past:
        """Before the first frame; `memory` is what a clip may wrongly remember."""
        device = next(student.parameters()).device
        background = pictures(batch.background.to(device), student.config.reduction)
        if memory is None:
            memory = student.states(background)["memory"]
        return cls(background.new_zeros(0, *background.shape), (), (), background, memory)


def roll(student: nn.Module, batch: Batch, past: Past, *, autocast: bool) -> tuple[list[dict[str, Tensor]], Past]:
    """What each step over a batch's frames gives, state carried as the ring would, and the past for the frames that
    follow; no gradient goes back beyond the first frame."""
    device = past.background.device
    reduction = student.config.reduction
    frames = torch.cat((past.frames, pictures(batch.frames.to(device).float() / 255.0, reduction)))
    background, empty = past.background, {**student.states(frames[0]), "memory": past.stray.detach()}
    keys, memories = ([tensor.detach() for tensor in kept] for kept in (past.keys, past.memories))
    if student.training:  # one graph for the first steps and the later ones
        for tensor in (*keys, *memories, *(empty[name] for name in ("memory", "key_short", "key_long"))):
            tensor.requires_grad_()
    moves, ground = moved(batch, past), past.ground
    age, short = batch.age.to(device), batch.steps_per_lag[0]
    steps: list[dict[str, Tensor]] = []
    for t in range(len(batch.frames)):
        now, at = past.steps + t, len(past.frames) + t
        since = age + now * batch.interval
        clock = torch.stack((torch.full_like(since, batch.interval if now else 0.0), since), dim=1)
        states = {"background": background, "memory": memories[at - short] if at >= short else empty["memory"]}
        for name, lag in zip(("short", "long"), batch.steps_per_lag, strict=True):
            states[f"frame_{name}"] = frames[at - lag] if at >= lag else frames[at]
            states[f"key_{name}"] = keys[at - lag] if at >= lag else empty[f"key_{name}"]
        if moves is not None and batch.steps is not None and ground is not None:
            states = followed(states, frames[at], moves, at, batch.steps_per_lag)
            ground = ground.moved(in_cells(batch.steps[t].to(device), reduction))
            states["background"], young = ground.read(frames[at])
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            step = student(frames[at], clock, **states)
        keys.append(step["key"])
        memories.append(step["memory_next"].float())
        before, background = states["background"], step["background_next"].detach().float()
        if ground is not None:
            ground = ground.write(frames[at], background - before, young, step["logits"].detach(), clock)
        elif moves is not None:
            ground = Ground.under(background, age + batch.interval)
        steps.append(step)
    longest = batch.steps_per_lag[1]
    kept = tuple(keys[-longest:]), tuple(memories[-longest:])
    known = None if moves is None else moves[-longest:]
    after = Past(frames[-longest:], *kept, background, past.stray, past.steps + len(batch.frames), ground, known)
    return steps, after


def moved(batch: Batch, past: Past) -> Tensor | None:
    """The moves of the remembered frames and of a batch's; None where no camera moves."""
    if batch.steps is None:
        return None
    height, width = batch.frames.shape[-2:]
    moves = normalised(batch.steps.to(past.background.device), height, width)
    return moves if past.moves is None else torch.cat((past.moves, moves))


def followed(
    states: dict[str, Tensor], frame: Tensor, moves: Tensor, at: int, lags: tuple[int, int]
) -> dict[str, Tensor]:
    """What is remembered, where the camera looks at step `at`: pictures are the present one where the past does not
    reach, all else is zeros there. The background is left to `Ground`, what stands in for no past as it is."""
    states = dict(states)
    for name, lag in zip(("short", "long"), lags, strict=True):
        if at >= lag:
            move = back(moves, at, lag)
            states[f"frame_{name}"] = warp(states[f"frame_{name}"], move, frame)
            states[f"key_{name}"] = warp_key(states[f"key_{name}"], move, frame.shape[-2:])
            if name == "short":
                states["memory"] = warp(states["memory"], move)
    return states


def stacked(steps: list[dict[str, Tensor]], name: str) -> Tensor:
    """One output of every step, (T, N, ...) float32."""
    return torch.stack([step[name].float() for step in steps])


def unroll(student: nn.Module, batch: Batch, past: Past, *, autocast: bool) -> tuple[Any, ...]:
    """Logits (T, N, 1, h, w) of a batch's frames, those of each side output, and last the past for what follows."""
    steps, after = roll(student, batch, past, autocast=autocast)
    sides = [name for name in steps[0] if name.startswith("side")]
    return *(stacked(steps, name) for name in ("logits", *sides)), after


def batch_loss(
    student: nn.Module, batch: Batch, past: Past, config: TrainConfig, *, autocast: bool
) -> tuple[Tensor, Tensor, Tensor, Past]:
    """Loss, the intersection and union of the masks at probability 0.5, and the past for the next frames."""
    logits, *sides, after = unroll(student, batch, past, autocast=autocast)
    return *mask_figures(logits, sides, batch, config), after


def mask_figures(
    logits: Tensor, sides: list[Tensor], batch: Batch, config: TrainConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of the masks and of the side outputs, the intersection and union of the masks at probability 0.5."""
    masks, criterion = batch.masks.to(logits.device), LOSSES[config.loss]
    loss = criterion(logits, masks) + config.side_weight * sum(criterion(side, masks) for side in sides)
    both, said, true = areas(logits, masks).sum(0)
    return loss, both, said + true - both


def areas(logits: Tensor, masks: Tensor, least: float = 0.0) -> Tensor:
    """(N, 3) of the clips: px of mask and label both, of the mask (logits above `least`), of the label."""
    target, known = targets(masks, logits)
    said, true = (logits > least) & (known > 0), target > 0.5
    return torch.stack([mask.sum((0, 2, 3, 4)) for mask in (said & true, said, true)], dim=1)


def clip_areas(
    student: nn.Module, batches: list[Batch], config: TrainConfig, *, autocast: bool, least: Sequence[float] = (0.0,)
) -> Tensor:
    """`areas` over the whole of each clip, for masks of each least logit: (masks, clips, 3)."""
    student.eval()
    found = [torch.zeros(len(least), 0, 3, dtype=torch.long)]
    with torch.no_grad():
        for batch in batches:
            past, total = Past.none(student, batch), torch.zeros(1, 1, 1, dtype=torch.long)
            for part in batch.parts(config.frames):
                logits, *_, past = unroll(student, part, past, autocast=autocast)
                masks = part.masks.to(logits.device)
                total = total + torch.stack([areas(logits, masks, each) for each in least]).cpu()
            found.append(total)
    return torch.cat(found, dim=1)


def validate(student: nn.Module, batches: list[Batch], config: TrainConfig, *, autocast: bool) -> float:
    """IoU summed over the validation clips."""
    both, said, true = clip_areas(student, batches, config, autocast=autocast)[0].sum(0).tolist()
    return float(both / max(said + true - both, 1))
