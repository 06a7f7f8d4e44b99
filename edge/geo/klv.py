"""MISB ST 0601, the UAS Datalink Local Set: of one packet the tags that a pose needs.

A packet is the set's 16-byte key, its length in BER, then items: tag (BER-OID), length (BER), value. Values are
integers mapped linearly onto a range (MISB ST 0601). A packet whose checksum (tag 1, the last item) does not hold is
refused: half a position is worse than none. The one library for Python, klvdata, has had no release for years and
checks no checksum; the tests encode with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from edge.geo.pose import euler
from edge.geo.track import Fix, Pointing, Track

KEY = bytes.fromhex("060E2B34020B01010E01030101000000")
CHECKSUM, STAMP = 1, 2


@dataclass(frozen=True, slots=True)
class Mapped:
    """How a tag's integer becomes a figure."""

    low: float
    high: float
    size: int  # bytes
    signed: bool = False  # symmetric, the most negative integer meaning "out of range"

    def value(self, raw: bytes) -> float | None:
        """None for a value of another size, or out of range."""
        if len(raw) != self.size:
            return None
        number = int.from_bytes(raw, "big", signed=self.signed)
        if not self.signed:
            return self.low + (self.high - self.low) * number / ((1 << 8 * self.size) - 1)
        most = (1 << 8 * self.size - 1) - 1
        return None if number < -most else self.high * number / most


TAGS = {
    "heading": (5, Mapped(0, 360, 2)),  # of the platform, degrees
    "pitch": (6, Mapped(-20, 20, 2, signed=True)),
    "roll": (7, Mapped(-50, 50, 2, signed=True)),
    "full_pitch": (90, Mapped(-90, 90, 4, signed=True)),
    "full_roll": (91, Mapped(-90, 90, 4, signed=True)),
    "latitude": (13, Mapped(-90, 90, 4, signed=True)),  # of the sensor
    "longitude": (14, Mapped(-180, 180, 4, signed=True)),
    "altitude": (15, Mapped(-900, 19_000, 2)),  # above mean sea level
    "hfov": (16, Mapped(0, 180, 2)),
    "azimuth": (18, Mapped(0, 360, 4)),  # of the sensor in the platform
    "elevation": (19, Mapped(-180, 180, 4, signed=True)),
    "turn": (20, Mapped(0, 360, 4)),
    "ground": (25, Mapped(-900, 19_000, 2)),  # elevation of the frame centre
    "height": (75, Mapped(-900, 19_000, 2)),  # as "altitude" and "ground", above the ellipsoid
    "ground_height": (78, Mapped(-900, 19_000, 2)),
}
Figures = dict[str, float]


def packets(data: bytes) -> Iterator[bytes]:
    """Each set in a piece of a stream, key included; what is around them (access unit headers) is passed over."""
    at = data.find(KEY)
    while at >= 0:
        try:
            length, start = _length(data, at + len(KEY))
        except IndexError:
            return
        if start + length > len(data):
            return
        yield data[at : start + length]
        at = data.find(KEY, start + length)


def parse(packet: bytes) -> tuple[float, Figures] | None:
    """UTC in seconds and the figures that were told; None where the packet is damaged or tells no time."""
    try:
        items = dict(_items(packet))
    except (IndexError, ValueError):
        return None
    if CHECKSUM not in items or checksum(packet[:-2]) != int.from_bytes(items[CHECKSUM], "big") or STAMP not in items:
        return None
    told = {name: mapped.value(items[tag]) for name, (tag, mapped) in TAGS.items() if tag in items}
    utc = int.from_bytes(items[STAMP], "big") / 1e6
    return utc, {name: value for name, value in told.items() if value is not None}


def take(track: Track, at: float, told: Figures) -> None:
    """Add one packet's figures to a track."""
    up, ground = ("altitude", "ground") if "altitude" in told else ("height", "ground_height")  # never mixed
    if {"latitude", "longitude", up} <= told.keys():
        track.fix(at, Fix(told["latitude"], told["longitude"], told[up], told.get(ground)))
    pitch, roll = told.get("full_pitch", told.get("pitch")), told.get("full_roll", told.get("roll"))
    if "heading" in told and pitch is not None and roll is not None:
        platform = euler(*_radians(told["heading"], pitch, roll))
        if {"azimuth", "elevation"} <= told.keys():
            sensor = euler(*_radians(told["azimuth"], told["elevation"], told.get("turn", 0.0)))
            track.pointing(at, Pointing(platform @ sensor, relative=False))
        else:
            track.attitude(at, platform)
    if "hfov" in told:
        track.zoomed(at, told["hfov"])


def checksum(packet: bytes) -> int:
    """Of all bytes before the checksum's value: their sum as 16-bit words, an odd last byte being a high one."""
    return (256 * sum(packet[::2]) + sum(packet[1::2])) & 0xFFFF


def _items(packet: bytes) -> Iterator[tuple[int, bytes]]:
    _, at = _length(packet, len(KEY))
    while at < len(packet):
        tag, at = _oid(packet, at)
        length, at = _length(packet, at)
        if at + length > len(packet):
            raise ValueError("an item longer than its packet")
        yield tag, packet[at : at + length]
        at += length


def _oid(data: bytes, at: int) -> tuple[int, int]:
    """A tag and where its length begins. Raises IndexError."""
    tag = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        tag = tag << 7 | data[at] & 0x7F
    return tag, at + 1


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A length and where what it counts begins. Raises IndexError."""
    first = data[at]
    if first < 0x80:
        return first, at + 1
    end = at + 1 + (first & 0x7F)
    if end > len(data):
        raise IndexError
    return int.from_bytes(data[at + 1 : end], "big"), end


def _radians(*degrees: float) -> tuple[float, ...]:
    return tuple(math.radians(angle) for angle in degrees)
