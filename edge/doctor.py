"""`fgstp-edge doctor`: what this machine has and what is missing, one line each.

Exit code 0: all is well; 1: something is missing that `run` cannot do without; 8: something is doubtful.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from edge import __version__, backend, bench, broker, contract, hardware, reach, selftest
from edge.errors import FgstpError
from edge.health import clock_synchronised
from edge.reach import Finding, Verdict

PACKAGES = {  # as a person knows it -> as pip knows it
    "numpy": "numpy",
    "opencv": "opencv-python-headless",
    "paho-mqtt": "paho-mqtt",
    "pydantic": "pydantic",
    "pyyaml": "pyyaml",
    "rich": "rich",
}
RUNTIMES = ("openvino", "onnxruntime")
MEMORY_MB = 512  # what one camera needs, with the system around it
SECONDS = 1.0  # that the speed of each runtime is taken over


EXIT_CODES: dict[Verdict, int] = {"ok": 0, "note": 0, "doubtful": 8, "missing": 1}  # 2 to 7 are those of edge.errors
WORST_LAST: tuple[Verdict, ...] = ("ok", "note", "doubtful", "missing")


def examine(config: Path | None = None, full: bool = False) -> Iterator[Finding]:
    """Every finding, in the order in which a person would mend them; `full` computes the golden clip, for seconds."""
    yield Finding("ok", f"fgstp-edge {__version__}, Python {sys.version.split()[0]}, {sys.executable}")
    machine = hardware.inspect()
    yield from _packages(machine)
    yield from _models()
    yield from _machine(machine)
    serving = broker.find()
    has = (
        f"{serving.name} can serve the demo"
        if serving
        else "no local MQTT broker: the demo needs one (apt-get install mosquitto)"
    )
    yield Finding("note", has)
    yield _clock()
    if full:
        yield from _compute()
    if config is not None:
        yield from reach.examine(config)


def doctor(config: Path | None = None, full: bool = False, as_json: bool = False) -> int:
    """Print the findings; the exit code is that of the worst."""
    findings = []
    for finding in examine(config, full):
        findings.append(finding)
        if not as_json:
            print(f"{finding.verdict:<8} {finding.what}", flush=True)
    worst = max((finding.verdict for finding in findings), key=WORST_LAST.index)
    if as_json:
        print(json.dumps({"verdict": worst, "findings": [asdict(finding) for finding in findings]}, indent=1))
    return EXIT_CODES[worst]


def _clock() -> Finding:
    synchronised = clock_synchronised()
    if synchronised is None:
        return Finding("note", "clock: whether it is synchronised cannot be asked here")
    if synchronised:
        return Finding("ok", "clock: synchronised")
    return Finding("doubtful", "clock: NOT synchronised: event times may be wrong; set up NTP or PTP")


def _compute() -> Iterator[Finding]:
    """The golden clip on every runtime here: right, and how fast."""
    for name in backend.available():
        try:
            result = selftest.check("student.int8", name, 1)
            [speed] = bench.measure(SECONDS, 1, ["student.int8"], [name])
            yield Finding(
                "ok",
                f"golden clip on {result.backend}: IoU {result.iou:.4f}, {speed.fps:.0f} frames/s, 1 thread"
                f" ({speed.p50:.1f} ms a frame, 99 % within {speed.p99:.1f})",
            )
        except FgstpError as error:
            yield Finding("missing", f"golden clip on {name}: {error}")


def _packages(machine: hardware.Hardware) -> Iterator[Finding]:
    for name, package in PACKAGES.items():
        version = machine.runtimes.get(name) or _version(package)
        yield Finding("ok", f"{name} {version}") if version else Finding("missing", f"{name}: pip install {package}")
    found = [f"{name} {version}" for name in RUNTIMES if (version := machine.runtimes.get(name))]
    if found:
        yield Finding("ok", f"inference: {', '.join(found)}")
    else:
        yield Finding("missing", "no inference runtime: pip install openvino (x86-64) or onnxruntime")


def _models() -> Iterator[Finding]:
    names = contract.shipped()
    if not names:
        yield Finding("missing", f"no models in {contract.MODELS}: install the package again")
    for name in names:
        try:
            spec, path = contract.load(name)
            yield Finding(
                "ok", f"model {name}: {spec.precision}, {path.stat().st_size / 1e6:.1f} MB, sha256 {spec.sha256[:12]}"
            )
        except FgstpError as error:
            yield Finding("missing", f"model {name}: {error}")
    try:
        clip = selftest.golden()
        yield Finding("ok", f"golden clip: {len(clip.frames)} frames; `fgstp-edge selftest` computes it")
    except FgstpError as error:
        yield Finding("missing", f"golden clip: {error}")


def _machine(machine: hardware.Hardware) -> Iterator[Finding]:
    board = f"{machine.jetson}, " if machine.jetson else ""
    cpu = f"{board}{machine.cpu}, {machine.cores} cores, {machine.architecture}"
    yield Finding("note", f"processor: {cpu}; {' '.join(machine.features) or 'none of the known INT8 extensions'}")
    yield Finding("note", f"accelerators: {', '.join(machine.accelerators) or 'none'}")
    if machine.memory_mb is not None:
        verdict: Verdict = "ok" if machine.memory_mb >= MEMORY_MB else "missing"
        yield Finding(verdict, f"memory: {machine.memory_mb} MiB (one camera needs {MEMORY_MB})")
    yield Finding("note", f"disk: {shutil.disk_usage('.').free / 1e6:.0f} MB free here")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
