"""Transport streams with MISB ST 0601 beside the video: sets encoded by klvdata, muxed by FFmpeg."""

from __future__ import annotations

from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path

import av
import klvdata.misb0601 as misb
import numpy as np
from klvdata.common import ber_encode, packet_checksum

FPS = 25
UTC = 1_790_000_000.0
NAMES = {  # our name of a figure: klvdata's element
    "heading": misb.PlatformHeadingAngle,
    "pitch": misb.PlatformPitchAngle,
    "roll": misb.PlatformRollAngle,
    "latitude": misb.SensorLatitude,
    "longitude": misb.SensorLongitude,
    "altitude": misb.SensorTrueAltitude,
    "hfov": misb.SensorHorizontalFieldOfView,
    "azimuth": misb.SensorRelativeAzimuthAngle,
    "elevation": misb.SensorRelativeElevationAngle,
    "turn": misb.SensorRelativeRollAngle,
    "ground": misb.FrameCenterElevation,
}


def packet(utc: float, **figures: float) -> bytes:
    """A local set with these figures, as klvdata writes it."""
    stamp = misb.PrecisionTimeStamp(b"\0" * 8)
    stamp.value.value = datetime.fromtimestamp(utc, timezone.utc)
    items = [bytes(stamp), bytes(misb.PlatformTailNumber("G-TEST"))]
    items += [_element(NAMES[name], value) for name, value in figures.items()]
    content = b"".join(items)
    head = misb.UASLocalMetadataSet.key + ber_encode(len(content) + 4) + content + b"\x01\x02"
    return head + packet_checksum(head + b"\0\0")


def _element(kind: type, value: float) -> bytes:
    """klvdata makes elements from bytes only; what it encodes from is the value in them."""
    element = kind(kind(b"\0" * _size(kind)).value.__bytes__())
    element.value.value = value
    return bytes(element)


def _size(kind: type) -> int:
    low, high = kind._domain
    return (high - low).bit_length() // 8


def write(path: Path, pictures: list[np.ndarray], packets: list[tuple[float, bytes]], *, timed: bool = True) -> None:
    """Grey pictures at FPS and, each at its second, packets; without `timed` they carry no presentation time."""
    height, width = pictures[0].shape
    with av.open(str(path), "w", format="mpegts") as out:
        video = out.add_stream("mpeg2video", rate=FPS)
        video.width, video.height, video.pix_fmt, video.bit_rate = width, height, "yuv420p", 4_000_000
        data = out.add_data_stream("klv")
        waiting = sorted(packets)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            frame.pts = index
            out.mux(video.encode(frame))
            while waiting and waiting[0][0] <= index / FPS:
                second, content = waiting.pop(0)
                made = av.Packet(content)
                made.stream, made.time_base = data, Fraction(1, 90_000)
                made.pts = made.dts = round(second * 90_000) if timed else None
                out.mux(made)
        out.mux(video.encode())
