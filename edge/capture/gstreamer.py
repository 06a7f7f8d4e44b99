"""GStreamer pipelines: `gst:PIPELINE`, such as gst:v4l2src device=/dev/video0 ! video/x-raw,format=GRAY16_LE

We add what turns the pipeline's end into frames: a converter, which costs nothing where there is nothing to convert,
and an appsink. A pipeline counts as a camera: when it ends, it is started again.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from edge.capture import SourceOptions
from edge.capture import live as limits
from edge.capture.introspection import library
from edge.errors import SourceError
from edge.records import Array

PREFIX = "gst:"
PACKAGES = "python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
FORMATS = "GRAY8, GRAY16_LE, BGR, I420, NV12"  # of the last two the luma
LOOK_S = 0.2  # between two looks for an error while no frame comes
VIDEO_RANGE = np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)  # 16..235 -> 0..255

_starting = threading.Lock()  # libraries are loaded once, whichever thread comes first


class Pipeline:
    """One running pipeline, as a `live.Device`."""

    fps: float | None = None  # known only with the first frame

    def __init__(self, source: str, options: SourceOptions) -> None:
        """Raises SourceError."""
        self._gst, self._video = libraries()
        self._pipeline = parse(source)
        self._login(options)
        self._sink = self._pipeline.get_by_name("fgstp")
        self._bus = self._pipeline.get_bus()
        state = self._pipeline.set_state(self._gst.State.PAUSED)
        # a recording is played at its own rate; a camera's frames are wanted as they come
        self._sink.set_property("sync", state != self._gst.StateChangeReturn.NO_PREROLL)
        if self._pipeline.set_state(self._gst.State.PLAYING) == self._gst.StateChangeReturn.FAILURE:
            problem = self._trouble() or "the pipeline does not start"
            self.close()
            raise SourceError(problem)

    def read(self) -> tuple[Array, float | None]:
        """See `live.Device`."""
        until = time.monotonic() + limits.TIMEOUT_S
        while (sample := self._sink.emit("try-pull-sample", int(LOOK_S * self._gst.SECOND))) is None:
            if problem := self._trouble():
                raise SourceError(problem)
            if time.monotonic() > until:
                raise SourceError(f"no frame within {limits.TIMEOUT_S:g} s")
        info = self._video.VideoInfo.new_from_caps(sample.get_caps())
        self.fps = info.fps_n / info.fps_d if info.fps_n and info.fps_d else None
        buffer = sample.get_buffer()
        stamp = None if buffer.pts == self._gst.CLOCK_TIME_NONE else buffer.pts / self._gst.SECOND
        return self._picture(buffer, info), stamp

    def close(self) -> None:
        """Stop."""
        self._pipeline.set_state(self._gst.State.NULL)

    def _picture(self, buffer: Any, info: Any) -> Array:
        """(H, W) uint8 or uint16, or (H, W, 3 BGR), whatever padding the lines have."""
        meta = self._video.buffer_get_video_meta(buffer)
        stride, start = (meta.stride[0], meta.offset[0]) if meta else (info.stride[0], info.offset[0])
        content = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8)
        form = info.finfo.name
        across = info.width * {"GRAY16_LE": 2, "BGR": 3}.get(form, 1)  # bytes
        if start + (info.height - 1) * stride + across > content.size:  # the last line may lack its padding, no more
            raise SourceError(f"a buffer of {content.size} bytes is no {form} picture {info.width}x{info.height}")
        lines = np.lib.stride_tricks.as_strided(content[start:], (info.height, across), (stride, 1)).copy()
        if form == "GRAY16_LE":
            return np.asarray(lines.view("<u2").astype(np.uint16, copy=False))
        if form == "BGR":
            return np.asarray(lines.reshape(info.height, info.width, 3))
        limited = getattr(info.colorimetry.range, "value_nick", "") == "16-235"
        return np.asarray(VIDEO_RANGE[lines]) if limited and form in ("I420", "NV12") else lines

    def _trouble(self) -> str | None:
        """What the pipeline complains of; None while it does not."""
        kinds = self._gst.MessageType.ERROR | self._gst.MessageType.EOS
        message = self._bus.pop_filtered(kinds)
        if message is None:
            return None
        if message.type == self._gst.MessageType.EOS:
            return "the stream ended"
        error, _ = message.parse_error()
        return f"GStreamer: {error.message} ({message.src.get_name()})"

    def _login(self, options: SourceOptions) -> None:
        """Hand the login to every rtspsrc."""
        if options.credentials is None:
            return
        found = self._pipeline.iterate_all_by_element_factory_name("rtspsrc")
        while (step := found.next())[0] == self._gst.IteratorResult.OK:
            step[1].set_property("user-id", options.credentials.username)
            step[1].set_property("user-pw", options.credentials.password)


def libraries() -> tuple[Any, Any]:
    """Gst, started, and GstVideo. Raises SourceError."""
    with _starting:
        gst, video = (library(name, "1.0", PACKAGES) for name in ("Gst", "GstVideo"))
        if not gst.is_initialized():
            gst.init(None)
    return gst, video


def parse(source: str) -> Any:
    """The pipeline of a source, not running yet. Raises SourceError for one that cannot be built here."""
    gst, _ = libraries()
    described = source[len(PREFIX) :].strip().rstrip("!")
    try:
        pipeline = gst.parse_launch(f"{described} ! videoconvert ! appsink name=fgstp max-buffers=2 drop=true")
    except Exception as error:  # GLib.Error, whose class is known only with the library
        what = getattr(error, "message", error)
        raise SourceError(f"GStreamer: {what}; try it with gst-launch-1.0, see docs/sources.md") from error
    caps = f"video/x-raw, format=(string){{ {FORMATS} }}"
    pipeline.get_by_name("fgstp").set_property("caps", gst.Caps.from_string(caps))
    return pipeline
