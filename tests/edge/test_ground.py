"""The background stays sharp and in its place below a view that moves; new ground begins with what is seen of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.ground import EVERY_S, MARGIN, Ground
from edge.records import STILL, Array
from edge.warp import in_cells, shifted
from tests.edge import scenes

WIDE = scenes.scene(5, 240, 480) / np.float32(255)
NO_GAS: Array = np.full((60, 80), -9.0, np.float32)


def seen(right: float) -> Array:
    """(120, 160) of WIDE."""
    view = shifted(40 + right, 60)
    return np.asarray(cv2.warpAffine(WIDE, view[:2], (160, 120), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP))


def played(ground: Ground, way: list[float], rate: float = 0.1) -> Array:
    """What the ground shows at the last step, before it is taken in; the graph lets in a share of the difference."""
    for i, right in enumerate(way):
        frame, view = seen(right), shifted(right, 0)
        given = ground.read(view, frame).copy()
        ground.write(view, frame, given, given + np.float32(rate) * (frame - given), NO_GAS, (1 / 15, 10 + i / 15))
    return given


def test_a_view_that_stands_is_handed_out_bit_for_bit() -> None:
    ground, frame = Ground(120, 160), seen(0)
    assert ground.read(STILL, frame) is frame
    made = np.random.default_rng(0).random((120, 160), np.float32)
    for _ in range(3):
        ground.write(STILL, frame, frame, made, NO_GAS, (1 / 15, 1.0))
        np.testing.assert_array_equal(ground.read(STILL, frame), made)


@pytest.mark.parametrize("speed", [0.37, 1.5, 7.0])
def test_below_a_pan_it_stays_sharp(speed: float) -> None:
    way = [speed * i for i in range(min(90, int(200 / speed)))]
    given, frame = played(Ground(120, 160), way), seen(way[-1])
    inner = np.s_[4:-4, 4:-4]
    assert np.abs(given - frame)[inner].mean() * 255 < 0.5
    assert cv2.Laplacian(given, cv2.CV_32F)[inner].std() > 0.8 * cv2.Laplacian(frame, cv2.CV_32F)[inner].std()


def test_new_ground_is_what_the_frame_shows() -> None:
    ground, first, later = Ground(120, 160), seen(0), seen(30)
    ground.write(STILL, first, first, first, NO_GAS, (0.0, 0.0))
    shown = ground.read(shifted(30, 0), later + np.float32(0.2))
    np.testing.assert_array_equal(shown[:, -29:], later[:, -29:] + np.float32(0.2))
    assert np.abs(shown - later)[2:-2, 2:125].max() < 0.05


def test_a_leap_beyond_all_that_is_known_begins_anew() -> None:
    ground = Ground(120, 160)
    played(ground, [0.0, 1.5, 180.0, 180.5])
    later = seen(181)
    assert np.abs(ground.read(shifted(181, 0), later + np.float32(0.2)) - later)[2:-2, 2:-2].max() < 0.05


def test_what_a_shake_leaves_out_for_a_moment_is_not_forgotten() -> None:
    ground = Ground(120, 160)
    played(ground, [0.0, 6.0])
    stranger = seen(0) + np.float32(0.3)
    assert np.abs(ground.read(STILL, stranger) - seen(0))[2:-2, 2:-2].max() < 0.05


def test_new_ground_is_a_running_mean_at_first() -> None:
    """A graph whose clock says 10 s lets in a hundredth; ground seen for a few steps must take in much more."""
    ground, rng = Ground(120, 160), np.random.default_rng(1)
    still = seen(40)
    for i in range(12):
        frame, view = (seen(0), STILL) if not i else (still + rng.normal(0, 0.1, still.shape), shifted(40, 0))
        frame = frame.astype(np.float32)
        given = ground.read(view, frame).copy()
        rate = np.float32((1 / 15) / (6 + 1 / 15))
        ground.write(view, frame, given, given + rate * (frame - given), NO_GAS, (1 / 15, 10 + i / 15))
    new, old = np.s_[4:-4, 125:-4], np.s_[4:-4, 4:100]
    error = np.abs(ground.read(shifted(40, 0), still) - still)
    assert error[new].mean() < 0.06  # one frame's noise alone makes 0.08, ten frames' 0.025
    assert error[old].mean() < 0.03


@pytest.mark.parametrize(("logit", "times"), [(-9.0, 1.0), (-7.0, 1.0), (0.0, 3.0), (9.0, 3.0)])
def test_where_gas_may_be_old_ground_fades_faster(logit: float, times: float) -> None:
    ground, frame, view = Ground(120, 160), seen(0), shifted(2.5, 1.0)
    ground.write(STILL, frame, frame, frame, NO_GAS, (1 / 15, 0.0))
    for i in range(3):
        given = ground.read(view, frame).copy()
        logits = np.full_like(NO_GAS, logit if i else -9.0)
        ground.write(view, given + np.float32(0.5), given, given + np.float32(0.01), logits, (1 / 9, 20 + i / 9))
    inner = np.s_[8:-8, 8:-8]
    np.testing.assert_allclose((ground.read(view, frame) - given)[inner], 0.01 * times, rtol=0.01)


@pytest.mark.parametrize("fps", [6, 15, 30])
def test_a_view_that_moves_takes_in_a_second_of_changes_in_a_second(fps: int) -> None:
    ground, frame = Ground(120, 160), seen(0)
    ground.write(STILL, frame, frame, frame, NO_GAS, (1 / fps, 0.0))
    for i in range(1 + 3 * fps):
        view = shifted(2.5 + i % 2, 1.0)
        given = ground.read(view, frame).copy()
        changed = given + np.float32(0.1 / fps)
        ground.write(view, given + np.float32(0.5), given, changed, NO_GAS, (1 / fps, 20 + i / fps))
        if i == 0:
            before = ground.read(shifted(2.5, 1.0), frame).copy()
    inner = np.s_[8:-8, 8:-8]
    late = 0.1 * (EVERY_S + 1 / fps)
    assert (ground.read(shifted(2.5, 1.0), frame) - before)[inner].mean() == pytest.approx(0.3, abs=late)


def test_a_copy_of_a_moving_view_goes_on_bit_for_bit() -> None:
    """Wherever between two changes it is made."""
    for steps in range(4, 8):
        way = [1.3 * i for i in range(steps)]
        ground, loaded = Ground(120, 160), Ground(120, 160)
        played(ground, way)
        for name, array in loaded.arrays().items():
            np.copyto(array, ground.arrays()[name])
        loaded.resume(ground.cursor())
        more = [way[-1] + 1.3 * i for i in range(1, 8)]
        np.testing.assert_array_equal(played(ground, more), played(loaded, more))


def test_a_gain_step_reaches_it() -> None:
    ground = Ground(120, 160)
    ground.write(STILL, seen(0), seen(0), seen(0), NO_GAS, (0.0, 0.0))
    ground.rescale(0.5, 0.25)
    np.testing.assert_allclose(ground.read(STILL, seen(0)), 0.5 * seen(0) + 0.25, atol=1e-6)


def stood() -> Ground:
    """A background 0.2 above seen(0), after three steps of a view that stands."""
    ground, frame = Ground(120, 160), seen(0)
    for more in (0.0, 0.1, 0.2):
        given = ground.read(STILL, frame)
        ground.write(STILL, frame, given, frame + np.float32(more), NO_GAS, (1 / 15, more))
    return ground


def test_the_last_step_before_a_view_moves_a_gain_step_or_a_dump_counts() -> None:
    made = seen(0) + np.float32(0.2)
    np.testing.assert_array_equal(stood().read(shifted(4, 0), seen(4))[:, :150], made[:, 4:154])
    brighter, loaded, ground = stood(), Ground(120, 160), stood()
    brighter.rescale(0.5, 0.25)
    np.testing.assert_allclose(brighter.read(STILL, seen(0)), 0.5 * made + 0.25, atol=1e-6)
    for name, array in loaded.arrays().items():
        np.copyto(array, ground.arrays()[name])
    loaded.resume(ground.cursor())
    np.testing.assert_array_equal(loaded.read(STILL, seen(0)), made)


def test_the_canvas_has_room_for_a_shake() -> None:
    assert MARGIN >= 9  # px, three times the shake that is to be followed


def test_cells_lie_where_their_pixels_lie() -> None:
    transform = np.array([[1.02, -0.03, 5.0], [0.03, 1.02, -2.0], [0, 0, 1.0]])
    cell, middle = np.array([3, 7, 1.0]), np.array([3 * 8 + 3.5, 7 * 8 + 3.5, 1.0])
    np.testing.assert_allclose((in_cells(transform, 8) @ cell)[:2] * 8 + 3.5, (transform @ middle)[:2])
