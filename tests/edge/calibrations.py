"""Camera files made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge import contract
from edge.camera import CameraCalibration, FalseAlarms, Plane
from edge.contract import ModelSpec
from edge.records import Array


def calibration(excluded: Array | None = None, spec: ModelSpec | None = None, **changes: Any) -> CameraCalibration:
    """For the shipped model and pictures of 320x240, nothing excluded, unless told otherwise."""
    spec = spec or contract.load("student.int8", verify=False)[0]
    plane = Plane.of(np.zeros((120, 160), bool) if excluded is None else excluded)
    nothing = FalseAlarms(events=0, hours=0.1, low_per_hour=0.0, high_per_hour=30.0)
    values: dict[str, Any] = {
        "software": "0",
        "model": spec.name,
        "model_sha256": spec.sha256,
        "sources": ("a",),
        "size": (320, 240),
        "polarity": "white_hot",
        "footage_s": 360.0,
        "noise": 1.0,
        "threshold": spec.threshold,
        "min_area_share": 0.0005,
        "target_per_hour": 0.1,
        "before": nothing,
        "after": nothing,
        "frozen": plane,
        "flicker": plane,
        "restless": plane,
        "excluded": plane,
    }
    return CameraCalibration(**(values | changes))
