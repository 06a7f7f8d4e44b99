"""Measure on this machine what another one would do: a process that believes its CPU to have AVX2 and nothing wider.

The CPU's wider instructions (AVX-512, VNNI, AMX) are hidden from every library of the process by `isa.c`, where the
kernel and the CPU can do that and a C compiler is at hand. Failing this, ONEDNN_MAX_CPU_ISA holds back oneDNN, which
does most of OpenVINO's work; nothing holds back ONNX Runtime. `in_force` says what a process really has.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from edge import hardware
from edge.errors import ConfigError

NAMES = ("native", "avx2")
WIDER = ("avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
SOURCE = Path(__file__).with_name("isa.c")


def environment(isa: str, folder: Path) -> dict[str, str]:
    """Variables for a process that is to run under `isa`; a library for it goes to `folder`. Raises ConfigError."""
    if isa not in NAMES:
        raise ConfigError(f"--isa {isa}: unknown; use one of {', '.join(NAMES)}")
    if isa == "native":
        return {}
    if "avx2" not in hardware.cpu_flags():
        raise ConfigError("--isa avx2: this CPU has no AVX2; use --isa native")
    limited = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    if library := _library(folder):
        limited["LD_PRELOAD"] = str(library)
    return limited


def in_force() -> dict[str, str | list[str]]:
    """The instruction sets that libraries of this very process find, and by what they were limited."""
    library = os.environ.get("LD_PRELOAD", "")
    if library.endswith("isa.so"):
        features = _features(Path(library))
        if not set(features) & set(WIDER):
            return {"features": features, "limited_by": "CPUID, for all libraries"}
    features = [name for name in ("avx2", *WIDER) if name in hardware.cpu_flags()]
    if os.environ.get("ONEDNN_MAX_CPU_ISA"):
        return {"features": features, "limited_by": "ONEDNN_MAX_CPU_ISA, OpenVINO's oneDNN only"}
    return {"features": features, "limited_by": "nothing"}


def _library(folder: Path) -> Path | None:
    """`isa.c`, compiled; None where it cannot be, or would not work."""
    compiler = shutil.which("cc")
    if compiler is None or "cpuid_fault" not in hardware.cpu_flags():
        return None
    library = folder / "isa.so"
    command = [compiler, "-O2", "-shared", "-fPIC", str(SOURCE), "-o", str(library)]
    made = subprocess.run(command, capture_output=True, check=False)
    return library if made.returncode == 0 else None


def _features(library: Path) -> list[str]:
    """What CPUID itself answers, asked from inside."""
    words = (ctypes.c_uint32 * 4)()
    ctypes.CDLL(str(library)).leaf7(words)
    ebx, ecx, edx, eax1 = words
    found = {
        "avx2": ebx >> 5 & 1,
        "avx512f": ebx >> 16 & 1,
        "avx512_vnni": ecx >> 11 & 1,
        "avx_vnni": eax1 >> 4 & 1,
        "amx_int8": edx >> 25 & 1,
    }
    return [name for name, bit in found.items() if bit]
