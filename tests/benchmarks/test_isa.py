"""A process told to be an AVX2 machine is one, for every library in it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import isa
from edge import hardware
from edge.errors import ConfigError

ASK = "import json; from benchmarks import isa; print(json.dumps(isa.in_force()))"


def child(environment: dict[str, str]) -> dict[str, object]:
    import os

    done = subprocess.run(
        [sys.executable, "-c", ASK], env={**os.environ, **environment}, capture_output=True, check=True
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_native_changes_nothing(tmp_path: Path) -> None:
    assert isa.environment("native", tmp_path) == {}
    assert child({})["limited_by"] == "nothing"


def test_an_unknown_instruction_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--isa sse2"):
        isa.environment("sse2", tmp_path)


@pytest.mark.skipif("avx2" not in hardware.cpu_flags(), reason="this CPU has no AVX2")
def test_avx2_hides_what_is_wider_or_says_that_it_could_not(tmp_path: Path) -> None:
    said = child(isa.environment("avx2", tmp_path))
    assert "avx2" in said["features"]
    if said["limited_by"] == "CPUID, for all libraries":
        assert said["features"] == ["avx2"]
    else:
        assert said["limited_by"] == "ONEDNN_MAX_CPU_ISA, OpenVINO's oneDNN only"


def test_without_a_compiler_the_limit_is_onednns_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset({"avx2", "avx512f", "cpuid_fault"}))
    monkeypatch.setattr(isa.shutil, "which", lambda name: None)
    assert isa.environment("avx2", tmp_path) == {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert isa.in_force() == {
        "features": ["avx2", "avx512f"],
        "limited_by": "ONEDNN_MAX_CPU_ISA, OpenVINO's oneDNN only",
    }
