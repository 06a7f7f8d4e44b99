"""The JSON files that figures are kept in: where and when they were measured, and how they are written."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge import __version__, hardware


def header(what: str) -> dict[str, Any]:
    """What was measured, when, with which software, on which machine."""
    return {
        "benchmark": what,
        "utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "software": __version__,
        "python": platform.python_version(),
        "machine": asdict(hardware.inspect()),
    }


def write(path: Path, result: dict[str, Any]) -> None:
    """Readable, stable in its order, NaN as null; whole at any time, though several processes may write it."""
    partial = path.with_suffix(f".{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(json.dumps(tidy(result), indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
    print(f"wrote {path}")


def tidy(value: Any) -> Any:
    """Figures to six significant digits, NaN as None: JSON knows no NaN."""
    if isinstance(value, dict):
        return {str(key): tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [tidy(item) for item in value]
    if isinstance(value, float):
        return None if value != value else float(f"{value:.6g}")
    return value
