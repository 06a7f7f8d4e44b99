"""Power is read from files; here they are ours."""

from pathlib import Path

import pytest

from benchmarks import power


def test_a_machine_without_sensors_says_so(tmp_path: Path) -> None:
    assert power.find(tmp_path) is None


def test_a_counter_that_wraps_is_still_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "class/powercap/intel-rapl:0"
    (tmp_path / "class/powercap/intel-rapl:0:0").mkdir(parents=True)  # a part of the package, not to be counted twice
    package.mkdir()
    (package / "max_energy_range_uj").write_text("999999\n")
    (package / "energy_uj").write_text("900000\n")
    clock = iter((100.0, 100.0, 102.0))
    monkeypatch.setattr(power.time, "monotonic", lambda: next(clock))
    meter = power.find(tmp_path)
    assert meter is not None
    meter.start()
    (package / "energy_uj").write_text("300000\n")
    assert meter.watts() == pytest.approx(0.4 / 2)


def test_of_a_jetsons_rails_the_one_that_feeds_all_is_taken(tmp_path: Path) -> None:
    monitor = tmp_path / "bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    monitor.mkdir(parents=True)
    for number, (name, volts, amperes) in enumerate([("VDD_CPU_GPU_CV", 5000, 500), ("VDD_IN", 5000, 1200)], 1):
        (monitor / f"in{number}_label").write_text(f"{name}\n")
        (monitor / f"in{number}_input").write_text(f"{volts}\n")
        (monitor / f"curr{number}_input").write_text(f"{amperes}\n")
    meter = power.find(tmp_path)
    assert meter is not None
    meter.start()
    assert meter.name == "INA VDD_IN"
    assert meter.watts() == pytest.approx(6.0)
