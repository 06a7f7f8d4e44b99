"""What has only slid is moved by slices, as OpenCV would have drawn it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.warp import SLIGHT, draw, draw_planes, in_cells, inverse, shifted, slide

PLANE = np.random.default_rng(0).random((30, 40), np.float32)


@pytest.mark.parametrize("way", [(2.3, -1.4), (-7.75, 0.5), (3, -2), (0, 0.25), (0.5, 0), (-16, -16), (55, 0)])
@pytest.mark.parametrize("size", [(30, 40), (46, 56)])
def test_a_slide_is_drawn_as_opencv_draws_it(way: tuple[float, float], size: tuple[int, int]) -> None:
    """But for the rim, where OpenCV mixes with what lies beyond the plane: that stays as it is."""
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    wanted = cv2.warpAffine(PLANE, shifted(*way)[:2], size[::-1], flags=how, borderValue=1e9)
    out = np.full(size, -1, np.float32)
    draw(PLANE, shifted(*way), out)
    inside = wanted < 1
    np.testing.assert_allclose(out[inside], wanted[inside], atol=1e-5)
    assert (out[~inside] == -1).all()


def test_planes_slide_as_one_does() -> None:
    planes = np.random.default_rng(1).random((5, 30, 40), np.float32)
    together = np.full_like(planes, 7)
    draw_planes(planes, shifted(1.25, -3.5), together)
    for plane, drawn in zip(planes, together, strict=True):
        out = np.zeros_like(plane)
        draw(plane, shifted(1.25, -3.5), out)
        assert np.array_equal(drawn, out)


def test_the_nearest_px_is_a_whole_one() -> None:
    out = np.zeros((30, 40), np.float32)
    draw(PLANE, shifted(2.4, -0.6), out, cv2.INTER_NEAREST)
    assert np.array_equal(out[1:, :38], PLANE[:29, 2:])


def test_a_turn_is_a_slide_only_while_no_corner_shows_it() -> None:
    turned = shifted(3, 1)
    turned[0, 1] = 0.9 * SLIGHT / 14.5
    found = slide(turned, (30, 40))
    assert found is not None
    assert found == pytest.approx((3 + 0.9 * SLIGHT, 1))  # as the middle does
    turned[0, 1] *= 1.2
    assert slide(turned, (30, 40)) is None
    tilted = shifted(3, 1)
    tilted[2, 0] = 1e-9
    assert slide(tilted, (30, 40)) is None


@pytest.mark.parametrize(("across", "down"), [(4.0, None), (2.0, 2.5), (0.5, 0.5)])
def test_cells_lie_where_their_px_do(across: float, down: float | None) -> None:
    transform = np.array([[1.1, -0.2, 3.0], [0.1, 0.9, -2.0], [1e-3, 2e-3, 1.0]])
    high = across if down is None else down
    to_px = np.array([[across, 0, (across - 1) / 2], [0, high, (high - 1) / 2], [0, 0, 1]])
    np.testing.assert_allclose(in_cells(transform, across, down), inverse(to_px) @ transform @ to_px, atol=1e-12)
