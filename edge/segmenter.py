"""One camera under one model: frame in, mask out. Owns everything that is remembered from frame to frame.

Frame ─▶ preprocess ─▶ quality ─▶ ring.read ─▶ backend ─▶ ring.write ─▶ mask
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

import edge.backend
from edge import contract, mask
from edge.backend import Backend
from edge.camera import CameraCalibration
from edge.contract import ModelSpec
from edge.preprocess import Geometry, Preprocessor, fit
from edge.quality import NO_SCENE, Watch
from edge.records import Array, Frame, Quality, Segmentation
from edge.rendering import PLAIN, Rendering
from edge.ring import Ring

GAP_S = 1.0  # time without frames after which what is remembered is of another day
GAP_LAGS = 2.5  # or this many times the longest lag, where that is less
NEVER = np.float32(-1e3)  # a logit that interpolation with no neighbour brings above any threshold


class Segmenter:
    """`step` every frame of one camera, in the order of their capture."""

    def __init__(
        self,
        spec: ModelSpec,
        backend: Backend,
        *,
        polarity: Literal["white_hot", "black_hot"] = "white_hot",
        rendering: Rendering = PLAIN,
        calibration: CameraCalibration | None = None,
    ) -> None:
        """Raises ConfigError for a calibration of another model or polarity, `step` for one of another size."""
        self.spec = spec
        self.backend = backend
        self._preprocessor = Preprocessor(spec, polarity=polarity, rendering=rendering)
        self._partly = bool(rendering.ignore)
        self._watch = Watch(partly=self._partly)
        self._ring = Ring(spec)
        self._clock: Array = np.zeros(spec.inputs["clock"].shape, np.float32)
        self._warm = spec.longest_lag - 1e-3  # seconds after which every lag is answered
        self._gap = min(GAP_S, GAP_LAGS * spec.longest_lag)
        self._background = background_state(spec)
        self._noise = 0.0  # of the last step, grey levels
        self.polarity = polarity
        self._threshold = spec.threshold
        self.calibration = calibration
        if calibration is not None:
            calibration.check_model(spec, polarity)
            calibration.check_cells(cells(fit(calibration.size, spec), spec))
            self._threshold = calibration.threshold
        self._excluded: Array | None = None  # (h, w) bool: cells where nothing counts as gas
        self._excluded_for = (0, 0)  # the size of picture that this holds for

    def reset(self, *, keep_view: bool = False) -> None:
        """Forget the past: the next frame is the first one. `keep_view` is for a camera that was only away: if it comes
        back with another view, that shows (Quality.VIEW_CHANGED)."""
        self._ring.reset()
        if keep_view:
            self._watch.reset()
        else:
            self._watch = Watch(partly=self._partly)

    def accept_view(self) -> None:
        """An operator says that the present view is the right one."""
        self._watch.accept_view()

    def step(self, frame: Frame, prior: Array | None = None) -> Segmentation:
        """The mask of one frame, and how far it is to be believed. `prior` (3, 3) is the camera's motion by gyro or
        telemetry, where there is any: px of this frame -> px of the frame before."""
        inputs = self._preprocessor.step(frame.image)
        picture = self._preprocessor.geometry.crop(inputs[0, 0])
        if prior is not None:
            scale = np.diag((*np.divide(picture.shape[::-1], frame.image.shape[1::-1]), 1.0))
            prior = scale @ prior @ np.linalg.inv(scale)
        quality, view = self._look(frame, picture, prior)
        if quality & NO_SCENE and not quality & (Quality.GAIN | Quality.CUT):
            return self._blank(frame, picture, quality)
        outputs, background = self._infer(frame.captured, inputs, view, quality)
        if frame.captured - self._ring.started < self._warm:
            quality |= Quality.WARMING_UP
        geometry = self._preprocessor.geometry
        logits = geometry.crop(outputs["logits"][0, 0]).copy()
        if (excluded := self._exclusion(geometry)) is not None:
            logits[excluded] = NEVER
        self._noise = 255.0 * float(outputs["noise"][0])
        return Segmentation(
            frame=frame,
            logits=logits,
            mask=mask.from_logits(
                logits, geometry.source, self._threshold, self.spec.min_component_px, self.spec.certain
            ),
            noise=self._noise,
            image=picture.copy(),
            background=geometry.crop(background),  # `_infer` has copied it
            quality=quality,
            view=view,
        )

    def _exclusion(self, geometry: Geometry) -> Array | None:
        """Cells of the calibration's map, and of what is to be ignored. Raises ConfigError for pictures of another size
        than the calibration's."""
        if self._excluded_for != geometry.source:
            self._excluded = None
            if self.calibration is not None:
                self.calibration.check_size(geometry.source)
                self._excluded = self.calibration.excluded.array.astype(bool)
            if (ignored := self._preprocessor.ignored) is not None:
                touched = cv2.resize(
                    ignored.astype(np.float32), cells(geometry, self.spec)[::-1], interpolation=cv2.INTER_AREA
                )
                self._excluded = touched > 0 if self._excluded is None else self._excluded | (touched > 0)
            self._excluded_for = geometry.source
        return self._excluded

    def _look(self, frame: Frame, picture: Array, prior: Array | None) -> tuple[Quality, Array]:
        """What is wrong with this frame, and its view; forgets or rescales what must not be compared with it."""
        quality = Quality.GOOD
        last = self._ring.last
        if last is not None and not 0 <= frame.captured - last <= self._gap:
            quality |= Quality.GAP
            self._ring.reset()
            self._watch.reset()
        if (mapping := self._preprocessor.remapped) is not None:
            quality |= Quality.GAIN
            self._ring.rescale(*mapping)
            self._watch.rescale(*mapping)
        verdict = self._watch.step(frame.image, picture, frame.captured, prior)
        if verdict.quality & Quality.CUT or verdict.renewed:
            self._ring.reset()
        if verdict.quality & Quality.GAIN:
            self._ring.rescale(*verdict.gain)
        return quality | verdict.quality, verdict.view

    def _infer(self, captured: float, inputs: Array, view: Array, quality: Quality) -> tuple[dict[str, Array], Array]:
        """Run the model on (1, 1, H, W); its outputs, and the background (H, W) that it compared the frame with."""
        if quality & Quality.UNREGISTERED:  # nobody knows where it belongs: it has no past, and is none
            self._clock[0] = 0, 0
            states = self._ring.read(captured, inputs, None)
            self._ring.skip(captured)
            return self.backend.run({"frame": inputs, "clock": self._clock, **states}), inputs[0, 0].copy()
        self._clock[0] = self._ring.clock(captured)
        states = self._ring.read(captured, inputs, view)
        background = states[self._background] if self._background else inputs
        before = background[0, 0].copy()  # the ring is about to overwrite it
        outputs = self.backend.run({"frame": inputs, "clock": self._clock, **states})
        self._ring.write(captured, inputs, outputs, view)
        return outputs, before

    def _blank(self, frame: Frame, picture: Array, quality: Quality) -> Segmentation:
        """For a frame without a scene: nothing is computed and nothing remembered, the past waits for the scene."""
        height, width = frame.image.shape[:2]
        shape = cells(self._preprocessor.geometry, self.spec)
        return Segmentation(
            frame=frame,
            logits=np.full(shape, mask.logit(1e-6), np.float32),
            mask=np.zeros((height, width), np.uint8),
            noise=self._noise,
            image=picture.copy(),
            background=picture.copy(),
            quality=quality,
        )


