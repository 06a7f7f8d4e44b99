"""The camera file: what is written is read, and what does not fit is refused in one line."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest

from edge import camera, contract
from edge.camera import CameraCalibration, Plane
from edge.errors import ConfigError, StorageError
from edge.rules import AlarmSettings
from tests.edge.calibrations import calibration

CORNER = np.zeros((120, 160), bool)
CORNER[:20, :30] = True


def test_what_is_written_is_read(tmp_path):
    made = calibration(CORNER, threshold=0.7, noise=1.25)
    path = tmp_path / "deep" / "camera.json"
    made.save(path)
    read = camera.load(path)
    assert read == made
    assert read.hash == made.hash
    np.testing.assert_array_equal(read.excluded.array, CORNER)
    assert not path.with_name("camera.json.part").exists()


def test_maps_hold_every_byte():
    values = np.arange(256, dtype=np.uint8).reshape(8, 32)
    np.testing.assert_array_equal(Plane.of(values).array, values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": 1.5}, "threshold: input should be less than 1"),
        ({"schema_version": 2}, "schema_version: input should be 1"),
        ({"surprise": 1}, "surprise: extra inputs"),
        ({"noise": None}, "noise: input should be a valid number"),
        ({"excluded": {"shape": [2, 2], "zlib_base64": "%%"}}, "excluded: value error, the map is damaged"),
        ({"excluded": {"shape": [2, 2], "zlib_base64": "AAAA"}}, "excluded: value error, the map is damaged"),
        (
            {"excluded": {"shape": [2, 2], "zlib_base64": base64.b64encode(zlib.compress(bytes(5))).decode()}},
            "excluded: value error, the map does not fill 2 x 2 cells",
        ),
        ({"excluded": Plane.of(np.ones((4, 4))).model_dump()}, "excluded: value error, the whole view is excluded"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, change, message):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(json.loads(calibration().model_dump_json()) | change))
    with pytest.raises(ConfigError) as error:
        camera.load(path)
    line = str(error.value)
    assert line.lower().startswith(f"{str(path).lower()}: not a camera file: {message}")
    assert "\n" not in line


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_file_that_is_no_camera_file_is_refused(tmp_path, text):
    path = tmp_path / "camera.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"camera\.json: not a camera file: top level"):
        camera.load(path)
    with pytest.raises(ConfigError, match=r"absent\.json: cannot read the camera file: No such file"):
        camera.load(tmp_path / "absent.json")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"camera\.json: cannot write"):
        calibration().save(tmp_path / "file" / "camera.json")


def test_another_model_size_or_polarity_is_refused():
    made = calibration()
    spec, _ = contract.load("student.int8", verify=False)
    made.check_model(spec, "white_hot")
    with pytest.raises(ConfigError, match=r"made with student\.int8 .*, but the model is student\.fp32"):
        made.check_model(contract.load("student.fp32", verify=False)[0], "white_hot")
    with pytest.raises(ConfigError, match="made for white_hot, but the camera is black_hot"):
        made.check_model(spec, "black_hot")
    made.check_size((320, 240))
    with pytest.raises(ConfigError, match="pictures of 320x240, but the source gives 640x480"):
        made.check_size((640, 480))
    with pytest.raises(ConfigError, match="with a map of"):
        made.check_cells((60, 80))


def test_the_hash_of_events_follows_the_camera_file():
    made = calibration()
    other: CameraCalibration = made.model_copy(update={"threshold": 0.9})
    assert camera.settings_hash("abc", None) == "abc"
    assert len({"abc", camera.settings_hash("abc", made), camera.settings_hash("abc", other)}) == 3


def test_the_smallest_plume_of_the_alarm_is_the_cameras():
    own = AlarmSettings(on_delay_s=9.0)
    assert camera.alarm_settings(own, None) is own
    assert camera.alarm_settings(own, calibration(min_area_share=0.01)) == AlarmSettings(
        on_delay_s=9.0, min_area_share=0.01
    )
