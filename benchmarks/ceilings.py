"""What one core can do at most: a large dense convolution in each precision, by the runtime in question, and a copy."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge import backend
from edge.records import Array

HEIGHT, WIDTH, DEPTH = 64, 64, 3  # of the convolutions one after the other
CHANNELS = (64, 128)  # the better of these is the ceiling
ROUNDS = 40
COPIED = 64_000_000  # bytes, far beyond the caches
CACHED = 500_000


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Of one thread."""

    fp32_gmacs: float  # 1e9 multiply-accumulates a second
    int8_gmacs: float
    copy_gb_s: float  # 1e9 bytes a second, read and written ones together, in memory
    cache_gb_s: float  # the same of a buffer as large as a layer's tensors, which stay in the cache


def measure(runtime: str) -> Ceilings:
    """The best of several tries: a ceiling is not lowered by what else the machine does."""
    with tempfile.TemporaryDirectory(prefix="fgstp-ceilings-") as folder:
        fp32, int8 = (
            max(rate(dense(channels, kind, Path(folder)), channels, runtime) for channels in CHANNELS)
            for kind in (False, True)
        )
    return Ceilings(fp32, int8, copy_rate(COPIED), copy_rate(CACHED))


def rate(path: Path, channels: int, runtime: str) -> float:
    """GMAC/s of a file that `dense` has written."""
    opened = backend.open(path, runtime, 1)
    shape = opened.inputs["x"]
    x = np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(np.float32)
    return DEPTH * 9 * channels**2 * HEIGHT * WIDTH / fastest(lambda: opened.run({"x": x})) / 1e9


def copy_rate(size: int) -> float:
    """GB/s of a buffer of `size` bytes."""
    source: Array = np.ones(size, np.uint8)
    target = np.zeros_like(source)
    return 2 * size / fastest(lambda: np.copyto(target, source)) / 1e9


def fastest(call: Callable[[], object]) -> float:
    """Seconds of the fastest of some calls."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def dense(channels: int, int8: bool, folder: Path) -> Path:
    """3x3 convolutions with ReLU, one after the other; in INT8 in the form that both runtimes take whole: unsigned
    activations without an offset, so that the ReLU falls away, and weights per channel in 7 bits."""
    rng, nodes, constants, value = np.random.default_rng(0), [], [], "x"

    def constant(name: str, content: Array) -> str:
        constants.append(numpy_helper.from_array(content, name))
        return name

    scale, zero = "scale", "zero"
    if int8:
        constant(scale, np.float32(1 / 64))
        constant(zero, np.uint8(0))

    def rounded(value: str, name: str) -> str:
        nodes.append(helper.make_node("QuantizeLinear", [value, scale, zero], [f"q{name}"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"q{name}", scale, zero], [f"d{name}"]))
        return f"d{name}"

    shape = (channels, channels, 3, 3)
    for layer in map(str, range(DEPTH)):
        if int8:
            value = rounded(value, layer)
            weight = constant(f"w{layer}", rng.integers(-63, 64, shape, np.int8))
            scales = constant(f"ws{layer}", np.full(channels, 1 / 64 / channels, np.float32))
            zeros = constant(f"wz{layer}", np.zeros(channels, np.int8))
            nodes.append(helper.make_node("DequantizeLinear", [weight, scales, zeros], [f"wd{layer}"], axis=0))
            weight = f"wd{layer}"
        else:
            weight = constant(f"w{layer}", (rng.normal(size=shape) / channels).astype(np.float32))
        nodes.append(helper.make_node("Conv", [value, weight], [f"c{layer}"], name=f"conv{layer}", pads=[1] * 4))
        value = f"r{layer}"
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [value]))
    if int8:
        value = rounded(value, "last")  # or the last convolution would have to give floats
    tensor = (1, channels, HEIGHT, WIDTH)
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, tensor) for name in ("x", value)]
    graph = helper.make_graph(nodes, "dense", ends[:1], ends[1:], constants)
    path = folder / f"dense{channels}.{'int8' if int8 else 'fp32'}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
