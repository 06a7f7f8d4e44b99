"""A clip for a page: a few small JPEGs, as data addresses. Browsers do not play the Motion JPEG that evidence is kept
in, and what they do play not every device can encode."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2

from edge.capture.file import quiet_decoder

FRAMES, WIDTH, JPEG_QUALITY = 40, 320, 70  # at most; about 400 kB a clip


def frames(clip: Path) -> list[str]:
    """Evenly spread over the clip, in order; empty where it cannot be decoded."""
    quiet_decoder()
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    count = max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    wanted = {round(index * (count - 1) / max(1, FRAMES - 1)) for index in range(FRAMES)}
    made = []
    for index in range(count):
        found, picture = capture.read()
        if not found:
            break
        if index in wanted:
            share = min(1.0, WIDTH / picture.shape[1])
            small = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
            content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
            made.append(address(content))
    capture.release()
    return made


def address(jpeg: bytes) -> str:
    """A JPEG as a data address."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
