"""Backends compute what the file says, refuse what does not fit, and `auto` remembers its choice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge.backend
import edge.hardware
from edge import contract, selftest
from edge.backend import trial
from edge.contract import ModelSpec
from edge.errors import ConfigError, ModelError
from edge.records import Array
from edge.ring import Ring
from edge.segmenter import open_segmenter
from tests.edge import models

RUNTIMES = [name for name in ("openvino", "onnxruntime") if name in edge.backend.available()]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the cache of the person who runs it."""
    monkeypatch.setenv("FGSTP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def some_inputs(seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {name: rng.random(models.SHAPES[name], np.float32) for name in models.INPUTS}


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_backend_computes_the_graph(name: str, tmp_path: Path) -> None:
    backend = edge.backend.open(models.write(tmp_path / "tiny.onnx"), name, 1, models.spec())
    for seed in range(3):
        wanted = models.HandBackend().run(some_inputs(seed))
        found = backend.run(some_inputs(seed))
        assert backend.name == name
        assert found.keys() == wanted.keys()
        for tensor, values in wanted.items():
            np.testing.assert_allclose(found[tensor], values, atol=2e-6)


@pytest.mark.parametrize("name", RUNTIMES)
def test_outputs_lie_in_the_same_buffers_every_frame(name: str, tmp_path: Path) -> None:
    backend = edge.backend.open(models.write(tmp_path / "tiny.onnx"), name)
    places = [{k: v.ctypes.data for k, v in backend.run(some_inputs(seed)).items()} for seed in range(3)]
    assert places[0] == places[1] == places[2]


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("content", [b"", b"hello, I am no model\n" * 50, None])
def test_a_damaged_file_is_one_line(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = models.write(tmp_path / "tiny.onnx")
    path.write_bytes(path.read_bytes()[:400] if content is None else content)
    with pytest.raises(ModelError, match=r"tiny\.onnx.*cannot load it") as caught:
        edge.backend.open(path, name, 1, models.spec())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*RUNTIMES, "auto"])
def test_the_tensors_must_be_those_of_the_modelspec(name: str, tmp_path: Path) -> None:
    path = models.write(tmp_path / "tiny.onnx")
    spec = models.spec()
    lacking = spec.model_copy(update={"inputs": {k: v for k, v in spec.inputs.items() if k != "past"}})
    with pytest.raises(ModelError, match="input 'past' is missing from the ModelSpec"):
        edge.backend.open(path, name, 1, lacking)
    more = spec.model_copy(update={"outputs": {**spec.outputs, "memory": spec.outputs["noise"]}})
    with pytest.raises(ModelError, match="output 'memory' of the ModelSpec is missing from the file"):
        edge.backend.open(path, name, 1, more)
    with pytest.raises(ModelError, match=r"input 'frame' is \(1, 1, 48, 64\), the ModelSpec says \(1, 1, 24, 32\)"):
        edge.backend.open(path, name, 1, models.spec(size=(32, 24)))


