"""CI does not let a test skip itself in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = {
    "a skip in a test": ("import pytest\ndef test_it():\n    pytest.skip('no footage')\n", True),
    "a skip of a whole file": ("import pytest\npytest.skip('no camera', allow_module_level=True)\n", True),
    "a mark": ("import pytest\n@pytest.mark.skip(reason='later')\ndef test_it(): pass\n", True),
    "what CI cannot have": ("import pytest\ndef test_it():\n    pytest.skip('no NVIDIA GPU here')\n", False),
    "a known fault": ("import pytest\n@pytest.mark.xfail\ndef test_it(): assert 0\n", False),
}


@pytest.mark.parametrize("content", TESTS)
def test_a_skip_fails_in_ci_and_nowhere_else(tmp_path, content):
    text, fails_in_ci = TESTS[content]
    (tmp_path / "test_it.py").write_text(text)
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    assert bool(_pytest(tmp_path, "true")) == fails_in_ci
    assert _pytest(tmp_path, "") in (0, 5)  # 5: nothing ran


def _pytest(folder: Path, ci: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "CI": ci}, capture_output=True, check=False
    ).returncode
