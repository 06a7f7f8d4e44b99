"""What this machine has can be told on every machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import hardware


def test_this_machine_is_described() -> None:
    here = hardware.inspect()
    assert here.cpu
    assert here.cores >= 1
    assert set(here.features) <= set(hardware.FEATURES)
    assert "numpy" in here.runtimes
    assert "CPUExecutionProvider" in here.providers
    assert here.memory_mb is None or here.memory_mb > 100


CPUINFO = {
    "x86": "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i5\nflags\t\t: fpu avx2 avx_vnni\n",
    "arm": "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU part\t: 0xd42\n",
}


@pytest.mark.parametrize(
    ("kind", "name", "features"),
    [("x86", "Intel(R) Core(TM) i5", ("avx2", "avx_vnni")), ("arm", "0xd42", ("asimd", "asimddp"))],
)
def test_a_processor_is_read(kind: str, name: str, features: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "read", lambda path: CPUINFO[kind] if path == "/proc/cpuinfo" else "")
    found = hardware.inspect()
    assert (found.cpu, found.features, found.memory_mb, found.jetson) == (name, features, None, None)


def test_a_jetson_is_known_by_its_device_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "read", lambda path: "NVIDIA Jetson Orin Nano\0" if "device-tree" in path else "")
    assert hardware.jetson() == "NVIDIA Jetson Orin Nano"


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGSTP_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    monkeypatch.setenv("HOME", "/c")
    assert hardware.cache_folder() == Path("/a")
    monkeypatch.delenv("FGSTP_CACHE")
    assert hardware.cache_folder() == Path("/b/fgstp-edge")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert hardware.cache_folder() == Path("/c/.cache/fgstp-edge")


def test_no_home_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("FGSTP_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert not hardware.cache_folder().exists()
