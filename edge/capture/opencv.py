"""RTSP through OpenCV's FFmpeg, and Video4Linux."""

from __future__ import annotations

import os
import time
from typing import Any

import cv2
import numpy as np

from edge.capture import SourceOptions
from edge.capture import live as limits
from edge.capture.file import quiet_decoder
from edge.capture.rtsp import refusal
from edge.errors import SourceError
from edge.records import Array

UNCONVERTED = ("GREY", "Y16")  # formats that are one plane already; OpenCV would make colour of them


class OpenCVDevice:
    """An OpenCV capture that is open."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture
        self.fps: float | None = float(capture.get(cv2.CAP_PROP_FPS))

    def read(self) -> tuple[Array, float | None]:
        """See `live.Device`."""
        began = time.monotonic()
        came, image = self._capture.read()
        if not came or image is None or not image.size:
            # OpenCV does not tell an end from a silence; the clock does
            silent = time.monotonic() - began > 0.8 * limits.TIMEOUT_S
            raise SourceError(f"no frame within {limits.TIMEOUT_S:g} s" if silent else "the stream ended")
        return image, float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0

    def close(self) -> None:
        """Let go."""
        self._capture.release()


class ShortWords(OpenCVDevice):
    """A device whose 16-bit pixels may come as pairs of bytes."""

    def read(self) -> tuple[Array, float | None]:
        """(H, W) uint16."""
        image, stamp = super().read()
        if image.dtype == np.uint8:
            width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
            if image.size % (2 * width):
                raise SourceError(f"{image.size} bytes are no 16-bit picture {width} px wide")
            image = np.ascontiguousarray(image).view("<u2").reshape(-1, width)
        return image.reshape(image.shape[:2]), stamp


def connect_rtsp(source: str, options: SourceOptions) -> OpenCVDevice:
    """Raises SourceError with the reason as far as the camera tells it."""
    quiet_decoder()
    # over UDP lost packets smear the picture; what the administrator has set in the environment stays
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    url = source if options.credentials is None else options.credentials.within(source)
    timeout = int(1000 * limits.TIMEOUT_S)
    parameters = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"cannot connect: {refusal(url)}")
    return OpenCVDevice(capture)


def connect_v4l2(source: str, options: SourceOptions) -> OpenCVDevice:
    """Raises SourceError, too, where the device cannot do what is asked of it."""
    quiet_decoder()
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", f"{limits.TIMEOUT_S:.0f}")  # s
    if not os.path.exists(source):
        raise SourceError("cannot connect: no such device; is it plugged in? see v4l2-ctl --list-devices")
    capture = cv2.VideoCapture(source, cv2.CAP_V4L2)
    try:
        if not capture.isOpened():
            raise SourceError("cannot connect: busy, forbidden (add the user to group video) or no capture device")
        configure(capture, options)
    except SourceError:
        capture.release()
        raise
    return ShortWords(capture) if options.pixel_format == "Y16" else OpenCVDevice(capture)


def configure(capture: Any, options: SourceOptions) -> None:
    """Ask an open device for format, size and rate. Raises SourceError where it gives another format or size."""
    wanted = options.pixel_format
    if wanted is not None:
        if len(wanted) > 4:
            raise SourceError(f"pixel_format {wanted}: at most four letters; see v4l2-ctl --list-formats")
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*wanted.ljust(4)))
    if options.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.size[1])
    if options.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, options.fps)
    if wanted in UNCONVERTED:
        capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
    if wanted is not None:
        given = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1").strip()
        if given != wanted:
            raise SourceError(f"the device gives {given}, not {wanted}; see v4l2-ctl --list-formats")
    if options.size is not None:
        size = tuple(int(capture.get(what)) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if size != options.size:
            found, asked = (f"{width}x{height}" for width, height in (size, options.size))
            raise SourceError(f"the device gives {found}, not {asked}; see v4l2-ctl --list-formats-ext")
