"""Footage comes as Frames; what cannot be read is one line, what breaks in the middle keeps what it has."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import capture
from edge.capture import SourceOptions
from edge.capture.images import natural
from edge.capture.raw import RawFrames
from edge.errors import BrokenSource, ConfigError, SourceError
from edge.records import Frame

SIZE = (64, 48)


def write_video(path: Path, frames: int = 20, fps: float = 10.0) -> Path:
    """Frame i is a grey level of 10 i: Motion JPEG, so every frame stands alone."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, SIZE)
    assert video.isOpened()
    for i in range(frames):
        video.write(np.full((SIZE[1], SIZE[0], 3), 10 * (i % 25), np.uint8))
    video.release()
    return path


def write_images(folder: Path, count: int = 12, dtype: type = np.uint8, suffix: str = ".png") -> Path:
    """frame0.png … frame11.png, each filled with its number."""
    folder.mkdir()
    for i in range(count):
        cv2.imwrite(str(folder / f"frame{i}{suffix}"), np.full(SIZE[::-1], i, dtype))
    return folder


def read(source: capture.Source) -> list[Frame]:
    with source:
        return list(source)


def partly(source: capture.Source) -> tuple[list[Frame], str]:
    """The frames that came, and how it broke."""
    frames: list[Frame] = []
    with source, pytest.raises(BrokenSource) as caught:
        frames.extend(source)  # keeps what came before the break
    assert "\n" not in str(caught.value)
    return frames, str(caught.value)


def test_a_video_gives_its_frames_in_time(tmp_path: Path) -> None:
    source = capture.open(str(write_video(tmp_path / "a clip.avi")))
    assert (source.fps, source.size, source.frames, source.name) == (10.0, SIZE, 20, "a-clip")
    frames = read(source)
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.captured for frame in frames] == pytest.approx([i / 10 for i in range(20)], abs=1e-3)
    assert [frame.image.mean() for frame in frames] == pytest.approx([10 * i for i in range(20)], abs=2)


def test_frames_are_arrays_of_their_own(tmp_path: Path) -> None:
    frames = read(capture.open(str(write_video(tmp_path / "clip.avi"))))
    assert not np.shares_memory(frames[3].image, frames[4].image)


def test_the_same_footage_has_the_same_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi")
    first, second = ([(f.captured, f.utc) for f in read(capture.open(str(path)))] for _ in range(2))
    assert first == second


def test_a_frame_rate_can_be_given(tmp_path: Path) -> None:
    source = capture.open(str(write_video(tmp_path / "clip.avi")), SourceOptions(fps=25))
    assert source.fps == 25
    assert [frame.captured for frame in read(source)][:3] == pytest.approx([0, 0.04, 0.08])


def test_a_truncated_video_keeps_what_decodes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 60)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    frames, problem = partly(capture.open(str(path)))
    assert 10 < len(frames) < 45
    assert f"clip.avi: breaks after frame {len(frames) - 1}: {len(frames)} of 60 frames decode" in problem


def test_times_that_stand_still_are_counted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck:
        """A decoder without time stamps."""

        def __init__(self, real: cv2.VideoCapture) -> None:
            self._real = real

        def get(self, what: int) -> float:
            return 0.0 if what == cv2.CAP_PROP_POS_MSEC else float(self._real.get(what))

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda *arguments: Stuck(real(*arguments)))
    times = [frame.captured for frame in read(capture.open(str(write_video(tmp_path / "clip.avi"))))]
    assert times == pytest.approx([i / 10 for i in range(20)])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("missing.mp4", None, "no such file or folder"),
        ("text.mp4", b"dear camera,\n" * 100, "not a video"),
        ("empty.mp4", b"", "the file is empty"),
        ("empty.png", b"", "the file is empty"),
        ("text.png", b"no picture", "not an image"),
    ],
)
def test_what_cannot_be_read_is_one_line(name: str, content: bytes | None, problem: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=problem) as caught:
        read(capture.open(str(tmp_path / name)))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("damage", ["text", "truncated"])
def test_the_decoder_does_not_write_to_the_terminal(damage: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 30)
    path.write_bytes(b"dear camera,\n" * 100 if damage == "text" else path.read_bytes()[:9000])
    script = (
        "import sys; from edge import capture, errors\n"
        "try: [frame for frame in capture.open(sys.argv[1])]\n"
        "except errors.SourceError as error: print(error)"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENCV_")}
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(path))
    assert done.stderr == ""


