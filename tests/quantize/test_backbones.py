"""The backbones are the published ones, and take published weights as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edge.errors import ModelError
from quantize.lite0 import UNUSED, Lite0, SameConv, published
from quantize.pvt import PVT, PVTv2
from tests.quantize.networks import PVT as TINY


@pytest.mark.parametrize(
    ("name", "millions"), [("b0", 3.67), ("b1", 14.01), ("b2", 25.36), ("b3", 45.24), ("b4", 62.56), ("b5", 81.96)]
)
def test_pvt_has_the_published_number_of_parameters(name: str, millions: float) -> None:
    with torch.device("meta"):
        network, head = PVTv2(PVT[name]), nn.Linear(PVT[name].widths[3], 1000)
    count = sum(p.numel() for part in (network, head) for p in part.parameters())
    assert round(count / 1e6, 2) == millions


def test_pvt_gives_four_scales_of_any_view() -> None:
    found = PVTv2(TINY)(torch.rand(2, 3, 48, 80))
    assert [tuple(x.shape[1:]) for x in found] == [(8, 12, 20), (16, 6, 10), (20, 3, 5), (16, 2, 3)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Weights as they are published: for RGB, with a classifier."""
    weights = {**PVTv2(TINY).state_dict(), "head.weight": torch.zeros(10, 16), "head.bias": torch.zeros(10)}
    torch.save(weights, tmp_path / "pvt.pth")
    return tmp_path / "pvt.pth"


def test_published_pvt_weights_see_a_grey_picture_as_they_did(file: Path) -> None:
    three, five = PVTv2(TINY).eval(), PVTv2(TINY, cin=5).eval()
    three.load_published(file)
    five.load_published(file)
    grey = torch.rand(1, 1, 64, 64)
    seen = torch.cat((grey, torch.zeros(1, 4, 64, 64)), dim=1)
    with torch.no_grad():
        for a, b in zip(three(grey.expand(-1, 3, -1, -1)), five(seen), strict=True):
            assert torch.allclose(a, b, atol=1e-5)


def test_pvt_weights_that_do_not_fit_are_refused_by_name(file: Path) -> None:
    weights = torch.load(file, weights_only=True)
    weights["pos_embed"] = weights.pop("norm4.bias")
    torch.save(weights, file)
    with pytest.raises(ModelError, match=r"2 keys[^$]*missing: norm4\.bias[^$]*unknown: pos_embed"):
        PVTv2(TINY).load_published(file)


def test_lite0_takes_every_tensor_of_the_package_but_the_classifier() -> None:
    network = Lite0()
    network.load_imagenet()
    loaded = [value for value in network.state_dict().values() if value.dim()]
    wanted = {n: v for n, v in published().items() if not n.startswith(UNUSED) and v.dim()}
    assert len(loaded) == len(wanted) == 48 * 5  # convolutions, each with a norm of four
    for ours, theirs in zip(loaded, wanted.values(), strict=True):
        assert torch.equal(ours, theirs)


def test_lite0_sees_a_grey_picture_as_it_did() -> None:
    three, five = Lite0().eval(), Lite0(5).eval()
    three.load_imagenet()
    five.load_imagenet()
    grey = torch.rand(1, 1, 64, 80) * 2 - 1
    seen = torch.cat((grey, torch.zeros(1, 4, 64, 80)), dim=1)
    with torch.no_grad():
        for a, b in zip(three(grey.expand(-1, 3, -1, -1)), five(seen), strict=True):
            assert torch.allclose(a, b, atol=1e-3)
            assert a.std() > 0.01


@pytest.mark.parametrize(("kernel", "size", "first"), [(3, 8, 0), (3, 9, -1), (5, 8, -1), (5, 9, -2)])
def test_strided_convolutions_look_where_tensorflow_looks(kernel: int, size: int, first: int) -> None:
    layer = SameConv(1, 1, kernel, stride=2).eval()
    with torch.no_grad():
        layer.conv.weight.zero_()
        layer.conv.weight[0, 0, -first, -first] = 1.0  # the tap that lies on the corner pixel
        layer.bn.eps = 0.0
        picture = torch.rand(1, 1, size, size)
        out = layer(picture)
    assert torch.allclose(out, picture[..., ::2, ::2])
