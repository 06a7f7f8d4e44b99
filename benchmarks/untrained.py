"""Models that are not shipped, exported for a measurement of speed.

`quantize` does it in a process of its own, since nothing here may load torch.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import ConfigError

NETWORKS = ("nano", "small", "base")


def make(name: str, size: tuple[int, int], folder: Path, precisions: Sequence[str] = ("fp32", "int8")) -> list[Path]:
    """The ONNX files of the network `name` with random weights, for inputs of `size` (width, height). Raises
    ConfigError where they cannot be made."""
    command = [sys.executable, "-m", "quantize.untrained", name, "--size", f"{size[0]}x{size[1]}", "--out", str(folder)]
    command += [word for precision in precisions for word in ("--precision", precision)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise ConfigError(f"{name}: cannot be exported ({reason[0]}); it needs the extra: pip install -e '.[train]'")
    return [folder / f"{name}.{precision}.onnx" for precision in precisions]
