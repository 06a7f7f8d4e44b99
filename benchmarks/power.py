"""What the machine draws while something runs: RAPL on x86-64, the INA sensors on a Jetson, else nothing.

RAPL counts the energy of the processor package (root may read it, others where the system allows it). A Jetson's
INA3221 measures the rails of the board; the one that feeds it all is taken, sampled ten times a second.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

SYSTEM = Path("/sys")
WHOLE = ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0", "VDD_GPU_SOC")  # Orin, Nano, Xavier NX, AGX: input first, else the SoC
EVERY_S = 0.1


class Meter(Protocol):
    """Something that knows what was drawn."""

    name: str

    def start(self) -> None:
        """From here on."""

    def watts(self) -> float:
        """Mean since `start`."""


class Rapl:
    """The package's energy counters, which wrap."""

    name = "RAPL package"

    def __init__(self, packages: list[Path]) -> None:
        self._packages = packages
        self._reach = [int((package / "max_energy_range_uj").read_text()) for package in packages]
        self.start()

    def start(self) -> None:
        self._began, self._before = time.monotonic(), self._read()

    def watts(self) -> float:
        used = [
            (now - before) % (reach + 1)
            for now, before, reach in zip(self._read(), self._before, self._reach, strict=True)
        ]
        return sum(used) / 1e6 / (time.monotonic() - self._began)

    def _read(self) -> list[int]:
        return [int((package / "energy_uj").read_text()) for package in self._packages]


class Ina:
    """A rail's voltage and current (mV, mA), sampled from a thread."""

    def __init__(self, name: str, volts: Path, amperes: Path) -> None:
        self.name = f"INA {name}"
        self._volts, self._amperes = volts, amperes
        self._samples: list[float] = []
        threading.Thread(target=self._run, name="power", daemon=True).start()

    def start(self) -> None:
        self._samples = [self._read()]

    def watts(self) -> float:
        samples = [*self._samples, self._read()]
        return sum(samples) / len(samples)

    def _read(self) -> float:
        return int(self._volts.read_text()) * int(self._amperes.read_text()) / 1e6

    def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError):
                self._samples.append(self._read())
            time.sleep(EVERY_S)


def find(system: Path = SYSTEM) -> Meter | None:
    """The best meter here; None where nothing can be read."""
    rails = {name: (volts, amperes) for name, volts, amperes in _rails(system)}
    for name in (*WHOLE, *rails):
        if name in rails:
            return Ina(name, *rails[name])
    packages = sorted((system / "class/powercap").glob("intel-rapl:[0-9]*"))
    packages = [one for one in packages if one.name.count(":") == 1]  # a second colon: a part of the package
    with contextlib.suppress(OSError, ValueError):
        if packages:
            return Rapl(packages)
    return None


def _rails(system: Path) -> Iterator[tuple[str, Path, Path]]:
    """Each rail of each INA3221: its name, where its voltage stands, where its current."""
    for monitor in sorted((system / "bus/i2c/drivers/ina3221").glob("*/hwmon/hwmon*")):
        for label in sorted(monitor.glob("in*_label")):
            number = label.name.removeprefix("in").removesuffix("_label")
            volts, amperes = monitor / f"in{number}_input", monitor / f"curr{number}_input"
            if volts.exists() and amperes.exists():
                yield label.read_text().strip(), volts, amperes
