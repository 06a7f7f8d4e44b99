"""The parts that teacher and authors share."""

from __future__ import annotations

import torch

from quantize.decoder import Decoder, ReversalAttention
from quantize.perception import FineGrainedPerception, ReceptiveField


def test_the_decoder_gives_four_masks_at_their_scales() -> None:
    features = [torch.rand(2, 8, *size) for size in ((30, 40), (15, 20), (8, 10))]  # 240x320
    masks = Decoder(8).eval()(*features)
    assert [tuple(mask.shape) for mask in masks] == [(2, 1, *s) for s in ((30, 40), (8, 10), (15, 20), (30, 40))]


def test_the_mask_stands_beside_every_group() -> None:
    attention = ReversalAttention(6, 2)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.zero_()
        attention.conv[0].weight[0, 2, 1, 1] = 1.0  # the third channel that the convolution reads: behind two of x
        attention.conv[0].weight[5, 8, 1, 1] = 1.0  # and the last one
    x, mask = torch.rand(1, 6, 4, 4), torch.rand(1, 1, 4, 4)
    out, same = attention(x, mask)
    assert torch.equal(out[:, 0], x[:, 0] + mask[:, 0])
    assert torch.equal(out[:, 5], x[:, 5] + mask[:, 0])
    assert torch.equal(out[:, 1:5], x[:, 1:5])
    assert torch.equal(same, mask)


def test_what_a_group_finds_reaches_the_groups_behind_it_only() -> None:
    torch.manual_seed(0)
    perceive = FineGrainedPerception(8, groups=4).eval()
    perceive.expand_conv, perceive.BNReLU = torch.nn.Identity(), torch.nn.Identity()
    told: list[torch.Tensor] = []
    for step in perceive.interact.values():
        step.register_forward_hook(lambda _module, _inputs, output: told.append(output))
    groups = torch.rand(1, 16, 6, 6)
    perceive(groups)
    groups[:, 8:12] += 1.0  # the third
    perceive(groups)
    moved = [not torch.equal(before, after) for before, after in zip(told[:4], told[4:], strict=True)]
    assert moved == [False, False, True, True]


def test_the_gate_weighs_all_groups_against_each_other() -> None:
    perceive = FineGrainedPerception(8, groups=4).eval()
    gate = perceive.gate_genator(torch.rand(3, 16, 5, 5))
    assert gate.shape == (3, 16, 1, 1)
    assert torch.allclose(gate.sum(1), torch.ones(3, 1, 1))


def test_a_receptive_field_reaches_as_far_as_its_widest_branch() -> None:
    torch.manual_seed(0)
    block = ReceptiveField(4, 4).eval()
    x = torch.rand(1, 4, 41, 41)
    touched = x.clone()
    touched[..., 20, 20] += 10.0
    with torch.no_grad():
        moved = (block(x) - block(touched)).abs().sum((0, 1)) > 1e-6
    rows = torch.nonzero(moved.any(1)).flatten()
    # half of 7, a 3x3 dilated by 7, and the 3x3 that joins the branches
    assert 20 - rows.min() == rows.max() - 20 == 3 + 7 + 1
