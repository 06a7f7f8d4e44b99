"""The device's runtime never loads what only training and benchmarks need."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import importlib, json, pkgutil, sys
import edge
names = [module.name for module in pkgutil.walk_packages(edge.__path__, "edge.") if module.name != "edge.__main__"]
for name in names:
    if not name.startswith("edge.backend."):
        importlib.import_module(name)
before = [name for name in ("openvino", "onnxruntime") if name in sys.modules]
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:  # a runtime that this machine lacks
        assert error.name in ("openvino", "onnxruntime"), error
heavy = ("torch", "onnx", "nncf", "matplotlib", "calibration", "quantize", "benchmarks")
loaded = [name for name in heavy if name in sys.modules]
print(json.dumps({"names": names, "runtimes": before, "loaded": loaded}))
"""


def test_no_module_of_edge_loads_torch_or_its_friends() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert {"edge.pipeline", "edge.capture.live", "edge.backend.trial"} <= set(found["names"])
    assert found["loaded"] == []
    assert found["runtimes"] == [], "a runtime is loaded before a model is opened"


def test_the_command_line_and_the_alarm_need_no_inference_runtime() -> None:
    program = "import sys, edge.__main__, edge.condition, edge.mqtt, edge.watch; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"openvino", "onnxruntime", "cv2"} & set(done.stdout.split())
