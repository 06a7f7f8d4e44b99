"""A camera comes back after every fault, keeps the newest frame, and says what is wrong, never its password."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import capture
from edge.capture import SourceOptions, live, opencv
from edge.capture.credentials import Credentials, find
from edge.capture.live import Camera
from edge.capture.rtsp import refusal
from edge.errors import BrokenSource, ConfigError, SourceError
from edge.records import Array, Frame
from tests.edge import scenes
from tests.edge.fakes import FakeDevice

URL = "rtsp://jim:s3cret@10.0.0.7/live"
PICTURE = scenes.shot(scenes.scene(0, 48, 64), 0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience for a test."""
    monkeypatch.setattr(live, "PATIENCE_S", 0.6)
    monkeypatch.setattr(live, "BACK_OFF_S", (0.01, 0.05))


def camera(*devices: FakeDevice) -> tuple[Camera, Callable[[], int]]:
    """A camera that is connected to the devices in turn, then to nothing; and how often it was tried."""
    tries = itertools.count()
    waiting = list(devices)

    def connect() -> FakeDevice:
        next(tries)
        if not waiting:
            raise SourceError(f"cannot connect: {URL} is silent")
        return waiting.pop(0)

    return Camera(URL, connect), lambda: next(tries)


@pytest.mark.usefixtures("quick")
def test_a_camera_gives_live_frames() -> None:
    device = FakeDevice([PICTURE] * 3)
    source, _ = camera(device)
    with source:
        frame = next(iter(source))
        assert (source.fps, source.size, source.frames) == (25.0, (64, 48), None)
        assert frame.utc > 1.6e9
        np.testing.assert_array_equal(frame.image, PICTURE)
    assert device.closed


@pytest.mark.usefixtures("quick")
def test_a_camera_connects_again_and_then_counts_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    devices = [FakeDevice([PICTURE + i]) for i in range(3)]
    source, tries = camera(*devices)
    frames: list[Frame] = []
    shown = r"rtsp://\*\*\*@10\.0\.0\.7/live"
    problem = rf"{shown}: cannot connect: {shown} is silent; no frame for 0\.6 s"
    with source, pytest.raises(BrokenSource, match=problem):
        frames.extend(source)
    assert tries() > 3
    assert all(device.closed for device in devices)
    assert frames[-1].image[0, 0] == PICTURE[0, 0] + 2
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(a.captured < b.captured for a, b in itertools.pairwise(frames))
    assert "the stream ended; next try in about" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.usefixtures("quick")
def test_waits_between_tries_double_up_to_a_cap_and_are_jittered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "BACK_OFF_S", (0.1, 0.35))
    monkeypatch.setattr(live, "PATIENCE_S", 1.5)
    factors: list[tuple[float, float]] = []
    monkeypatch.setattr(live.random, "uniform", lambda low, high: factors.append((low, high)) or 0.5)
    with pytest.raises(SourceError):
        camera()[0].__enter__()
    waits = [record.args[2] for record in caplog.records if isinstance(record.args, tuple)]
    assert waits[:4] == [0.1, 0.2, 0.35, 0.35]
    assert set(factors) == {(0.5, 1.5)}


@pytest.mark.usefixtures("quick")
def test_a_camera_that_is_not_there_is_one_line() -> None:
    source, _ = camera()
    with pytest.raises(SourceError, match=r"is silent; gave up after 0\.6 s") as caught:
        source.__enter__()
    assert not isinstance(caught.value, BrokenSource)
    assert "s3cret" not in str(caught.value)
    assert source.problem.startswith("cannot connect")


class Stamped(FakeDevice):
    """Stamps its pictures at 25 a second; the first ones have waited and come at once."""

    def __init__(self, waited: int) -> None:
        super().__init__([np.full((4, 4), i, np.uint8) for i in range(waited + 50)])
        self._stamps = iter(range(waited + 50))
        self._waited = waited

    def read(self) -> tuple[Array, float | None]:
        image, _ = super().read()
        if (number := next(self._stamps)) >= self._waited:
            time.sleep(1 / 25)
        return image, number / 25


def test_what_has_waited_while_we_connected_is_left_out() -> None:
    source, _ = camera(Stamped(20))
    with source:
        assert next(iter(source)).image[0, 0] >= 20


class Capture:
    """An OpenCV capture of a device that knows some formats and one size."""

    def __init__(self, formats: tuple[str, ...] = ("YUYV", "Y16"), size: tuple[int, int] = (64, 48)) -> None:
        self._formats, self._size = formats, size
        self.asked: dict[int, float] = {}
        self.released = False

    def isOpened(self) -> bool:
        return not self.released

    def set(self, what: int, value: float) -> bool:
        self.asked[what] = value
        return True

    def get(self, what: int) -> float:
        if what == cv2.CAP_PROP_FOURCC:
            wanted = int(self.asked.get(what, 0)).to_bytes(4, "little").decode().strip()
            given = wanted if wanted in self._formats else self._formats[0]
            return float(cv2.VideoWriter.fourcc(*given.ljust(4)))
        sizes = {cv2.CAP_PROP_FRAME_WIDTH: self._size[0], cv2.CAP_PROP_FRAME_HEIGHT: self._size[1]}
        return float(sizes.get(what, 9.0 if what == cv2.CAP_PROP_FPS else 1000.0))

    def read(self) -> tuple[bool, Array]:
        if self.asked.get(cv2.CAP_PROP_CONVERT_RGB) == 0:
            return True, np.arange(64 * 48, dtype="<u2").view(np.uint8)[None]  # as a driver's bytes
        return True, np.zeros((48, 64, 3), np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Capture:
    """What every /dev/video path leads to."""
    made = Capture()
    monkeypatch.setattr(opencv.os.path, "exists", lambda _path: True)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_arguments: made)
    return made


