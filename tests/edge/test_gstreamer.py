"""GStreamer pipelines are cameras: every format's pixels, a recording at its own rate, and errors in words."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from edge import capture
from edge.broker import free_port
from edge.capture import SourceOptions, introspection, live
from edge.capture.credentials import Credentials
from edge.errors import SourceError
from edge.records import Frame
from tests.edge import cameras

LIBRARIES = ("Gst 1.0", "GstVideo 1.0")


@pytest.fixture
def gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, for this Python, too."""
    cameras.need(*LIBRARIES)
    try:
        capture.open("gst:videotestsrc")
    except SourceError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(live, "BACK_OFF_S", (0.01, 0.05))


def take(source: str, count: int, options: SourceOptions = capture.PLAIN) -> list[Frame]:
    with capture.open(source, options) as frames:
        return list(itertools.islice(frames, count))


def pattern(form: str, width: int = 161, height: int = 121, pattern: str = "smpte") -> str:
    """Odd sizes, so that lines have padding."""
    return (
        f"gst:videotestsrc is-live=true pattern={pattern} "
        f"! video/x-raw,format={form},width={width},height={height},framerate=50/1"
    )


@pytest.mark.usefixtures("gstreamer")
@pytest.mark.parametrize(
    ("form", "dtype", "channels"),
    [
        ("GRAY8", np.uint8, ()),
        ("GRAY16_LE", np.uint16, ()),
        ("GRAY16_BE", np.uint16, ()),
        ("I420", np.uint8, ()),
        ("NV12", np.uint8, ()),
        ("BGR", np.uint8, (3,)),
        ("RGB", np.uint8, (3,)),
    ],
)
def test_every_format_shows_the_same_picture(form: str, dtype: type, channels: tuple[int, ...]) -> None:
    (frame,) = take(pattern(form), 1)
    image = frame.image
    assert (image.dtype, image.shape) == (np.dtype(dtype), (121, 161, *channels))
    assert image.flags.writeable
    levels = image.astype(float) * (255 / np.iinfo(dtype).max)
    grey = levels if not channels else levels @ (0.114, 0.587, 0.299)
    if form.startswith("GRAY"):  # grey of video range, which GStreamer does not stretch
        grey = (grey - 16) * 255 / 219
    bars = [grey[:70, x : x + 10].mean() for x in range(6, 160, 23)]  # of falling brightness
    assert bars == pytest.approx([255, 226, 179, 150, 105, 76, 29], abs=12)
    assert grey[:70, 2:20].std() < 2, "lines are not in step"


@pytest.mark.usefixtures("gstreamer")
@pytest.mark.parametrize(("name", "level"), [("black", 0), ("white", 255)])
def test_the_luma_of_video_reaches_from_black_to_white(name: str, level: int) -> None:
    (frame,) = take(pattern("I420", 64, 48, name), 1)
    assert np.all(frame.image == level)


@pytest.mark.usefixtures("gstreamer")
def test_times_come_from_the_pipeline() -> None:
    with capture.open(pattern("GRAY8")) as source:
        frames = list(itertools.islice(source, 20))
        assert source.fps == 50.0
    assert np.diff([frame.captured for frame in frames]) % 0.02 == pytest.approx(0.01, abs=0.0101)  # whole frames
    assert frames[-1].captured - frames[0].captured >= 19 * 0.02 - 1e-3


@pytest.mark.usefixtures("gstreamer")
def test_a_recording_is_played_at_its_own_rate_and_again(tmp_path: Path) -> None:
    clip = cameras.write_clip(tmp_path / "clip.avi", 20)
    frames = take(f"gst:filesrc location={clip} ! decodebin", 30)
    numbers = [cameras.number(frame.image) for frame in frames]
    assert numbers[0] < 6
    assert sum(b < a for a, b in itertools.pairwise(numbers)) >= 1, "it does not start again"
    steps = [
        (b.captured - a.captured) / (m - n)
        for (n, a), (m, b) in itertools.pairwise(zip(numbers, frames, strict=True))
        if m > n
    ]
    assert np.median(steps) == pytest.approx(1 / cameras.FPS, abs=1e-3)


@pytest.mark.usefixtures("gstreamer")
def test_a_pipeline_logs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    cameras.need("GstRtspServer 1.0")
    clip = cameras.write_clip(tmp_path / "clip.avi", 500)
    port = free_port()
    source = (
        f"gst:rtspsrc location=rtsp://127.0.0.1:{port}/live protocols=tcp latency=0 "
        "! rtpjpegdepay ! jpegdec ! videoconvert ! video/x-raw,format=GRAY8"
    )
    with cameras.Helper("rtsp_server.py", port, clip, "jim:s3cret!", "jpeg"):
        frames = take(source, 20, SourceOptions(credentials=Credentials("jim", "s3cret!")))
        numbers = [cameras.number(frame.image) for frame in frames]
        assert numbers == sorted(set(numbers))
        off = [frame.captured - number / cameras.FPS for frame, number in zip(frames, numbers, strict=True)]
        assert np.ptp(off) < 0.1
        monkeypatch.setattr(live, "PATIENCE_S", 2.0)
        with pytest.raises(SourceError, match=r"GStreamer: Unauthorized"):
            take(source, 1, SourceOptions(credentials=Credentials("jim", "another")))
    assert "s3cret" not in "".join(capfd.readouterr())


@pytest.mark.usefixtures("gstreamer")
@pytest.mark.parametrize(
    ("pipeline", "problem"),
    [
        ("nvarguscamerasrc ! nvvidconv", r'gst:nvarguscamerasrc ! nvvidconv: GStreamer: no element "nvarguscamerasrc"'),
        ("videotestsrc ! ! x", "GStreamer: "),
        ("rtspsrc user-id=jim user-pw=s3cret ! nothing", r'user-id=\*\*\* user-pw=\*\*\* ! nothing: .*"nothing"'),
    ],
)
def test_a_pipeline_that_cannot_be_built_is_refused_at_once(pipeline: str, problem: str) -> None:
    with pytest.raises(SourceError, match=problem) as caught:
        capture.open(f"gst:{pipeline}")
    assert "s3cret" not in str(caught.value)


@pytest.mark.usefixtures("gstreamer")
def test_what_a_running_pipeline_complains_of_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(live, "PATIENCE_S", 1.0)
    with pytest.raises(SourceError, match=r"GStreamer: .*(No such file|not found).*; gave up after 1 s"):
        capture.open(f"gst:filesrc location={tmp_path}/nothing.avi ! decodebin").__enter__()


@pytest.mark.parametrize(
    ("folder", "problem"),
    [("empty", "PyGObject is not installed: apt-get install python3-gi"), ("foreign", "is not for this Python 3")],
)
def test_without_its_bindings_we_say_what_to_install(
    folder: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / folder
    here.mkdir()
    if folder == "foreign":
        (here / "gi").mkdir()
        (here / "gi" / "__init__.py").write_text("from . import _gi\n")
    monkeypatch.setattr(introspection, "DEBIAN", str(here))
    for module in ("gi", "gi._gi"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(introspection.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SourceError, match=problem):
        capture.open("gst:videotestsrc")


@pytest.mark.usefixtures("gstreamer")
def test_a_library_that_is_missing_is_named() -> None:
    with pytest.raises(SourceError, match=r"NoSuchThing 1\.0 is not installed: apt-get install this-package"):
        introspection.library("NoSuchThing", "1.0", "this-package")
