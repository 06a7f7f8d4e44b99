"""What this machine has: processor, memory, runtimes, accelerators. For doctor, bench and backend."""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# What decides how fast INT8 and FP32 go; names as Linux gives them, x86-64 then aarch64.
FEATURES = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16")
DISTRIBUTIONS = {  # runtime -> packages that bring it, in order of preference
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"),
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    "numpy": ("numpy",),
}


@dataclass(frozen=True, slots=True)
class Hardware:
    """One machine in words and numbers."""

    architecture: str  # "x86_64", "aarch64"
    cpu: str
    cores: int  # that this process may use
    features: tuple[str, ...]  # of FEATURES
    memory_mb: int | None  # None where the system does not tell
    runtimes: dict[str, str]  # name -> version
    providers: tuple[str, ...]  # of ONNX Runtime
    accelerators: tuple[str, ...]  # GPUs and the like, as far as their device files show
    jetson: str | None  # the board's name


def inspect() -> Hardware:
    """Look at this machine; never raises."""
    return Hardware(
        architecture=platform.machine(),
        cpu=cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        features=tuple(name for name in FEATURES if name in cpu_flags()),
        memory_mb=memory_mb(),
        runtimes=runtimes(),
        providers=providers(),
        accelerators=accelerators(),
        jetson=jetson(),
    )


def cpu_model() -> str:
    """The processor's name, such as "Intel(R) Xeon(R) Processor"."""
    info = read("/proc/cpuinfo")
    for key in ("model name", "Hardware", "Model", "CPU part"):
        for line in info.splitlines():
            if line.partition(":")[0].strip() == key:
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def cpu_flags() -> frozenset[str]:
    """Instruction set extensions of the first core."""
    for line in read("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def memory_mb() -> int | None:
    """Memory of the machine in MiB."""
    for line in read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return None


@functools.cache
def runtimes() -> dict[str, str]:
    """Installed runtimes and their versions, found without loading them."""
    found = {}
    for name, packages in DISTRIBUTIONS.items():
        for package in packages:
            try:
                found[name] = version(package)
                break
            except PackageNotFoundError:
                continue
    return found


@functools.cache
def providers() -> tuple[str, ...]:
    """The execution providers that ONNX Runtime was built with; none where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return ()
    return tuple(onnxruntime.get_available_providers())


def accelerators() -> tuple[str, ...]:
    """NVIDIA, Intel and Hailo devices with a driver, by their device files."""
    places = {
        "NVIDIA GPU": "/dev/nvidia[0-9]*",
        "GPU (DRI)": "/dev/dri/renderD*",
        "NPU": "/dev/accel/accel*",
        "Hailo": "/dev/hailo*",
    }
    found = []
    for name, pattern in places.items():
        path = Path(pattern)
        found += [f"{name} {device}" for device in sorted(path.parent.glob(path.name))]
    return tuple(found)


def jetson() -> str | None:
    """The name of an NVIDIA Jetson board, from its device tree."""
    model = read("/proc/device-tree/model").strip("\0\n ")
    return model if "jetson" in model.lower() or Path("/etc/nv_tegra_release").exists() else None


def cache_folder() -> Path:
    """Where measurements and compiled engines may be kept: $FGSTP_CACHE, $XDG_CACHE_HOME/fgstp-edge,
    or ~/.cache/fgstp-edge. It need not exist, nor be writable.
    """
    if own := os.environ.get("FGSTP_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "fgstp-edge"
    try:
        return Path.home() / ".cache" / "fgstp-edge"
    except RuntimeError:  # a service user without a home
        return Path("/nonexistent")


def read(path: str) -> str:
    """A small system file as text; empty where it cannot be read."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