@pytest.mark.parametrize("name", RUNTIMES)
def test_shapes_must_be_fixed(name: str, tmp_path: Path) -> None:
    shapes = dict.fromkeys(("frame", "past", "background"), (1, 1, "rows", models.WIDTH))
    shapes["logits"] = shapes["background_next"] = (1, 1, "some", "more")
    with pytest.raises(ModelError, match="'frame' has no fixed shape"):
        edge.backend.open(models.write(tmp_path / "tiny.onnx", shapes=shapes), name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.onnx: no such model file"):
        edge.backend.open(tmp_path / "nothing.onnx")


def test_unknown_and_absent_backends_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = models.write(tmp_path / "tiny.onnx")
    with pytest.raises(ConfigError, match="'abacus': unknown; use one of auto, openvino"):
        edge.backend.open(path, "abacus")
    monkeypatch.setattr(edge.hardware, "providers", lambda: ("CPUExecutionProvider",))
    with pytest.raises(ConfigError, match="'tensorrt': not installed here"):
        edge.backend.open(path, "tensorrt")
    monkeypatch.setattr(edge.hardware, "runtimes", dict)
    with pytest.raises(ConfigError, match="neither openvino nor onnxruntime"):
        edge.backend.open(path, "auto")


def test_auto_takes_the_faster_one_and_remembers_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = models.write(tmp_path / "tiny.onnx")
    speeds = {"openvino": 0.002, "onnxruntime": 0.001}
    monkeypatch.setattr(trial, "compared", lambda path, threads: speeds)
    assert edge.backend.open(path).name == "onnxruntime"
    speeds["onnxruntime"] = 0.003
    assert edge.backend.open(path).name == "onnxruntime", "asked again although the answer was known"
    assert edge.backend.open(path, threads=2).name == "openvino", "the answer for one thread taken for two"
    answers = json.loads((cache / "backends.json").read_text())
    assert sorted(answers.values()) == ["onnxruntime", "openvino"]


@pytest.mark.parametrize("content", ["{", '["openvino"]', '{"x": 1}'])
def test_a_damaged_cache_is_measured_anew(content: str, tmp_path: Path, cache: Path) -> None:
    cache.mkdir()
    (cache / "backends.json").write_text(content)
    assert edge.backend.open(models.write(tmp_path / "tiny.onnx")).name in RUNTIMES
    assert set(json.loads((cache / "backends.json").read_text()).values()) <= {*RUNTIMES, "1"}


def test_an_unwritable_cache_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FGSTP_CACHE", str(tmp_path / "file" / "below"))
    assert edge.backend.open(models.write(tmp_path / "tiny.onnx")).name in RUNTIMES


def test_the_trial_measures_every_backend_and_leaves_none_of_them_in_memory(tmp_path: Path) -> None:
    path = models.write(tmp_path / "tiny.onnx")
    look = "import sys; from pathlib import Path; from edge.backend import trial; "
    look += f"found = trial.compared(Path({str(path)!r}), 1); "
    look += "print(*sorted(found), *(name for name in ('openvino', 'onnxruntime') if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(RUNTIMES)


def test_a_runtime_that_cannot_load_the_model_takes_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = models.write(tmp_path / "tiny.onnx")
    there = edge.backend.open

    def only_one(path: Path, name: str, *more: Any) -> edge.backend.Backend:
        if name == "openvino":
            raise ModelError("it is ill")
        return there(path, name, *more)

    monkeypatch.setattr(edge.backend, "open", only_one)
    assert list(trial.run(path, 1)) == ["onnxruntime"]


@pytest.mark.parametrize("executable", ["/bin/false", "/bin/true", "/absent"])
def test_without_a_trial_whatever_opens_is_taken_for_this_time(
    executable: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    assert edge.backend.open(models.write(tmp_path / "tiny.onnx")).name == RUNTIMES[0]
    assert not (cache / "backends.json").exists()


def roll_out(spec: ModelSpec, path: Path, name: str, frames: int) -> Array:
    """Logits of a moving bright spot, states carried by the ring."""
    backend, ring = edge.backend.open(path, name, 1, spec), Ring(spec)
    rng = np.random.default_rng(5)
    width, height = spec.size
    base = rng.random((1, 1, height, width), np.float32) * 0.02 + 0.4
    seen = []
    for i in range(frames):
        frame = base + rng.normal(0, 0.005, base.shape).astype(np.float32)
        frame[..., 60:100, 40 + 4 * i : 90 + 4 * i] += 0.1
        clock = np.array([[1 / 15 if i else 0, i / 15]], np.float32)
        outputs = backend.run({"frame": frame, "clock": clock, **ring.read(i / 15, frame)})
        ring.write(i / 15, frame, outputs)
        seen.append(outputs["logits"].copy())
    return np.stack(seen)


BOTH = pytest.mark.skipif(len(RUNTIMES) < 2, reason="only one runtime is installed")


@BOTH
def test_both_runtimes_say_the_same_of_a_shipped_model() -> None:
    spec, path = contract.load("student.fp32")
    a, b = (roll_out(spec, path, name, 15) for name in RUNTIMES)
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999
    np.testing.assert_allclose(a, b, atol=1e-2)


@BOTH
def test_both_runtimes_draw_the_same_masks_with_int8() -> None:
    clip = selftest.golden()
    a, b = (selftest.masks(open_segmenter("student.int8", name), clip) for name in RUNTIMES)
    assert (a & b).sum() / (a | b).sum() > 0.99


@pytest.mark.skipif("openvino" not in RUNTIMES, reason="openvino is not installed")
def test_openvino_loads_without_a_home_and_without_telemetry(tmp_path: Path) -> None:
    path = models.write(tmp_path / "tiny.onnx")
    code = (
        "import sys, edge.backend; from pathlib import Path;"
        f"backend = edge.backend.open(Path({str(path)!r}), 'openvino');"
        "assert sys.modules['openvino_telemetry'] is None; assert 'onnxruntime' not in sys.modules"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME", "FGSTP_CACHE")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