def test_a_folder_is_a_clip_in_natural_order(tmp_path: Path) -> None:
    source = capture.open(str(write_images(tmp_path / "clip")), SourceOptions(fps=20))
    assert (source.fps, source.size, source.frames, source.name) == (20, SIZE, 12, "clip")
    frames = read(source)
    assert [int(frame.image[0, 0]) for frame in frames] == list(range(12))
    assert frames[3].captured == pytest.approx(0.15)
    assert natural(Path("a2b10")) < natural(Path("a10b1"))


@pytest.mark.parametrize(
    ("suffix", "dtype"), [(".png", np.uint16), (".tif", np.uint16), (".bmp", np.uint8), (".jpg", np.uint8)]
)
def test_images_keep_their_depth(suffix: str, dtype: type, tmp_path: Path) -> None:
    frames = read(capture.open(str(write_images(tmp_path / "clip", 3, dtype, suffix))))
    assert [frame.image.dtype for frame in frames] == [dtype] * 3
    assert [frame.image.shape for frame in frames] == [SIZE[::-1]] * 3


def test_transparency_is_left_out(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), np.full((48, 64, 4), 77, np.uint8))
    (frame,) = read(capture.open(str(tmp_path / "one.png")))
    assert frame.image.shape == (48, 64, 3)


def test_floating_point_images_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.tif"), np.full((48, 64), 0.5, np.float32))
    with pytest.raises(SourceError, match="pixels are float32"):
        capture.open(str(tmp_path / "one.tif"))


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_folder: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)
    with pytest.raises(SourceError, match="cannot be read: Permission denied"):
        capture.open(str(tmp_path))


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(SourceError, match="no images in this folder"):
        capture.open(str(tmp_path))


def test_a_size_that_changes_breaks_the_clip_there(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "clip")
    cv2.imwrite(str(folder / "frame5.png"), np.zeros((20, 20), np.uint8))
    frames, problem = partly(capture.open(str(folder)))
    assert len(frames) == 5
    assert "frame5.png: is 20x20, the 5 images before are 64x48" in problem


def test_a_damaged_image_breaks_the_clip_there(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "clip")
    (folder / "frame7.png").write_bytes(b"")
    frames, problem = partly(capture.open(str(folder)))
    assert len(frames) == 7
    assert "frame7.png: the file is empty, after 7 good images" in problem


def raw(content: bytes, dtype: str = "uint8") -> RawFrames:
    return RawFrames(SIZE, dtype, 15.0, io.BytesIO(content))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_raw_frames_come_one_after_the_other(dtype: str) -> None:
    images = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (3, *SIZE[::-1])).astype(dtype)
    frames = read(raw(images.astype(f"<{np.dtype(dtype).str[1:]}").tobytes(), dtype))
    assert len(frames) == 3
    for frame, image in zip(frames, images, strict=True):
        np.testing.assert_array_equal(frame.image, image)
        assert frame.image.dtype == np.dtype(dtype)
        assert frame.image.flags.writeable


def test_raw_frames_that_end_within_one_keep_the_others() -> None:
    frames, problem = partly(raw(bytes(int(2.5 * 64 * 48))))
    assert len(frames) == 2
    assert "ends within frame 2: 1536 of 3072 bytes; does --size fit?" in problem


def test_raw_frames_that_never_come_are_refused() -> None:
    with pytest.raises(SourceError, match="no frames came"):
        read(raw(b""))
    with pytest.raises(ConfigError, match="--size"):
        capture.open("-")


def test_an_unknown_kind_of_source_does_not_show_its_password() -> None:
    with pytest.raises(SourceError, match="unknown kind of source") as caught:
        capture.open("ftp://jim:s3cret@host/clip.mp4")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://jim:s3cret@10.0.0.7:554/live",
        "rtsp://jim:s3cret@home@10.0.0.7/live",
        "rtsp://jim:a/s3cret@10.0.0.7/live",
        "rtsp://10.0.0.7/live?user=jim&password=s3cret",
        "cannot open rtsp://jim:s3cret@10.0.0.7/live: timeout",
        "gst:rtspsrc location=rtsp://10.0.0.7/live user-id=jim user-pw=s3cret ! decodebin",
        'gst:rtspsrc location=rtsp://10.0.0.7/live user-id="jim" user-pw="a s3cret" ! decodebin',
    ],
)
def test_credentials_are_blotted_out(url: str) -> None:
    shown = capture.without_credentials(url)
    assert "s3cret" not in shown
    assert "jim" not in shown
    assert "10.0.0.7" in shown
