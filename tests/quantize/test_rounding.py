"""Training sees the rounding that the quantiser will do, and nothing else changes."""

from __future__ import annotations

import onnx
import pytest
import torch
from torch import nn

from calibration.render import Renderer
from quantize.export import export
from quantize.int8 import quantise
from quantize.rounding import FLOAT_PARTS, INPUT_LEVELS, WEIGHT_LEVELS, RoundedConv, round_convolutions, rounded
from quantize.student import SIZES, Student


def test_values_lie_on_the_grid_and_gradients_ignore_it():
    x = torch.linspace(-1.5, 1.5, 31, requires_grad=True)
    y = rounded(x, torch.tensor(1.0), 4)
    assert torch.allclose(y * 4, (y * 4).round(), atol=1e-5)
    assert y.max().item() == pytest.approx(1.0, abs=1e-6)
    y.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_a_rounded_convolution_is_the_convolution_up_to_its_steps():
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 5, 3, padding=1)
    x = torch.randn(2, 3, 8, 8)
    before = plain(x)
    round_convolutions(nn.Sequential(plain))
    assert isinstance(plain, RoundedConv)
    after = plain.eval()(x)
    error = (after - before).abs().max()
    assert 0 < error < before.abs().max() * (3.0 / WEIGHT_LEVELS + 3.0 / INPUT_LEVELS)


def test_names_and_weights_stay_so_that_a_checkpoint_fits_both_ways():
    torch.manual_seed(0)
    student, other = Student(SIZES["nano"]), Student(SIZES["nano"])
    names = list(student.state_dict())
    round_convolutions(student).load_state_dict(other.state_dict())
    assert list(student.state_dict()) == names
    other.load_state_dict(student.state_dict())


def test_the_same_convolutions_are_rounded_in_training_and_in_the_file(tmp_path):
    torch.manual_seed(0)
    student = Student(SIZES["nano"])
    export(student, tmp_path / "a.fp32.onnx", width=64, height=64, threshold=0.5, provenance={})
    clip = Renderer(1, None, (64, 64), 8).clip().frames
    quantise(tmp_path / "a.fp32.onnx", tmp_path / "a.int8.onnx", [clip])
    graph = onnx.load(tmp_path / "a.int8.onnx").graph
    made = {node.output[0]: node for node in graph.node}
    in_file = {  # layers: that over the correlation is two convolutions there
        n.name.rpartition("/")[0]
        for n in graph.node
        if n.op_type == "Conv" and made.get(n.input[1], n).op_type == "DequantizeLinear"
    }
    round_convolutions(student)
    in_training = {name for name, module in student.named_modules() if isinstance(module, RoundedConv)}
    assert len(in_file) == len(in_training) > 10
    assert sum(type(module) is nn.Conv2d for module in student.modules()) == len(FLOAT_PARTS)
