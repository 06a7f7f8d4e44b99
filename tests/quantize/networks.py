"""Networks small enough for tests."""

from __future__ import annotations

import torch

from quantize.authors import Authors, AuthorsConfig
from quantize.pvt import PVTConfig
from quantize.student import Student
from quantize.teacher import Teacher, TeacherConfig

PVT = PVTConfig((1, 1, 1, 1), widths=(8, 16, 20, 16), expansions=(2, 2, 2, 2), heads=(1, 2, 5, 4))


def tiny_teacher(seed: int = 0) -> Teacher:
    torch.manual_seed(seed)
    return Teacher(TeacherConfig(backbone="tiny", channels=8, memory_channels=4, groups=3, detail=4, pvt=PVT))


def tiny_authors(seed: int = 0) -> Authors:
    """With random weights everywhere, also where the authors start from zero."""
    torch.manual_seed(seed)
    network = Authors(AuthorsConfig(pvt=PVT))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.1)
    return network.eval()


def random_student(size: tuple[int, int]) -> Student:
    """One with random weights whose masks have edges: untrained logits lie close together on one side of 0."""
    torch.manual_seed(5)
    student = Student().eval()
    frame = torch.rand(1, 1, *size)
    with torch.no_grad():
        said = student(frame, torch.zeros(1, 2), **student.states(frame))["side4"]
        student.side4.bias.sub_(said.median())
        student.side4.weight.mul_(20.0)
        student.side4.bias.mul_(20.0)
    return student
