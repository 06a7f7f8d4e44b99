"""What runs on the device stays light: no training library is ever loaded."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import edge

HEAVY = ("torch", "onnx", "nncf", "matplotlib", "calibration", "quantize", "benchmarks")
MODULES = sorted(m.name for m in pkgutil.walk_packages(edge.__path__, "edge.") if m.name != "edge.__main__")


def test_importing_every_module_of_the_device_loads_nothing_heavy():
    assert {"edge.service", "edge.backend.openvino", "edge.capture.live"} <= set(MODULES)
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, *MODULES], capture_output=True, text=True, check=True)
    assert not {name.partition(".")[0] for name in done.stdout.split()} & set(HEAVY)


def test_the_command_line_and_the_alarm_need_no_inference_runtime():
    program = "import sys, edge.__main__, edge.alarm, edge.mqtt, edge.watch; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"openvino", "onnxruntime", "cv2"} & set(done.stdout.split())
