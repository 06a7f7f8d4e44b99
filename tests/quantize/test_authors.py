"""The authors' network takes their file whole or not at all, and computes what theirs does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from edge.errors import ConfigError, ModelError
from quantize import authors
from quantize.authors import Authors, AuthorsConfig, load_authors
from quantize.teacher import pack
from tests.quantize.networks import PVT, tiny_authors

CONFIG = AuthorsConfig(pvt=PVT)
SIZE = 256  # of the frames


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return tiny_authors(3).state_dict()


def saved(weights: object, folder: Path) -> Path:
    torch.save(weights, folder / "theirs.pth")
    return folder / "theirs.pth"


def test_names_and_number_of_parameters_are_theirs() -> None:
    with torch.device("meta"):
        network = Authors()
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 82.7
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    theirs = {
        "backbone.encoder.pvtv2_en.patch_embed1.proj.weight": (64, 3, 7, 7),
        "backbone.encoder.pvtv2_en.block3.39.mlp.dwconv.dwconv.bias": (1280,),
        "backbone.encoder.pvtv2_en.block1.0.attn.sr.weight": (64, 64, 8, 8),
        "backbone.encoder.rfb2_1.branch0.0.conv.weight": (32, 128, 1, 1),
        "backbone.encoder.rfb3_1.branch2.1.conv.weight": (32, 32, 1, 5),
        "backbone.encoder.rfb4_1.conv_res.conv.weight": (32, 512, 1, 1),
        "ctc.nl_layer1.nonlocals.0.g.0.weight": (32, 64, 1, 1),
        "ctc.nl_layer3.nonlocals.0.W.bias": (64,),
        "ctc.nl_layer2.out_conv.weight": (64, 128, 1, 1),
        "ctc.conv3.bn.running_var": (32,),
        "fsp1.expand_conv.conv.weight": (96, 32, 1, 1),
        "fsp2.interact.0.conv.weight": (48, 16, 3, 3),
        "fsp3.interact.5.bn.weight": (32,),
        "fsp1.gate_genator.3.weight": (96, 16, 1, 1),
        "fsp1.BNReLU.conv.weight": (32, 96, 3, 3),
        "backbone.decoder.NCD.conv_upsample5.conv.weight": (64, 64, 3, 3),
        "backbone.decoder.NCD.conv5.bias": (1,),
        "backbone.decoder.RS5.weak_gra.conv.0.weight": (32, 33, 3, 3),
        "backbone.decoder.RS4.medium_gra.conv.0.weight": (32, 36, 3, 3),
        "backbone.decoder.RS3.strong_gra.conv.0.weight": (32, 64, 3, 3),
        "backbone.decoder.RS3.strong_gra.score.weight": (1, 32, 3, 3),
        "fusion_conv.0.weight": (32, 2, 3, 3),
        "fusion_conv.2.weight": (1, 32, 3, 3),
    }
    assert {name: shapes.get(name) for name in theirs} == theirs


def test_a_whole_file_is_taken_over(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    network = load_authors(saved(weights, tmp_path), CONFIG)
    loaded = network.state_dict()
    assert "authors' theirs.pth, sha256 " in network.published
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_each_key_that_does_not_fit_is_named(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    del weights["fsp2.expand_conv.bn.bias"]
    weights["backbone.encoder.pvtv2_en.head.weight"] = torch.zeros(3)
    weights["fusion_conv.2.bias"] = torch.zeros(2)
    with pytest.raises(ModelError) as refusal:
        load_authors(saved(weights, tmp_path), CONFIG)
    first, *rest = str(refusal.value).splitlines()
    assert first.endswith("not the authors' weights, 3 keys do not fit")
    assert [line.strip() for line in rest] == [
        "missing: fsp2.expand_conv.bn.bias",
        "unknown: backbone.encoder.pvtv2_en.head.weight",
        "shape: fusion_conv.2.bias is (2,), wanted (1,)",
    ]


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no state dict"):
        load_authors(saved({"epoch": 3}, tmp_path), CONFIG)
    garbage = tmp_path / "garbage.pth"
    garbage.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be read"):
        load_authors(garbage, CONFIG)


def test_the_command_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["authors", "--load-authors", str(tmp_path / "none.pth")])
    with pytest.raises(ModelError, match="none"):
        authors.main()


def test_a_step_is_their_forward_pass_of_three_frames() -> None:
    """Encode three frames, pair the first with each of the others, decode, fuse: whatever the ring remembered."""
    network = tiny_authors()
    torch.manual_seed(1)
    now, short, long = (torch.rand(1, 1, SIZE, SIZE) for _ in range(3))
    with torch.no_grad():
        features = [
            network.backbone["encoder"]((picture - network.mean) / network.deviation) for picture in (now, short, long)
        ]
        *masks, fused = network.fuse(features[0], features[1:], now)
        keys = {"key_short": pack(features[1]), "key_long": pack(features[2])}
        step = network(now, torch.tensor([[0.1, 1.0]]), **{**network.states(now), **keys})
        alone = network(now, torch.tensor([[0.1, 1.0]]), **network.states(now))
        *_, paired_with_itself = network.fuse(features[0], [features[0]] * 2, now)
    half = torch.nn.functional.interpolate(fused, scale_factor=0.5, mode="bilinear")
    assert torch.allclose(step["logits"], half, atol=1e-4)
    assert len(masks) == 8
    assert step["side7"].shape == step["logits"].shape == (1, 1, SIZE // 2, SIZE // 2)
    half = torch.nn.functional.interpolate(paired_with_itself, scale_factor=0.5, mode="bilinear")
    assert torch.allclose(alone["logits"], half, atol=1e-4)
    assert not torch.allclose(alone["logits"], step["logits"], atol=1e-4)


def test_a_view_too_small_for_their_pooling_is_refused() -> None:
    with pytest.raises(ConfigError, match="240 px"):
        tiny_authors().states(torch.rand(1, 1, 160, 320))
