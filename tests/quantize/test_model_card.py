"""The model card: its commands exist with the options that it names, and it states no figure."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from edge.contract import MODELS, shipped

CARD = (MODELS / "README.md").read_text(encoding="utf-8")
OTHERS, COMMANDS = (
    re.findall(r"^python -m (quantize\.\w+) (.*)$", part, re.MULTILINE) for part in CARD.split("## Retrain")
)


def test_there_are_three_commands_and_they_hang_together() -> None:
    assert [module for module, _ in COMMANDS] == ["quantize.train", "quantize.export", "quantize.int8"]
    outs = [re.findall(r"--out (\S+)", options)[0] for _, options in COMMANDS]
    assert COMMANDS[1][1].split()[0] == outs[0]
    assert COMMANDS[2][1].split()[0] == outs[1]


@pytest.mark.parametrize(("module", "options"), OTHERS + COMMANDS)
def test_a_command_knows_its_options(module: str, options: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True)
    for option in re.findall(r"--[\w-]+", options):
        assert option in done.stdout, f"{module} knows no {option}"


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https)([^)#]+)", CARD):
        assert (MODELS / target).exists(), target


def test_no_figure_of_merit_is_typed_by_hand() -> None:
    by_hand = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", CARD, flags=re.DOTALL)  # the rest is benchmarks.pages'
    assert "ablation -->" not in by_hand
    assert not re.search(r"0\.\d\d|\d\s?%|\b(IoU|recall|precision)\b", by_hand)


def test_it_lies_beside_the_models_and_is_none() -> None:
    assert shipped()
    assert "README" not in shipped()
