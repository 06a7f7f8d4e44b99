"""A folder of images as a clip, in natural order (2 before 10); or a single image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from edge.capture import IMAGES, topic_name
from edge.capture.file import quiet_decoder
from edge.errors import BrokenSource, SourceError
from edge.records import Array, Frame


class Images:
    """PNG, JPEG, TIFF and BMP, 8 or 16 bits, grey or colour; all of one size."""

    def __init__(self, path: Path, fps: float) -> None:
        quiet_decoder()
        try:
            files = [path] if path.is_file() else [file for file in path.iterdir() if file.suffix.lower() in IMAGES]
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
        if not files:
            raise SourceError(f"{path}: no images in this folder; looked for {', '.join(IMAGES)}")
        self._files = sorted(files, key=natural)
        self._first = decode(self._files[0])
        self.fps = fps
        self.size = (self._first.shape[1], self._first.shape[0])
        self.frames: int | None = len(files)
        self.dropped = 0
        self.name = topic_name(path.resolve().stem)

    def __enter__(self) -> Images:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __iter__(self) -> Iterator[Frame]:
        for index, file in enumerate(self._files):
            try:
                image = decode(file) if index else self._first
            except SourceError as error:
                raise BrokenSource(f"{error}, after {index} good images") from error
            if (image.shape[1], image.shape[0]) != self.size:
                wanted, found = (f"{w}x{h}" for w, h in (self.size, (image.shape[1], image.shape[0])))
                raise BrokenSource(
                    f"{file}: is {found}, the {index} images before are {wanted}; keep one size a folder"
                )
            yield Frame(image, index, index / self.fps, index / self.fps)


def natural(file: Path) -> list[tuple[bool, int, str]]:
    """Sort key that counts: frame2 comes before frame10."""
    parts = re.split(r"(\d+)", file.name.lower())
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def decode(file: Path) -> Array:
    """(H, W) or (H, W, 3 BGR), uint8 or uint16. Raises SourceError."""
    try:
        content = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError as error:
        raise SourceError(f"{file}: cannot be read: {error.strerror}") from error
    image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if image is None or not image.size:
        raise SourceError(f"{file}: {'not an image that can be decoded' if content.size else 'the file is empty'}")
    if image.dtype not in (np.uint8, np.uint16):
        raise SourceError(f"{file}: pixels are {image.dtype}; convert them to 8 or 16 bits")
    return image[..., :3] if image.ndim == 3 and image.shape[2] == 4 else np.asarray(image)
