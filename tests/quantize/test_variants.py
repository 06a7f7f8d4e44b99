"""Each variant of the student lacks the part that it is named after, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edge.errors import ConfigError
from quantize.student import Mix, Student, StudentConfig
from quantize.variants import VARIANTS, NormalisedMix, named

STATES = {"frame_short", "frame_long", "background", "key_short", "key_long", "memory"}
UNUSED = {"no-correlation": {"key_short", "key_long"}, "no-feedback": {"memory"}, "no-background": {"background"}}


def built(name: str) -> Student:
    torch.manual_seed(0)
    student = named(name).build()
    for module in student.modules():  # as after training: batch norm of fresh weights passes little on
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            torch.nn.init.constant_(module.weight, 2.0)
    return student.eval()


def logits(student: Student, frame: Tensor, **states: Tensor) -> Tensor:
    with torch.no_grad():
        given = {**student.states(frame), **states}
        return student(frame, torch.tensor([[0.01, 1.0]]), **given)["logits"]


def remembered(student: Student, frame: Tensor) -> dict[str, Tensor]:
    """Something else of each state; keys have unit length."""
    states = {name: torch.rand_like(state) for name, state in student.states(frame).items()}
    return {name: s / s.norm(dim=1, keepdim=True) if "key" in name else s for name, s in states.items()}


@pytest.mark.parametrize("name", [each.name for each in VARIANTS])
def test_a_variant_depends_on_all_states_but_its_own(name: str) -> None:
    student, frame = built(name), torch.rand(1, 1, 48, 64)
    before, other = logits(student, frame), remembered(student, frame)
    same = {state for state in STATES if torch.equal(logits(student, frame, **{state: other[state]}), before)}
    assert same == UNUSED.get(name, set())


def test_what_is_left_begins_with_the_same_weights() -> None:
    full = dict(built("full").named_parameters())
    for name in ("no-correlation", "no-feedback", "no-noise", "no-background", "changes", "normalised"):
        own = dict(built(name).named_parameters())
        assert all(torch.equal(own[key], full[key]) for key in own.keys() & full.keys() if "mix" not in key), name


def test_without_normalisation_noise_makes_differences_larger() -> None:
    torch.manual_seed(1)
    still = torch.full((1, 1, 48, 64), 0.5)
    seen = {}
    for name in ("full", "no-noise"):
        senses = built(name).senses
        for noise in (0.01, 0.04):
            frames = [still + noise * torch.randn_like(still) for _ in range(3)]
            seen[name, noise] = senses(*frames, still)[2].std().item()
    assert seen["no-noise", 0.04] == pytest.approx(4 * seen["no-noise", 0.01], rel=0.1)
    assert seen["full", 0.04] < 1.5 * seen["full", 0.01]


def test_changes_alone_look_at_no_neighbour() -> None:
    for name, moved in (("changes", 1), ("full", 49)):
        mix, key = built(name).correlate.mix, torch.zeros(1, 16, 12, 16)
        key[:, 0] = 1.0
        other = key.clone()
        other[..., 6, 8] = -key[..., 6, 8]
        with torch.no_grad():
            differs = (mix(key, (key, key)) != mix(key, (other, key))).any(1)
        assert int(differs.sum()) == moved, name


def test_a_normalised_window_sums_to_one_where_something_is_remembered() -> None:
    mix = NormalisedMix(8, 4, radius=2)
    key = torch.nn.functional.normalize(torch.randn(1, 4, 6, 5), dim=1)
    past = key.roll(1, 3)
    past[..., 0] = 0.0
    with torch.no_grad():
        volume = mix.similar(key, past)
    assert volume.shape == (1, 25, 6, 5)
    assert torch.allclose(volume.sum(1)[..., 1:], torch.ones(1, 6, 4), atol=1e-5)
    assert not volume[..., 0].any()
    assert volume[0, :, 3, 2].argmax() == 2 * 5 + 3, "where the key has gone: one place to the right"


@pytest.mark.parametrize(("name", "radius"), [("radius-2", 2), ("radius-4", 4)])
def test_a_window_has_its_size(name: str, radius: int) -> None:
    mix = built(name).correlate.mix
    assert isinstance(mix, Mix)
    assert mix.side == 2 * radius + 1
    assert StudentConfig().radius not in (2, 4)


def test_only_the_distilled_one_is_taught_and_one_learns_without_footage() -> None:
    assert [each.name for each in VARIANTS if each.taught] == ["distilled"]
    assert [each.name for each in VARIANTS if each.procedural] == ["procedural"]


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ConfigError, match="'nothing' is unknown; choose of full"):
        named("nothing")