def cells(geometry: Geometry, spec: ModelSpec) -> tuple[int, ...]:
    """Shape (h, w) of the logits that show the source."""
    return geometry.crop(np.empty(spec.outputs["logits"].shape[2:])).shape


def background_state(spec: ModelSpec) -> str | None:
    """The state that is a picture carried from step to step: the slow background; None in a model without one."""
    shape = spec.inputs["frame"].shape
    names = [
        name
        for name, state in spec.states.items()
        if state.lag_s == 0
        and state.missing == "frame"
        and state.source != "frame"
        and spec.inputs[name].shape == shape
    ]
    return names[0] if names else None


def open_segmenter(
    model: str = "student.int8",
    backend: str = "auto",
    threads: int = 1,
    *,
    polarity: Literal["white_hot", "black_hot"] = "white_hot",
    rendering: Rendering = PLAIN,
    calibration: CameraCalibration | None = None,
) -> Segmenter:
    """A segmenter with a model of its own. Raises ModelError or ConfigError."""
    spec, running = load_model(model, backend, threads)
    return Segmenter(spec, running, polarity=polarity, rendering=rendering, calibration=calibration)


def load_model(model: str = "student.int8", backend: str = "auto", threads: int = 1) -> tuple[ModelSpec, Backend]:
    """Load a shipped model, or an ONNX file with its ModelSpec beside it, once for any number of segmenters that one
    thread drives. Raises ModelError or ConfigError.

    `threads` holds for the backend and, in the whole process, for OpenCV.
    """
    cv2.setNumThreads(threads)
    spec, path = contract.load(model)
    return spec, edge.backend.open(path, backend, threads, spec)
