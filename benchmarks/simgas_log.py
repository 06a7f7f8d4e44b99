"""Every look at SimGas, on the record: it is a test set, and a test set that one looks at often becomes a tuning set.

`benchmarks.accuracy` appends a line to `benchmarks/simgas_log.jsonl` for each student that it scores on SimGas, however
few of the clips; the file belongs to the history, so commit it. Baselines learn nothing and are not logged.
"""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from calibration.result_file import tidy
from edge.errors import StorageError

ROOT = Path(__file__).parent.parent
LOG = ROOT / "benchmarks" / "simgas_log.jsonl"
FIGURES = ("iou", "j", "precision", "recall", "presence", "boundary_iou", "boundary_f")


def append(
    path: Path,
    method: dict[str, Any],
    name: str,
    file: str,
    shortened: dict[str, Any] | None,
    motion: dict[str, Any] | None = None,
) -> None:
    """Write down what `method`, a student's part of a result file, reached on the set `name`, as it is or as a virtual
    camera in `motion` saw it. Raises StorageError."""
    figures = method[name]
    line = {
        "utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "model": method["method"],
        "file": _place(file),
        "sha256": method["sha256"],
        "precision": method["precision"],
        "backend": method["backend"],
        "threshold": method["threshold"],
        "certain": method["certain"],
        "set": name,
        "shortened": shortened,
        "motion": motion,
        "figures": {
            **{key: figures["mean"][key] for key in FIGURES},
            "gas_free_false": figures["gas_free_false"],
            "iou_by_clip": {clip: one["iou"] for clip, one in figures["clips"].items()},
        },
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(tidy(line)) + "\n")
    except OSError as error:
        raise StorageError(
            f"{path}: SimGas was looked at and the log cannot be written: {error.strerror}; make it writable"
        ) from error


def _place(file: str) -> str:
    """A model file as the checkout knows it, or its name alone: a path on this machine tells nobody anything."""
    path = Path(file).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) and path.exists() else path.name


def commit(root: Path = ROOT) -> str:
    """The commit this code is at, with "-dirty" where anything but the log is changed; "unknown" outside a checkout."""
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return "unknown"
    changes = _git(root, "status", "--porcelain", "--", ".", f":(exclude)*{LOG.name}")
    return f"{head}-dirty" if changes else head


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