def test_a_device_is_asked_for_16_bits_size_and_rate(device: Capture) -> None:
    opened = opencv.connect_v4l2("/dev/video0", SourceOptions(fps=9, size=(64, 48), pixel_format="Y16"))
    assert device.asked == {
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"Y16 "),
        cv2.CAP_PROP_FRAME_WIDTH: 64,
        cv2.CAP_PROP_FRAME_HEIGHT: 48,
        cv2.CAP_PROP_FPS: 9,
        cv2.CAP_PROP_CONVERT_RGB: 0,
    }
    image, stamp = opened.read()
    assert (image.dtype, image.shape, stamp) == (np.uint16, (48, 64), 1.0)
    np.testing.assert_array_equal(image.ravel(), np.arange(64 * 48))
    assert opened.fps == 9


def test_a_device_that_is_asked_for_nothing_gives_what_it_likes(device: Capture) -> None:
    image, _ = opencv.connect_v4l2("/dev/video0", SourceOptions()).read()
    assert image.shape == (48, 64, 3)
    assert not device.asked


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (SourceOptions(pixel_format="Z16"), "the device gives YUYV, not Z16"),
        (SourceOptions(size=(320, 240)), "the device gives 64x48, not 320x240"),
        (SourceOptions(pixel_format="Mono16"), "pixel_format Mono16: at most four letters"),
    ],
)
def test_a_device_that_cannot_do_what_is_asked_says_so(device: Capture, options: SourceOptions, problem: str) -> None:
    with pytest.raises(SourceError, match=problem):
        opencv.connect_v4l2("/dev/video0", options)
    assert device.released


@pytest.mark.usefixtures("quick")
def test_a_video_device_that_is_not_there_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="/dev/video77: cannot connect: no such device"):
        capture.open("/dev/video77").__enter__()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("silence", [True, False])
def test_a_silent_camera_is_told_from_one_that_ended(monkeypatch: pytest.MonkeyPatch, silence: bool) -> None:
    times = iter([100.0, 105.0 if silence else 100.1])
    monkeypatch.setattr(opencv.time, "monotonic", lambda: next(times))
    ended = Capture()
    monkeypatch.setattr(ended, "read", lambda: (False, None))
    with pytest.raises(SourceError, match="no frame within 5 s" if silence else "the stream ended"):
        opencv.OpenCVDevice(ended).read()


def test_a_login_goes_into_the_address_and_nowhere_else() -> None:
    login = Credentials("jim@site", "a/b:c@d e")
    assert login.within("rtsp://old:one@10.0.0.7:8554/live?x=1") == (
        "rtsp://jim%40site:a%2Fb%3Ac%40d%20e@10.0.0.7:8554/live?x=1"
    )
    assert "jim" not in repr(SourceOptions(credentials=login))
    assert "a/b" not in repr(SourceOptions(credentials=login))


def test_a_login_comes_from_the_configuration_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "north").write_text("from file\n")
    environ = {"FGSTP_CAMERA_USERNAME": "env", "FGSTP_CAMERA_PASSWORD": "from environment"}
    assert find(None, None, {}) is None
    assert find("jim", None, {}) == Credentials("jim", "")
    assert find(None, None, environ) == Credentials("env", "from environment")
    assert find("jim", tmp_path / "north", environ) == Credentials("jim", "from file")
    assert find("jim", Path("north"), {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == Credentials("jim", "from file")
    with pytest.raises(ConfigError, match=r"cameras\.username: a password needs a user name"):
        find(None, tmp_path / "north", {})
    with pytest.raises(ConfigError, match=r"cameras\.password_file: cannot read .*south; check path and rights"):
        find("jim", tmp_path / "south", {})


@pytest.mark.parametrize(
    ("answer", "login", "problem"),
    [
        (b"RTSP/1.0 401 Unauthorized\r\n\r\n", "", "it asks for a login"),
        (b"RTSP/1.0 401 Unauthorized\r\n\r\n", "jim:s3cret@", "login refused; check user name, password and path"),
        (b"RTSP/1.0 404 Not Found\r\n\r\n", "", "the camera has no such stream; check the path"),
        (b"RTSP/1.0 200 OK\r\n\r\n", "", "nothing came that can be decoded"),
        (b"RTSP/1.0 503 Service Unavailable\r\n\r\n", "", "the camera answers 503"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "", "what answers is no RTSP camera"),
        (b"", "", "what answers is no RTSP camera"),
    ],
)
def test_a_refusal_is_named_and_the_question_holds_no_secret(answer: bytes, login: str, problem: str) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def once() -> None:
            peer, _ = server.accept()
            with peer:
                heard.append(peer.recv(1000))
                peer.sendall(answer)

        answering = threading.Thread(target=once)
        answering.start()
        port = server.getsockname()[1]
        assert problem in refusal(f"rtsp://{login}127.0.0.1:{port}/live")
        answering.join()
    assert heard[0].startswith(f"DESCRIBE rtsp://127.0.0.1:{port}/live RTSP/1.0\r\n".encode())
    assert b"s3cret" not in heard[0]


def test_nobody_and_nothing_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert "nothing listens at 127.0.0.1:" in refusal(f"rtsp://127.0.0.1:{unused.getsockname()[1]}/live")
    assert "the name no-such-camera.invalid is not known" in refusal("rtsp://no-such-camera.invalid/live")

    def silence(*_arguments: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", silence)
    assert refusal("rtsp://10.0.0.7/live") == "10.0.0.7 does not answer; check address, power and network"
