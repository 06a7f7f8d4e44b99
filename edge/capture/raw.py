"""Raw grey frames on standard input, one after the other, for example from

ffmpeg -i clip.mp4 -f rawvideo -pix_fmt gray - | fgstp-edge segment - --size 320x240 --out DIR
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

import numpy as np

from edge.errors import BrokenSource, SourceError
from edge.records import Frame


class RawFrames:
    """Frames of height x width pixels, uint8 or little-endian uint16, nothing between them."""

    def __init__(self, size: tuple[int, int], dtype: str, fps: float, stream: BinaryIO | None = None) -> None:
        self.name = "stdin"
        self.size = size
        self.fps = fps
        self.frames: int | None = None
        self.dropped = 0
        self._pixel = np.dtype(dtype).newbyteorder("<")
        self._stream = stream or sys.stdin.buffer

    def __enter__(self) -> RawFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass  # standard input is not ours to close

    def __iter__(self) -> Iterator[Frame]:
        width, height = self.size
        wanted = width * height * self._pixel.itemsize
        index = 0
        while content := self._stream.read(wanted):
            if len(content) < wanted:
                problem = f"stdin: ends within frame {index}: {len(content)} of {wanted} bytes; does --size fit?"
                raise BrokenSource(problem) if index else SourceError(problem)
            image = np.frombuffer(content, self._pixel).reshape(height, width).astype(self._pixel.newbyteorder("="))
            yield Frame(image, index, index / self.fps, index / self.fps)
            index += 1
        if not index:
            raise SourceError("stdin: no frames came; pipe raw grey frames into it")
