"""Result files: JSON that any reader takes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from calibration import result_file


def test_result_files_are_json_with_null_for_what_was_not_measured(tmp_path: Path) -> None:
    result_file.write(tmp_path / "deep" / "r.json", result_file.header("test") | {"a": float("nan"), "b": (1 / 3, 2)})
    read = json.loads((tmp_path / "deep" / "r.json").read_text())
    assert read["a"] is None
    assert read["b"] == [0.333333, 2]
    assert read["machine"]["cores"] >= 1
    assert read["machine"]["runtimes"]["numpy"] == np.__version__
