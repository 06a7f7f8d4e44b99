"""The last seconds in memory, and the video made of them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import clip
from edge.clip import Picture, Ring
from edge.errors import StorageError

FPS = 25


def grey(number: int, size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """A thermal view with noise, whose level tells its number."""
    width, height = size
    noise = np.random.default_rng(number).normal(0, 2.5, (height, width))
    return np.clip(np.round(40 + number + noise), 0, 255).astype(np.uint8)


def shown(path: Path) -> tuple[list[int], float]:
    """The number of each frame of a video by its level, and its rate."""
    video = cv2.VideoCapture(str(path))
    numbers = []
    while (read := video.read())[0]:
        numbers.append(round(float(read[1].mean()) - 40))
    rate = video.get(cv2.CAP_PROP_FPS)
    video.release()
    return numbers, rate


def test_fifteen_seconds_at_25_fps_take_less_than_8_mb():
    ring = Ring(8_000_000)
    for number in range(15 * FPS):
        ring.add(grey(number % 150), number / FPS)
    assert len(ring.between(0, 100)) == 15 * FPS
    assert ring.bytes == sum(len(picture.jpeg) for picture in ring.between(0, 100)) < 8_000_000


def test_what_is_old_goes():
    ring = Ring(1_000_000)
    for number in range(20):
        ring.add(grey(number), number / FPS)
    ring.forget_before(10 / FPS)
    assert [round(picture.captured * FPS) for picture in ring.between(0, 12 / FPS)] == [10, 11, 12]
    ring.clear()
    assert (ring.bytes, ring.between(0, 100)) == (0, ())


def test_too_large_pictures_are_thinned_evenly_and_come_in_full_again_when_there_is_room():
    ring = Ring(400_000)
    for number in range(200):
        ring.add(grey(number % 150), number / FPS)
    assert ring.bytes <= 400_000
    times = [picture.captured for picture in ring.between(0, 100)]
    assert times[0] < 1
    assert times[-1] > 7
    assert max(np.diff(times)) <= 2.1 * min(np.diff(times))
    assert len(times) < 40
    ring.forget_before(7.5)
    for number in range(200, 205):
        ring.add(grey(number % 150), number / FPS)
    assert len(ring.between(8, 100)) == 5


def pictures(*moments: float) -> list[Picture]:
    return [Picture(at, clip.jpeg(grey(round(at * FPS)), clip.KEPT)) for at in moments]


def test_a_video_shows_every_picture_in_its_time(tmp_path):
    clip.write(pictures(*(n / FPS for n in range(50))), tmp_path / "clip.avi")
    numbers, rate = shown(tmp_path / "clip.avi")
    assert rate == FPS
    assert numbers == list(range(50))


def test_a_gap_shows_the_picture_before_it(tmp_path):
    clip.write(pictures(*(n / FPS for n in (0, 1, 2, 3, 8, 9, 10))), tmp_path / "clip.avi")
    assert shown(tmp_path / "clip.avi")[0] == [0, 1, 2, 3, 3, 3, 3, 3, 8, 9, 10]


@pytest.mark.parametrize("count", [1, 2])
def test_a_camera_that_gave_almost_nothing_makes_a_short_clip(tmp_path, count):
    clip.write(pictures(*(n / FPS for n in range(count))), tmp_path / "clip.avi")
    assert len(shown(tmp_path / "clip.avi")[0]) == count


def test_a_camera_that_changes_its_size_breaks_no_clip(tmp_path):
    other = Picture(2 / FPS, clip.jpeg(grey(2, (640, 512)), clip.KEPT))
    clip.write([*pictures(0, 1 / FPS), other], tmp_path / "clip.avi")
    assert shown(tmp_path / "clip.avi")[0] == [0, 1, 2]


def test_a_colour_picture_keeps_its_colours(tmp_path):
    red = np.zeros((240, 320, 3), np.uint8)
    red[:, :, 2] = 200
    clip.write([Picture(0, clip.jpeg(red, clip.KEPT))], tmp_path / "clip.avi")
    video = cv2.VideoCapture(str(tmp_path / "clip.avi"))
    assert np.abs(video.read()[1].mean((0, 1)) - (0, 0, 200)).max() < 6


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process may grow beyond 100 kB: writing past that fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_clip_that_the_disk_did_not_take_whole_is_an_error(tmp_path, small_disk):
    with pytest.raises(StorageError, match="cannot be read back"):
        clip.write(pictures(*(n / FPS for n in range(50))), tmp_path / "clip.avi")
