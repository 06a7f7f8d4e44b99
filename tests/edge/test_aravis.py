"""GigE Vision cameras, as far as Aravis' own fake ones show: one in this process, one over the network."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from edge import capture
from edge.capture import SourceOptions, aravis, live
from edge.errors import SourceError
from tests.edge import cameras
from tests.edge.cameras import Helper


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Aravis is there, with its fake camera; little patience."""
    cameras.need("Aravis 0.8")
    try:
        bindings = aravis.bindings()
    except SourceError as error:
        pytest.skip(str(error))
    bindings.enable_interface("Fake")
    monkeypatch.setattr(live, "TIMEOUT_S", 1.0)
    monkeypatch.setattr(live, "PATIENCE_S", 20.0)
    monkeypatch.setattr(live, "BACK_OFF_S", (0.1, 0.3))


@pytest.mark.parametrize(("form", "dtype"), [("Mono8", np.uint8), ("Mono16", np.uint16)])
def test_a_camera_gives_8_or_16_bits_at_the_rate_it_is_asked_for(form: str, dtype: type) -> None:
    with capture.open("aravis:Fake_1", SourceOptions(fps=50, pixel_format=form)) as source:
        frames = list(itertools.islice(source, 10))
        assert source.size == (512, 512)
    assert all(frame.image.dtype == dtype for frame in frames)
    assert frames[0].image.std() > 0.1 * np.iinfo(dtype).max
    assert np.diff([frame.captured for frame in frames]).min() > 0.01


def test_the_first_camera_found_needs_no_name() -> None:
    with capture.open("aravis:") as source:
        assert next(iter(source)).image.ndim == 2


@pytest.mark.parametrize(
    ("source", "options", "problem"),
    [
        ("aravis:Nobody-1", SourceOptions(), "aravis:Nobody-1: cannot connect: Aravis: Device 'Nobody-1' not found"),
        ("aravis:Fake_1", SourceOptions(pixel_format="RGB8"), "is not grey of 8 or 16 bits; set pixel_format: Mono8"),
        ("aravis:Fake_1", SourceOptions(pixel_format="Mono99"), "cannot connect: Aravis: .*Mono99"),
    ],
)
def test_what_a_camera_cannot_do_is_said(
    source: str, options: SourceOptions, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PATIENCE_S", 0.5)
    with pytest.raises(SourceError, match=problem):
        capture.open(source, options).__enter__()


def test_a_camera_on_the_network_that_dies_and_comes_back_goes_on() -> None:
    with Helper("gige_camera.py", "FGSTP1") as server:
        source = capture.open("aravis:127.0.0.1")
        assert isinstance(source, live.Camera)
        with source:
            frames = iter(source)
            before = list(itertools.islice(frames, 5))
            server.kill()
            deadline = time.monotonic() + 15
            while "no frame came" in source.problem:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            server.start()
            list(itertools.islice(frames, 1))  # of the time before
            after = list(itertools.islice(frames, 5))
    assert after[0].captured > before[-1].captured
    assert [frame.index for frame in before] == list(range(5))
