"""The baselines see what such methods see: change against a background, change over a lag, motion."""

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.baselines import BASELINES, FarnebackFlow, LaggedDifference, Mog2
from edge.records import Frame, Quality

SHAPE = (60, 80)
FPS = 15.0


def scene(frames: int, *, onset: int | None = None, speed: float = 0.0, seed: int = 0) -> Iterator[Frame]:
    """A still, noisy view; from frame `onset` on a 20 px block 40 grey levels warmer, moving at `speed` px a frame."""
    random = np.random.default_rng(seed)
    still = random.uniform(60, 120, SHAPE)
    for index in range(frames):
        picture = still + random.normal(0, 1, SHAPE)
        if onset is not None and index >= onset:
            x = 10 + round(speed * (index - onset))
            picture[20:40, x : x + 20] += 40
        yield Frame(picture.clip(0, 255).astype(np.uint8), index, index / FPS, index / FPS)


def lit(mask: np.ndarray) -> float:
    return float(np.mean(mask > 0))


@pytest.mark.parametrize("kind", [Mog2, LaggedDifference])
def test_a_block_that_appears_is_found_and_the_still_view_before_it_is_not(kind: type) -> None:
    method = kind()
    said = [method.step(frame) for frame in scene(60, onset=50)]
    assert max(lit(one.mask) for one in said[:50]) < 0.01
    found = said[55].mask > 0
    assert found[22:38, 12:28].mean() > 0.95
    found[16:44, 6:34] = False
    assert found.mean() < 0.01


def test_a_lagged_difference_forgets_what_stays_longer_than_the_lag() -> None:
    method = LaggedDifference(lag_s=1.0)
    said = [method.step(frame) for frame in scene(60, onset=20)]
    assert lit(said[30].mask) > 0.05
    assert lit(said[45].mask) < 0.01


def test_a_lag_is_in_seconds_whatever_the_frame_rate() -> None:
    method = LaggedDifference(lag_s=1.0)
    slow = [
        Frame(frame.image, frame.index, frame.index / 5, frame.index / 5) for frame in scene(20, onset=10)
    ]  # 5 fps: the lag is 5 frames
    said = [method.step(frame) for frame in slow]
    assert lit(said[14].mask) > 0.05
    assert lit(said[15].mask) < 0.01


def test_flow_sees_a_block_that_moves_and_no_still_one() -> None:
    def of(speed: float) -> float:
        method = FarnebackFlow(speed=1.0)
        smooth = (frame for frame in scene(12, onset=0, speed=speed))
        return lit([method.step(frame) for frame in smooth][-1].mask)

    assert of(0.0) < 0.01
    assert of(3.0) > 0.02


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_every_baseline_speaks_as_the_segmenter_does_and_forgets_at_a_reset(name: str) -> None:
    method = BASELINES[name]()
    clip = list(scene(8, onset=4, speed=2))
    first = [method.step(frame) for frame in clip]
    assert first[0].quality is Quality.WARMING_UP
    assert not first[0].mask.any()
    for said in first:
        assert said.mask.shape == SHAPE
        assert set(np.unique(said.mask)) <= {0, 255}
        assert np.array_equal(said.logits > 0, said.mask > 0)
        assert said.background.shape == SHAPE
        assert 0 <= said.background.min() <= said.background.max() <= 1
    method.reset()
    again = [method.step(frame) for frame in clip]
    assert all(np.array_equal(one.mask, two.mask) for one, two in zip(first, again, strict=True))


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_colour_and_16_bit_frames_are_taken_too(name: str) -> None:
    grey = next(iter(scene(1))).image
    for image in (np.repeat(grey[..., None], 3, axis=2), grey.astype(np.uint16) * 64):
        assert BASELINES[name]().step(Frame(image, 0, 0.0, 0.0)).mask.shape == SHAPE
