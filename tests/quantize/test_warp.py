"""Training looks the past up through the registration, as the device does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from calibration.flight import Flight, look, steps, track
from quantize.dataset import Batch, RenderedBatches
from quantize.recipe import TrainConfig
from quantize.rollout import Past, batch_loss, roll, unroll
from quantize.student import SIZES, Student
from quantize.teacher import scales
from quantize.warp import back, normalised, warp, warp_key

SIZE = (64, 96)
PATH = track(np.random.default_rng(0), Flight(pan=2.5, tilt=-1.5, orbit=0.01, climb=0.003), SIZE, 6)
MOVES = normalised(torch.from_numpy(steps(PATH))[:, None], *SIZE)


def picture(height: int, width: int) -> torch.Tensor:
    yy, xx = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    return (torch.sin(7 * xx + 3 * yy) + torch.cos(5 * yy))[None, None].float()


def moving_batch(frames: int = 14, seed: int = 1) -> Batch:
    return next(iter(RenderedBatches(None, seed=seed, batch=2, size=96, frames=frames, moving=1.0)))


def test_torch_looks_where_opencv_looks() -> None:
    past = picture(*SIZE)
    lag = np.linalg.inv(PATH[1]) @ PATH[5]
    wanted = look(past[0, 0].numpy(), lag, SIZE)
    found = warp(past, back(MOVES, 5, 4), past)[0, 0].numpy()
    inside = look(np.ones(SIZE, np.float32), lag, SIZE, outside=0) > 0.999
    inside[[0, -1]] = inside[:, [0, -1]] = False
    assert inside.mean() > 0.5
    assert np.abs(found - wanted)[inside].max() < 0.02


def test_one_move_serves_every_resolution() -> None:
    move = back(MOVES, 4, 3)
    fine = warp(picture(*SIZE), move)
    coarse = warp(torch.nn.functional.avg_pool2d(picture(*SIZE), 4), move)
    shrunk = torch.nn.functional.avg_pool2d(fine, 4)
    assert (coarse - shrunk)[..., 4:-4, 5:-5].abs().max() < 0.03


def test_what_enters_the_view_is_the_present_frame_or_nothing() -> None:
    right = normalised(torch.tensor([[[[1.0, 0, 24], [0, 1, 0]]]]), *SIZE)[0]
    past, now = torch.full((1, 1, *SIZE), 5.0), torch.full((1, 1, *SIZE), 7.0)
    for row in (0, 10, -1):
        assert warp(past, right, now)[0, 0, row].tolist() == [5.0] * 72 + [7.0] * 24
        assert warp(past, right)[0, 0, row].tolist() == [5.0] * 72 + [0.0] * 24


def test_a_teachers_packed_key_is_warped_scale_by_scale() -> None:
    move = back(MOVES, 3, 2)
    planes = [picture(high, wide) for high, wide in scales(*SIZE)]
    packed = warp_key(torch.cat([plane.flatten(2) for plane in planes], dim=2), move, SIZE)
    assert torch.equal(packed, torch.cat([warp(plane, move).flatten(2) for plane in planes], dim=2))


def test_a_moving_batch_in_parts_is_the_batch_as_a_whole() -> None:
    torch.manual_seed(0)
    student, batch = Student(SIZES["nano"]).eval(), moving_batch()
    with torch.no_grad():
        whole, *_ = unroll(student, batch, Past.none(student, batch), autocast=False)
        past, parts = Past.none(student, batch), []
        for part in batch.parts(5):
            logits, *_, past = unroll(student, part, past, autocast=False)
            parts.append(logits)
    assert torch.allclose(torch.cat(parts), whole, atol=1e-4)


def test_a_registered_flight_looks_still_to_the_network() -> None:
    """A static ground without noise: through the registration, the differences that the network sees vanish."""
    torch.manual_seed(0)
    student = Student(SIZES["nano"]).eval()
    path = track(np.random.default_rng(0), Flight(pan=3.0), (96, 96), 10)
    ground = (120 + 60 * picture(200, 200)[0, 0].numpy()).clip(0, 255).astype(np.uint8)
    place = np.array([[1, 0, 50.0], [0, 1, 50.0], [0, 0, 1]])
    frames = torch.from_numpy(np.stack([look(ground, place @ at, (96, 96)) for at in path]))[:, None, None]
    flown = replace(moving_batch(10), frames=frames, masks=frames * 0, interval=1 / 15, steps_per_lag=(2, 8))
    flown = replace(
        flown, background=frames[0].float() / 255, age=torch.zeros(1), steps=torch.from_numpy(steps(path))[:, None]
    )
    seen = []
    student.senses.register_forward_hook(lambda _, given, out: seen.append(out[2].abs().mean().item()))
    with torch.no_grad():
        roll(student, flown, Past.none(student, flown), autocast=False)
        followed, seen[:] = seen[-1], []
        unregistered = replace(flown, steps=None)
        roll(student, unregistered, Past.none(student, unregistered), autocast=False)
    assert followed < 0.1 * seen[-1]


def test_gradients_flow_back_through_what_is_warped() -> None:
    torch.manual_seed(0)
    student, batch = Student(SIZES["nano"]), moving_batch(8)
    loss, *_ = batch_loss(student, batch, Past.none(student, batch), TrainConfig(), autocast=False)
    loss.backward()
    gradient = student.remember.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_batches_are_wholly_still_or_wholly_moving(share: float) -> None:
    stream = iter(RenderedBatches(None, seed=2, batch=2, size=96, frames=3, moving=share))
    assert all((next(stream).steps is not None) == bool(share) for _ in range(3))


def test_both_kinds_come_where_both_are_asked_for() -> None:
    stream = iter(RenderedBatches(None, seed=2, batch=2, size=96, frames=3, moving=0.5))
    assert {next(stream).steps is None for _ in range(8)} == {True, False}
