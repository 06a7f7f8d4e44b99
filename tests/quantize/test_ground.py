"""The background of a moving view stays where the ground lies, sharp, and new ground catches up."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

import edge.ground
from calibration.flight import Flight, look, steps, track
from edge.records import Array
from edge.warp import STILL
from quantize.ground import ASTRAY, FADING, Ground
from quantize.warp import normalised, warp

SIZE = (64, 96)
PLACE = np.array([[1, 0, 60.0], [0, 1, 60.0], [0, 0, 1]])
PICTURE = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 2, (240, 300)).astype(np.float32), (0, 0), 1.2)
STEP = 1 / 15


def views(path: Array) -> list[torch.Tensor]:
    return [torch.from_numpy(look(PICTURE, PLACE @ at, SIZE))[None, None] for at in path]


def flown(flight: Flight, frames: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    path = track(np.random.default_rng(1), flight, SIZE, frames)
    return views(path), torch.from_numpy(steps(path))[:, None]


def ticks(t: int) -> torch.Tensor:
    return torch.tensor([[STEP, 60 + t * STEP]])


def clear() -> torch.Tensor:
    """Logits that see no gas."""
    return torch.full((1, 1, SIZE[0] // 2, SIZE[1] // 2), -20.0)


@pytest.mark.parametrize("flight", [Flight(pan=1.3, tilt=-0.4), Flight(pan=2.0, orbit=0.01), Flight(shake=6.0)])
def test_sixty_steps_of_motion_cost_no_sharpness(flight: Flight) -> None:
    frames, moves = flown(flight, 60)
    ground, redrawn = Ground.under(frames[0], torch.tensor([60.0])), frames[0]
    for t in range(1, 60):
        ground = ground.moved(moves[t])
        shown, young = ground.read(frames[t])
        ground = ground.write(frames[t], 0.02 * (frames[t] - shown), young, clear(), ticks(t))
        redrawn = warp(redrawn, normalised(moves[t : t + 1], *SIZE)[0], frames[t])
        redrawn = redrawn + 0.02 * (frames[t] - redrawn)
    inner = (..., slice(8, -8), slice(8, -8))
    error, blurred = ((one - frames[-1])[inner].abs().mean() for one in (shown, redrawn))
    assert error < 0.25 * blurred
    assert error < 0.2 * (frames[-1] - frames[-1].roll(1, -1))[inner].abs().mean()


def test_what_comes_into_view_is_the_present_frame_and_new() -> None:
    frames, moves = flown(Flight(pan=24.0), 2)
    ground = Ground.under(torch.zeros_like(frames[0]), torch.tensor([60.0])).moved(moves[1])
    shown, young = ground.read(frames[1])
    assert not shown[..., :70].any()
    assert torch.equal(shown[..., -23:], frames[1][..., -23:])
    assert young[0, 0, 10].tolist() == [6.0] * 72 + [0.0] * 24


def test_new_ground_grows_as_fast_as_a_running_mean() -> None:
    frames, moves = flown(Flight(pan=8.0), 2)
    ground = Ground.under(frames[0], torch.tensor([60.0])).moved(moves[1])
    _, young = ground.read(frames[1])
    ground = ground.write(frames[1], torch.zeros_like(frames[1]), young, clear(), ticks(1))
    still = torch.eye(3)[None, :2]
    later = frames[1] + 0.1
    for t in (2, 3):
        ground = ground.moved(still)
        shown, young = ground.read(later)
        slow = STEP / (6.0 + STEP) * (later - shown)
        ground = ground.write(later, slow, young, clear(), ticks(t))
    got = (ground.read(later)[0] - frames[1])[0, 0, 10]
    assert got[20] < 0.1 * 3 * STEP / 6
    assert got[-3] == pytest.approx(0.1, abs=1e-3), "at age 0 a running mean is the frame itself"


def test_gas_is_let_in_as_slowly_on_new_ground_as_on_old() -> None:
    frames, moves = flown(Flight(pan=8.0), 2)
    ground = Ground.under(frames[0], torch.tensor([60.0])).moved(moves[1])
    _, young = ground.read(frames[1])
    change = torch.full_like(frames[1], 0.01)
    ground = ground.write(frames[1], 0 * change, young, -clear(), ticks(1)).moved(torch.eye(3)[None, :2])
    shown, young = ground.read(frames[1])
    after, _ = ground.write(frames[1], change, young, -clear(), ticks(2)).read(frames[1])
    assert torch.allclose(after - shown, FADING * change, atol=1e-5)


def test_the_canvas_stays_below_the_view() -> None:
    frames, moves = flown(Flight(pan=5.0, tilt=-3.0), 30)
    ground = Ground.under(frames[0], torch.tensor([0.0]))
    for t in range(1, 30):
        ground = ground.moved(moves[t])
        shown, young = ground.read(frames[t])
        ground = ground.write(frames[t], 0 * shown, young, clear(), ticks(t))
        assert ground.view[0, :2, 2].abs().max() <= ASTRAY
        assert (shown - frames[t]).abs().mean() < 0.05


@pytest.mark.parametrize("flight", [Flight(pan=2.0, tilt=0.7), Flight(shake=4.0), Flight(pan=1.0, orbit=0.01)])
def test_training_remembers_what_the_device_remembers(flight: Flight) -> None:
    frames, moves = flown(flight, 45)
    ours, device = Ground.under(frames[0], torch.zeros(1)), edge.ground.Ground(*SIZE)
    view, away = STILL, []
    for t, (frame, step) in enumerate(zip(frames, moves, strict=True)):
        clock = torch.tensor([[STEP if t else 0.0, t * STEP]])
        if t:
            ours = ours.moved(moves[t])
            view = view @ np.vstack((step[0].numpy(), (0, 0, 1)))
        shown, young = ours.read(frame)
        plane = frame[0, 0].numpy()
        given = device.read(view, plane).copy()
        away.append(np.abs(given - shown[0, 0].numpy()).mean())
        rate = 0.1
        ours = ours.write(frame, rate * (frame - shown), young, clear(), clock)
        logits = clear()[0, 0].numpy()
        device.write(view, plane, given, given + rate * (plane - given), logits, (float(clock[0, 0]), t * STEP))
    spread = float(np.std(PICTURE))
    assert np.mean(away) < 0.1 * spread
    assert max(away) < 0.2 * spread
