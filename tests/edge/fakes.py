"""A segmenter for tests of what comes after it: bright is gas. And clips for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge import camera, contract
from edge.camera import CameraCalibration
from edge.config import CameraSettings
from edge.errors import SourceError
from edge.records import Array, Frame, Quality, Segmentation

FPS = 30.0


class FakeBackend:
    """Only a name."""

    name = "fake"


class FakeSegmenter:
    """Stands in for `edge.segmenter.Segmenter`: a pixel above 128 is gas, a black frame is dark."""

    def __init__(self) -> None:
        self.spec, _ = contract.load("student.int8", verify=False)
        self.backend = FakeBackend()
        self.calibration: CameraCalibration | None = None
        self.resets = self.accepted = 0
        self.priors: list[Array | None] = []

    def for_camera(self, settings: CameraSettings) -> FakeSegmenter:
        """This one, with the camera's calibration file, which must fit the model."""
        if settings.calibration:
            self.calibration = camera.load(settings.calibration)
            self.calibration.check_model(self.spec, settings.polarity)
        return self

    def reset(self, *, keep_view: bool = False) -> None:
        self.resets += 1

    def accept_view(self) -> None:
        self.accepted += 1

    def step(self, frame: Frame, prior: Array | None = None) -> Segmentation:
        self.priors.append(prior)
        grey = frame.image if frame.image.ndim == 2 else frame.image[:, :, 0]
        mask = np.where(grey > 128, np.uint8(255), np.uint8(0))
        small = cv2.resize(grey, self.spec.size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        logits = cv2.resize(small, (160, 120), interpolation=cv2.INTER_AREA) * 12 - 6
        return Segmentation(
            frame=frame,
            logits=logits.astype(np.float32),
            mask=mask,
            noise=1.0,
            image=small,
            background=np.full_like(small, 0.2),
            quality=Quality.DARK if not grey.any() else Quality.GOOD,
        )


class FakeDevice:
    """Stands in for one connection to a camera (`edge.capture.live.Device`): each picture, then the end."""

    fps: float | None = 25.0

    def __init__(self, pictures: list[Array]) -> None:
        self._pictures = iter(pictures)
        self.closed = False

    def read(self) -> tuple[Array, float | None]:
        for image in self._pictures:
            return image, None
        raise SourceError("the stream ended")

    def close(self) -> None:
        self.closed = True


def picture(plume: bool, number: int = 0) -> Array:
    """A grey view of 320x240 with slight noise, with or without a bright plume."""
    noise = np.random.default_rng(number).integers(-3, 4, (240, 320))
    image = (60 + noise).astype(np.uint8)
    if plume:
        image[100:140, 120:180] = 200 + 4 * (7 * number % 9)  # gas is never still
    return image


def write_clip(folder: Path, frames: int, *, plume_from: int = 0, plume_until: int | None = None) -> Path:
    """A folder of PNG pictures whose plume stands in frames `plume_from` to `plume_until`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(frames):
        plume = plume_from <= number < (frames if plume_until is None else plume_until)
        cv2.imwrite(str(folder / f"{number:06d}.png"), picture(plume, number))
    return folder
