"""The ring answers a lag in seconds with the step nearest to it, at any frame rate, whatever was lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import contract
from edge.contract import ModelSpec
from edge.errors import ModelError
from edge.records import Array
from edge.ring import OLDEST, YOUNGEST, Ring
from edge.warp import draw, draw_planes, shifted

SHORT, LONG = 2 / 15, 8 / 15


def spec(short: float = SHORT, long: float = LONG) -> ModelSpec:
    """Two lags of frame and key, one memory of the previous step; every tensor is a handful of numbers."""
    picture, key = {"shape": (1, 1, 2, 2)}, {"shape": (1, 3, 1, 1)}
    return ModelSpec.model_validate(
        {
            "name": "ring",
            "file": "ring.onnx",
            "sha256": "",
            "precision": "fp32",
            "opset": 17,
            "inputs": {
                "frame": picture,
                "clock": {"shape": (1, 2)},
                "frame_short": picture,
                "frame_long": picture,
                "key_short": key,
                "memory": key,
            },
            "outputs": {"logits": picture, "noise": {"shape": (1,)}, "key": key, "memory_next": key},
            "states": {
                "frame_short": {"source": "frame", "lag_s": short, "missing": "frame"},
                "frame_long": {"source": "frame", "lag_s": long, "missing": "frame"},
                "key_short": {"source": "key", "lag_s": short, "missing": "zeros"},
                "memory": {"source": "memory_next", "lag_s": 0.0, "missing": "zeros"},
            },
            "resize": "stretch",
            "threshold": 0.5,
            "min_component_px": 16,
            "provenance": {},
        }
    )


def frame_of(number: float) -> Array:
    return np.full((1, 1, 2, 2), number, np.float32)


def outputs_of(number: float) -> dict[str, Array]:
    return {"key": np.full((1, 3, 1, 1), number, np.float32), "memory_next": np.full((1, 3, 1, 1), -number, np.float32)}


def played(times: list[float]) -> Ring:
    """A ring that has seen one step at each of the times; step i is filled with i + 1."""
    ring = Ring(spec())
    for i, captured in enumerate(times):
        ring.write(captured, frame_of(i + 1), outputs_of(i + 1))
    return ring


def test_an_empty_ring_gives_what_the_modelspec_says() -> None:
    frame = frame_of(7)
    found = Ring(spec()).read(0.0, frame)
    assert found["frame_short"] is frame
    assert not found["key_short"].any()
    assert not found["memory"].any()
    assert found.keys() == {"frame_short", "frame_long", "key_short", "memory"}


@pytest.mark.parametrize(("fps", "short", "long"), [(9, 1, 5), (15, 2, 8), (25, 3, 13), (30, 4, 16), (60, 8, 32)])
def test_a_lag_is_the_same_time_at_every_frame_rate(fps: int, short: int, long: int) -> None:
    """`short` and `long` are the steps back that lie nearest to 0.133 s and 0.533 s."""
    ring = played([i / fps for i in range(5 * fps)])
    now = 5 * fps
    found = ring.read(now / fps, frame_of(0))
    tolerance = 1 if fps == 60 else 0  # every second step is kept
    assert abs(found["frame_short"][0, 0, 0, 0] - (now - short + 1)) <= tolerance
    assert abs(found["frame_long"][0, 0, 0, 0] - (now - long + 1)) <= tolerance
    assert found["key_short"][0, 0, 0, 0] == found["frame_short"][0, 0, 0, 0]
    assert found["memory"][0, 0, 0, 0] == -now, "lag 0 is the previous step, kept in a slot or not"


def test_at_9_fps_the_short_lag_is_the_previous_frame() -> None:
    ring = played([0.0, 1 / 9, 2 / 9])
    assert ring.age(3 / 9, SHORT) == pytest.approx(1 / 9)


def test_memory_does_not_grow_with_the_frame_rate() -> None:
    slow, fast = played([i / 15 for i in range(300)]), played([i / 240 for i in range(4800)])
    assert {k: v.shape for k, v in slow.dump().items()} == {k: v.shape for k, v in fast.dump().items()}
    assert sum(array.nbytes for array in fast.dump().values()) == sum(array.nbytes for array in slow.dump().values())
    assert fast.age(20.0, LONG) == pytest.approx(LONG, abs=SHORT / 4)


@given(
    fps=st.floats(9.0, 60.0),
    lost=st.lists(st.booleans(), min_size=60, max_size=90),
    jitter=st.lists(st.floats(-0.2, 0.2), min_size=90, max_size=90),
    start=st.floats(0.0, 1e6),
)
@settings(max_examples=200, deadline=None)
def test_the_answer_is_the_nearest_step(fps: float, lost: list[bool], jitter: list[float], start: float) -> None:
    """Against an oracle that remembers every step: no worse than by the distance below which steps are not kept."""
    times = [start + (i + jitter[i]) / fps for i, gone in enumerate(lost) if not gone]
    ring, now = played(times), start + len(lost) / fps
    found = ring.read(now, frame_of(0))
    spacing = SHORT / 4
    for lag, name in ((SHORT, "frame_short"), (LONG, "frame_long")):
        ages = [now - captured for captured in times]
        fit = [age for age in ages if YOUNGEST * lag <= age <= OLDEST * lag]
        answer = int(found[name][0, 0, 0, 0])
        if answer:
            assert ages[answer - 1] in fit
            assert abs(ages[answer - 1] - lag) <= min(abs(age - lag) for age in fit) + spacing
        else:
            assert not any(YOUNGEST * lag <= age <= OLDEST * lag - spacing for age in ages), "there was an answer"
    assert found["key_short"][0, 0, 0, 0] == found["frame_short"][0, 0, 0, 0], "of the same step, from fewer slots"


def test_a_source_keeps_no_more_than_its_own_longest_lag_needs() -> None:
    kept = Ring(spec()).dump()
    assert len(kept["history/key"]) < len(kept["history/frame"]) / 2


def test_a_nearer_step_that_is_too_young_does_not_hide_one_that_will_do() -> None:
    assert played([0.0, 0.125]).age(0.2, SHORT) == pytest.approx(0.2)


def test_a_step_too_young_or_too_old_is_no_answer() -> None:
    ring = played([10.0])
    for age, missing in ((0.5, True), (0.65, False), (1.0, False), (1.55, False), (1.65, True)):
        assert (ring.age(10.0 + age * SHORT, SHORT) is None) is missing


def test_reads_are_views_and_nothing_is_allocated() -> None:
    ring = played([i / 15 for i in range(100)])
    found = ring.read(100 / 15, frame_of(0))
    again = ring.read(100 / 15, frame_of(0))
    assert all(np.shares_memory(found[name], again[name]) for name in found)
    before = {name: array.ctypes.data for name, array in ring._arrays().items()}
    for i in range(100, 150):
        ring.write(i / 15, frame_of(i), outputs_of(i))
    assert before == {name: array.ctypes.data for name, array in ring._arrays().items()}


@given(split=st.integers(0, 60), fps=st.sampled_from([9, 15, 25, 30, 60]))
@settings(max_examples=40, deadline=None)
def test_a_loaded_ring_goes_on_bit_for_bit(split: int, fps: int) -> None:
    first = played([i / fps for i in range(split)])
    second = Ring(spec())
    second.write(99.0, frame_of(99), outputs_of(99))  # whatever was there is gone
    second.load(first.dump())
    for i in range(split, split + 40):
        a, b = (ring.read(i / fps, frame_of(0)) for ring in (first, second))
        assert all(np.array_equal(a[name], b[name]) for name in a)
        for ring in (first, second):
            ring.write(i / fps, frame_of(i + 1), outputs_of(i + 1))
    assert all(np.array_equal(value, second.dump()[name]) for name, value in first.dump().items())


def test_a_dump_is_a_copy() -> None:
    ring = played([0.0])
    dumped = ring.dump()
    ring.write(0.1, frame_of(5), outputs_of(5))
    assert dumped["recent/memory_next"][0, 0, 0, 0] == -1


def test_a_state_of_another_model_is_refused() -> None:
    with pytest.raises(ModelError, match="state 'captured' is"):
        Ring(spec()).load(Ring(spec(long=2.0)).dump())
    with pytest.raises(ModelError, match="absent"):
        Ring(spec()).load({})


def test_reset_forgets_everything() -> None:
    ring = played([i / 15 for i in range(30)])
    ring.reset()
    frame = frame_of(3)
    found = ring.read(2.0, frame)
    assert ring.last is None
    assert found["frame_long"] is frame
    assert not found["memory"].any()


def test_a_gain_step_rescales_pictures_and_nothing_else() -> None:
    ring = played([i / 15 for i in range(30)])
    before = {name: array.copy() for name, array in ring.read(2.0, frame_of(0)).items()}
    ring.rescale(1.5, -0.25)
    after = ring.read(2.0, frame_of(0))
    np.testing.assert_allclose(after["frame_short"], 1.5 * before["frame_short"] - 0.25)
    np.testing.assert_allclose(after["frame_long"], 1.5 * before["frame_long"] - 0.25)
    np.testing.assert_array_equal(after["key_short"], before["key_short"])
    np.testing.assert_array_equal(after["memory"], before["memory"])


def test_what_is_remembered_is_seen_through_the_present_view() -> None:
    """The camera has gone 8 px to the right: what it saw at x + 8 is now at x, and what came in has no past."""
    shipped = contract.load("student.int8")[0]
    width, height = shipped.size
    wide = np.random.default_rng(0).random((1, 1, height, width + 20), np.float32)
    cells, memory = (shipped.inputs[name].shape[3] for name in ("key_short", "memory"))
    ring = Ring(shipped)
    outputs = {name: np.full(tensor.shape, 0.5, np.float32) for name, tensor in shipped.outputs.items()}
    cell = width // cells  # px
    outputs["key"][..., 3] = 7.0  # a column of cells
    before, now = wide[..., :width].copy(), wide[..., 8 : width + 8].copy()
    outputs["background_next"] = before
    ring.read(0.0, before)
    ring.write(0.0, before, outputs)
    found = ring.read(2 / 15, now, shifted(8, 0))
    for name in ("frame_short", "background"):
        np.testing.assert_allclose(found[name][..., : width - 10], now[..., : width - 10], atol=5e-5)
        np.testing.assert_array_equal(found[name][..., width - 7 :], now[..., width - 7 :])
    assert (found["key_short"][..., 3 - 8 // cell] > 6.9).all()
    assert not found["key_short"][..., cells - 8 // cell :].any()
    gone = 8 * memory // width  # columns
    assert not found["memory"][..., memory - gone :].any()
    assert found["memory"][..., : memory - gone - 1].all()


def test_a_step_without_a_view_has_no_past_and_is_none() -> None:
    ring, frame = played([i / 15 for i in range(30)]), frame_of(7)
    found = ring.read(2.0, frame, None)
    assert found["frame_short"] is frame
    assert not found["memory"].any()
    ring.skip(2.0)
    assert ring.last == 2.0
    assert ring.age(2.0 + 1 / 15, SHORT) == pytest.approx(2 / 15)


@pytest.mark.parametrize("channels", [1, 3, 8, 16])
def test_planes_drawn_together_are_those_drawn_one_by_one(channels: int) -> None:
    rng = np.random.default_rng(channels)
    planes = rng.random((channels, 30, 40), np.float32)
    for _ in range(20):
        turn, (right, down) = rng.normal(0, 0.05), rng.normal(0, 6, 2)
        view = np.array([[np.cos(turn), -np.sin(turn), right], [np.sin(turn), np.cos(turn), down], [0, 0, 1]])
        alone, together = np.zeros_like(planes), np.full_like(planes, 5.0)
        for plane, drawn in zip(planes, alone, strict=True):
            draw(plane, view, drawn)
        draw_planes(planes, view, together)
        np.testing.assert_array_equal(together, alone)
