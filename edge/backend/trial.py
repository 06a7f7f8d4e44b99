"""Which backend is the fastest here? Measured once for each model, machine and version, then looked up.

The trial has a process of its own: the runtime that loses would stay in memory for good, and one that crashes would
take the device with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import edge.backend
import edge.hardware
from edge.backend import Backend
from edge.contract import ModelSpec
from edge.errors import ConfigError, FgstpError
from edge.records import Array

BURN_IN, ROUNDS = 4, 12
PATIENCE_S = 60.0  # for a trial; the unit's TimeoutStartSec is 90


def fastest(path: Path, threads: int, spec: ModelSpec | None) -> Backend:
    """Open the model with the backend that is fastest here. Raises ModelError where none can load it."""
    store = edge.hardware.cache_folder() / "backends.json"
    key = trial_key(path, threads)
    remembered = read(store)
    if remembered.get(key) in edge.backend.NAMES:
        return edge.backend.open(path, remembered[key], threads, spec)
    if not edge.hardware.runtimes().keys() & set(edge.backend.NAMES):
        raise ConfigError("backend 'auto': neither openvino nor onnxruntime is installed; pip install onnxruntime")
    seconds = compared(path, threads)
    if not seconds:  # none that loads, or no trial: whichever opens will do, and is tried anew at the next start
        return _first_to_open(path, threads, spec)
    best = min(seconds, key=lambda name: seconds[name])
    opened = edge.backend.open(path, best, threads, spec)
    write(store, {**remembered, key: best})
    return opened


def compared(path: Path, threads: int) -> dict[str, float]:
    """Median seconds a frame of those that can load the model, measured in another process."""
    command = [sys.executable, "-m", "edge.backend.trial", str(path), str(threads)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        done = subprocess.run(command, env=environ, capture_output=True, check=True, timeout=PATIENCE_S)
        return {str(name): float(value) for name, value in json.loads(done.stdout).items()}
    return {}


def _first_to_open(path: Path, threads: int, spec: ModelSpec | None) -> Backend:
    names = edge.backend.available()
    for name in names[:-1]:
        with contextlib.suppress(FgstpError):
            return edge.backend.open(path, name, threads, spec)
    return edge.backend.open(path, names[-1], threads, spec)


def run(path: Path, threads: int) -> dict[str, float]:
    """The trial itself; a runtime that cannot load the file does not take part."""
    opened: list[Backend] = []
    for name in edge.backend.available():
        with contextlib.suppress(FgstpError):
            opened.append(edge.backend.open(path, name, threads))
    return dict(zip((backend.name for backend in opened), measure(opened), strict=True))


def trial_key(path: Path, threads: int) -> str:
    """Changes with whatever may change the answer: the model, the machine, the runtimes, the threads."""
    parts = [
        hashlib.sha256(path.read_bytes()).hexdigest(),
        edge.hardware.cpu_model(),
        *(f"{name} {version}" for name, version in sorted(edge.hardware.runtimes().items())),
        f"{threads} threads",
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def measure(backends: list[Backend]) -> list[float]:
    """Median seconds a frame; the backends take turns, so that a busy moment hits them alike."""
    rng = np.random.default_rng(0)
    # small numbers, but no denormals and no zeros: both would flatter one runtime or the other
    inputs: list[dict[str, Array]] = [
        {name: rng.uniform(0.1, 0.9, shape).astype(np.float32) for name, shape in backend.inputs.items()}
        for backend in backends
    ]
    seconds: list[list[float]] = [[] for _ in backends]
    for _ in range(BURN_IN + ROUNDS):
        for backend, tensors, times in zip(backends, inputs, seconds, strict=True):
            start = time.perf_counter()
            backend.run(tensors)
            times.append(time.perf_counter() - start)
    return [float(np.median(times[BURN_IN:])) for times in seconds]


def read(store: Path) -> dict[str, str]:
    """The remembered answers; none where the file is absent or not ours."""
    try:
        known = json.loads(store.read_text())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}


def write(store: Path, answers: dict[str, str]) -> None:
    """Remember; a read-only disk only means that the next start measures again."""
    draft = store.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        store.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(answers, indent=1))
        draft.replace(store)


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]))))
