"""A packed step is the step, to within a 16,384th of its largest value, whatever its scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edge.packed import Packed


@given(
    values=npst.arrays(np.float32, (2, 3), elements=st.floats(-1, 1, width=32)),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 255.0, 1e6]),
)
def test_a_step_comes_back_nearly_as_it_was(values: np.ndarray, scale: float) -> None:
    values = values * np.float32(scale)
    kept = Packed(2, (2, 3))
    kept.put(1, values)
    largest = float(np.abs(values).max())
    np.testing.assert_allclose(kept.get(1), values, rtol=0, atol=max(largest / 2**14, 1e-15))
    assert kept.get(1).dtype == np.float32
    assert not kept.get(0).any(), "the other places are left alone"


def test_whole_numbers_and_zeros_come_back_as_they_were() -> None:
    kept, out = Packed(2, (4,)), np.empty(4, np.float32)
    for values in ([-16383, 3, 0, 1], [0, 0, 0, 0]):
        kept.put(0, np.array(values, np.float32))
        assert kept.get(0, out) is out
        assert out.tolist() == values


def test_a_picture_is_good_to_a_hundredth_of_a_grey_level() -> None:
    kept, picture = Packed(1, (120, 160)), np.random.default_rng(0).random((120, 160), np.float32)
    kept.put(0, picture)
    assert np.abs(kept.get(0) - picture).max() * 255 < 0.01


def test_a_rescaled_picture_may_leave_its_range() -> None:
    kept = Packed(2, (3,))
    kept.put(0, np.array([0.0, 0.5, 1.0], np.float32))
    kept.rescale(4.0, -1.0)
    assert kept.get(0) == pytest.approx([-1.0, 1.0, 3.0], abs=1e-3)
    assert kept.get(1) == pytest.approx([-1.0, -1.0, -1.0], abs=1e-3)
