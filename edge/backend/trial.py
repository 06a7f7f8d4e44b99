"""Which backend is the fastest here? Measured once for each model, machine and version, then looked up."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np

import edge.backend
import edge.hardware
from edge.backend import Backend
from edge.contract import ModelSpec
from edge.errors import ConfigError, FgstpError, ModelError
from edge.records import Array

BURN_IN, ROUNDS = 4, 12


def fastest(path: Path, threads: int, spec: ModelSpec | None) -> Backend:
    """Open the model with the backend that is fastest here. Raises ModelError where none can load it."""
    store = edge.hardware.cache_folder() / "backends.json"
    key = trial_key(path, threads)
    remembered = read(store)
    if remembered.get(key) in edge.backend.NAMES:
        return edge.backend.open(path, remembered[key], threads, spec)
    names = edge.backend.available()
    if not names:
        raise ConfigError("backend 'auto': neither openvino nor onnxruntime is installed; pip install onnxruntime")
    opened: list[Backend] = []
    refused: FgstpError | None = None
    for name in names:
        try:
            opened.append(edge.backend.open(path, name, threads, spec))
        except FgstpError as error:  # a runtime that cannot load the file does not take part
            refused = error
    if not opened:
        raise refused or ModelError(f"{path}: no backend can load it")
    best = min(zip(measure(opened), opened, strict=True), key=lambda trial: trial[0])[1]
    write(store, {**remembered, key: best.name})
    return best


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
