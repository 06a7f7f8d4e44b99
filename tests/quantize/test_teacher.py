"""What the teacher promises: the paper's parts, causality, and the student's step interface."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edge.errors import ConfigError
from quantize.correlation import unit
from quantize.dataset import Batch, RenderedBatches
from quantize.recipe import RECIPES
from quantize.rollout import Past, batch_loss, unroll
from quantize.run import Run
from quantize.teacher import ConsecutiveCorrelation, Teacher, TeacherConfig, pack, unpack
from tests.quantize.networks import tiny_teacher


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return tiny_teacher().eval()


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Two clips, long enough for the long lag."""
    return next(iter(RenderedBatches(None, seed=1, batch=2, size=64, frames=12)))


def step(teacher: Teacher, frame: torch.Tensor, **changed: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return teacher(frame, torch.tensor([[0.01, 60.0]]), **{**teacher.states(frame), **changed})


@pytest.mark.parametrize(("height", "width"), [(64, 96), (48, 80)])  # the second is no multiple of 32
def test_shapes_follow_the_frame_and_states_follow_themselves(teacher: Teacher, height: int, width: int) -> None:
    frame = torch.rand(1, 1, height, width)
    out = step(teacher, frame)
    for name in ("logits", "side0", "side1", "side2", "side3"):
        assert out[name].shape == (1, 1, height // 2, width // 2)
    states = teacher.states(frame)
    assert out["key"].shape == states["key_short"].shape == states["key_long"].shape
    assert out["memory_next"].shape == states["memory"].shape
    assert out["background_next"].shape == frame.shape
    assert out["noise"].shape == (1,)


def test_lite0_answers_in_the_same_shapes() -> None:
    teacher = Teacher(TeacherConfig(backbone="lite0")).eval()
    frame = torch.rand(1, 1, 48, 80)
    out = step(teacher, frame)
    assert out["key"].shape == teacher.states(frame)["key_short"].shape
    assert out["logits"].shape == (1, 1, 24, 40)


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ConfigError, match="b9"):
        Teacher(TeacherConfig(backbone="b9"))


@pytest.mark.parametrize("name", ["frame_short", "frame_long", "background", "key_short", "key_long", "memory"])
def test_every_state_matters(teacher: Teacher, name: str) -> None:
    torch.manual_seed(1)
    frame = torch.rand(1, 1, 64, 64)
    other = torch.rand_like(teacher.states(frame)[name])
    assert not torch.allclose(step(teacher, frame)["logits"], step(teacher, frame, **{name: other})["logits"])


def test_keys_of_the_three_scales_come_apart_as_they_were_put_together() -> None:
    keys = [unit(torch.randn(2, 4, size, size + 1)) for size in (8, 4, 2)]
    for before, after in zip(keys, unpack(pack(keys), keys), strict=True):
        assert torch.equal(before, after)
        assert torch.allclose(after.norm(dim=1), torch.ones(after.shape[0], *after.shape[2:]), atol=1e-4)


def test_an_empty_past_is_no_change() -> None:
    torch.manual_seed(2)
    correlate = ConsecutiveCorrelation(8).eval()
    key = unit(torch.randn(1, 8, 6, 7))
    assert not correlate.recall(key, torch.zeros_like(key)).any()
    assert correlate.recall(key, unit(torch.randn(1, 8, 6, 7))).any()


def test_the_correlation_sees_the_whole_remembered_view() -> None:
    torch.manual_seed(3)
    correlate = ConsecutiveCorrelation(8).eval()
    key, past = (unit(torch.randn(1, 8, 6, 7)) for _ in range(2))
    far = past.clone()
    far[..., -1, -1] = unit(torch.randn(1, 8, 1, 1))[..., 0, 0]
    changed = (correlate.recall(key, past) - correlate.recall(key, far)).abs().sum(1)
    assert changed[0, 0, 0] > 0


def test_memory_is_bounded_and_counts(teacher: Teacher) -> None:
    frame = torch.rand(1, 1, 64, 64)
    memory = torch.ones(1, 4, 8, 8)
    remembering = step(teacher, frame, memory=memory)
    assert remembering["memory_next"].abs().max() <= 1.0
    assert not torch.allclose(remembering["logits"], step(teacher, frame)["logits"], atol=1e-4)


def test_the_future_does_not_reach_the_past(teacher: Teacher, batch: Batch) -> None:
    changed = replace(batch, frames=batch.frames.clone())
    changed.frames[7:] = 0
    with torch.no_grad():
        before, *_ = unroll(teacher, batch, Past.none(teacher, batch), autocast=False)
        after, *_ = unroll(teacher, changed, Past.none(teacher, changed), autocast=False)
    assert torch.equal(before[:7], after[:7])
    assert not torch.equal(before[7:], after[7:])


def test_a_clip_in_parts_is_the_clip_as_a_whole(teacher: Teacher, batch: Batch) -> None:
    with torch.no_grad():
        whole, *_ = unroll(teacher, batch, Past.none(teacher, batch), autocast=False)
        past, parts = Past.none(teacher, batch), []
        for part in batch.parts(5):
            logits, *_, past = unroll(teacher, part, past, autocast=False)
            parts.append(logits)
    assert torch.allclose(torch.cat(parts), whole, atol=1e-4)


def test_gradients_reach_every_parameter(batch: Batch) -> None:
    teacher = tiny_teacher().train()
    loss, *_ = batch_loss(teacher, batch, Past.none(teacher, batch), RECIPES["teacher"], autocast=False)
    loss.backward()
    untouched = [name for name, p in teacher.named_parameters() if p.grad is None or not p.grad.any()]
    assert not untouched
    assert all(torch.isfinite(p.grad).all() for p in teacher.parameters())


def test_three_steps_of_training_lower_the_loss_on_the_clips_seen(batch: Batch) -> None:
    teacher = tiny_teacher()
    config = replace(RECIPES["teacher"], frames=12, batch=2, rate=3e-3)
    optimiser = torch.optim.AdamW(teacher.parameters(), lr=config.rate)
    run = Run(config, 1.0, "procedural", teacher, tiny_teacher().eval(), teacher, optimiser, history=({},))
    losses = [run.learn(batch)[0][0] for _ in range(4)]
    assert run.steps == 4
    assert losses[3] < losses[0]
