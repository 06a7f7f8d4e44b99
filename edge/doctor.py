"""`fgstp-edge doctor`: what this machine has and what is missing, one line each."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edge import __version__, broker, contract, hardware, selftest
from edge.errors import FgstpError
from edge.health import clock_synchronised

Verdict = Literal["ok", "missing", "note"]
PACKAGES = ("numpy", "opencv-python-headless", "paho-mqtt", "pydantic", "PyYAML", "rich")
RUNTIMES = ("openvino", "onnxruntime", "onnxruntime-gpu")
MEMORY_MB = 512  # what one camera needs, with the system around it


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination; "missing" is what `run` cannot do without, "note" only worth knowing."""

    verdict: Verdict
    what: str


def examine() -> Iterator[Finding]:
    """Every finding, in the order in which a person would mend them."""
    yield Finding("ok", f"fgstp-edge {__version__}, Python {sys.version.split()[0]}, {sys.executable}")
    yield from _packages()
    yield from _models()
    yield from _machine()
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


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        version = _version(name)
        yield Finding("ok", f"{name} {version}") if version else Finding("missing", f"{name}: pip install {name}")
    runtimes = [f"{name} {version}" for name in RUNTIMES if (version := _version(name))]
    if runtimes:
        yield Finding("ok", f"inference: {', '.join(runtimes)}")
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


def _machine() -> Iterator[Finding]:
    yield Finding("note", f"processor: {hardware.describe()}")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    yield Finding("ok" if memory >= MEMORY_MB else "missing", f"memory: {memory:.0f} MB (one camera needs {MEMORY_MB})")
    free = shutil.disk_usage(os.getcwd()).free / 1e6
    yield Finding("note", f"disk: {free:.0f} MB free here")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
