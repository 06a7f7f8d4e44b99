"""GigE Vision and USB3 Vision cameras through Aravis: `aravis:NAME`, where NAME is what arv-tool lists, or an address;
without a name, the first camera found."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import numpy as np

from edge.capture import SourceOptions
from edge.capture import live as limits
from edge.capture.introspection import library
from edge.errors import SourceError
from edge.records import Array

PREFIX = "aravis:"
PACKAGES = "python3-gi gir1.2-aravis-0.8"
BUFFERS = 8  # frames that may be on their way at once
LOOK_S = 0.2
SHORT_WORDS = ("MONO_10", "MONO_12", "MONO_14", "MONO_16")  # 16 bits a pixel, not packed


class GenICam:
    """A camera that is acquiring, as a `live.Device`."""

    def __init__(self, source: str, options: SourceOptions) -> None:
        """Raises SourceError."""
        self._aravis = bindings()
        self._camera: Any = None
        self._stream: Any = None
        self._silent = False
        try:
            self._camera = self._aravis.Camera.new(source[len(PREFIX) :].strip() or self._first())
            self._start(options)
        except Exception as error:  # GLib.Error, whose class is known only with the library
            self.close()
            raise SourceError(f"cannot connect: Aravis: {getattr(error, 'message', error)}") from error

    def read(self) -> tuple[Array, float | None]:
        """See `live.Device`. Frames that lost packets are left out."""
        until = time.monotonic() + limits.TIMEOUT_S
        incomplete = 0
        while time.monotonic() < until:
            buffer = self._stream.timeout_pop_buffer(int(LOOK_S * 1e6))
            if buffer is None:
                continue
            whole = buffer.get_status() == self._aravis.BufferStatus.SUCCESS
            try:
                if whole:
                    return self._picture(buffer), buffer.get_timestamp() / 1e9
            finally:
                self._stream.push_buffer(buffer)
            incomplete += 1
        self._silent = True
        lost = f", {incomplete} came incomplete; check cable, switch and MTU" if incomplete else ""
        raise SourceError(f"no frame within {limits.TIMEOUT_S:g} s{lost}")

    def close(self) -> None:
        """Stop, and give the camera free for others."""
        camera, stream = self._camera, self._stream
        self._camera = self._stream = None
        if not self._silent:
            _release(camera, stream)
        else:  # Aravis waits some five seconds for each answer that does not come
            threading.Thread(target=_release, args=(camera, stream), name="aravis", daemon=True).start()

    def _first(self) -> str:
        self._aravis.update_device_list()
        if not self._aravis.get_n_devices():
            raise SourceError("no camera found; check power, network and address")
        return str(self._aravis.get_device_id(0))

    def _start(self, options: SourceOptions) -> None:
        camera = self._camera
        if options.pixel_format is not None:
            camera.set_pixel_format_from_string(options.pixel_format)
        if options.fps is not None:
            camera.set_frame_rate(options.fps)
        self.fps: float | None = camera.get_frame_rate() if camera.is_frame_rate_available() else None
        self._stream = camera.create_stream(None, None)
        for _ in range(BUFFERS):
            self._stream.push_buffer(self._aravis.Buffer.new_allocate(camera.get_payload()))
        camera.start_acquisition()

    def _picture(self, buffer: Any) -> Array:
        """(H, W) uint8 or uint16."""
        form = buffer.get_image_pixel_format()
        shape = buffer.get_image_height(), buffer.get_image_width()
        if form == self._aravis.PIXEL_FORMAT_MONO_8:
            pixel: np.dtype[Any] = np.dtype(np.uint8)
        elif form in (getattr(self._aravis, f"PIXEL_FORMAT_{name}") for name in SHORT_WORDS):
            pixel = np.dtype("<u2")
        else:
            raise SourceError(f"pixel format {form:#x} is not grey of 8 or 16 bits; set pixel_format: Mono8 or Mono16")
        content = np.frombuffer(buffer.get_data(), pixel, shape[0] * shape[1])
        return content.reshape(shape).astype(pixel.newbyteorder("="))


def _release(camera: Any, stream: Any) -> None:
    """The last that hold these two let go of them here."""
    if stream is not None:
        with contextlib.suppress(Exception):  # GLib.Error of a camera that is gone
            camera.stop_acquisition()


def bindings() -> Any:
    """Raises SourceError."""
    return library("Aravis", "0.8", PACKAGES)
