"""`fgstp-edge doctor`: what this machine has and what is missing, one line each."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edge import __version__, broker, contract, hardware, selftest
from edge.errors import FgstpError
from edge.health import clock_synchronised

Verdict = Literal["ok", "missing", "note"]
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


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination; "missing" is what `run` cannot do without, "note" only worth knowing."""

    verdict: Verdict
    what: str


def examine() -> Iterator[Finding]:
    """Every finding, in the order in which a person would mend them."""
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
    clock = {
        True: "synchronised",
        False: "NOT synchronised: event times may be wrong; set up NTP or PTP",
        None: "unknown",
    }
    yield Finding("note", f"clock: {clock[clock_synchronised()]}")


def doctor() -> int:
    """Print the findings; the exit code is 1 when something needed is missing."""
    findings = list(examine())
    for finding in findings:
        print(f"{finding.verdict:<8} {finding.what}")
    return int(any(finding.verdict == "missing" for finding in findings))


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
