"""The pages show what was measured, and CI notices when they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import figures, pages, rates, tables
from benchmarks.ceilings import Ceilings
from benchmarks.profiles import Layer
from benchmarks.rates import Count
from benchmarks.roofline import judged
from edge import contract

HEAD = {"utc": "2026-11-25T12:00:00+00:00", "machine": {"cpu": "A CPU", "cores": 2}}


def roofline(sha256: str) -> dict[str, Any]:
    core = Ceilings(50.0, 100.0, 10.0, 40.0)
    layers = [Layer("/student/body/Conv", "Convolution", "conv", "int8", 50_000_000, 1000, 1.0)]
    one = {"model": "student.int8", "backend": "openvino", "isa": "native", "sha256": sha256, "ceilings": vars_of(core)}
    return HEAD | {"results": [one | judged(layers, core)]}


def vars_of(core: Ceilings) -> dict[str, float]:
    return {name: getattr(core, name) for name in Ceilings.__slots__}


def page(folder: Path) -> list[str]:
    for name, marks in pages.PAGES.items():
        (folder / name).write_text("# Page\n" + "".join(f"<!-- {t} -->\n<!-- /{t} -->\n" for t in marks))
    return ["--docs", str(folder), "--results", str(folder)]


def test_a_table_stands_where_it_was_measured_and_a_command_where_not(tmp_path: Path, capsys) -> None:
    where = page(tmp_path)
    sha256 = contract.load("student.int8")[0].sha256
    (tmp_path / "roofline.json").write_text(json.dumps(roofline(sha256)))
    assert pages.main([*where, "--check"]) == 1
    assert pages.main(where) == 0
    assert pages.main([*where, "--check"]) == 0
    text = (tmp_path / "performance.md").read_text()
    assert "| student.int8, openvino, native | 50.0 | 100.0 | 10.0 | 40.0 | 50 | 1.00 | 50.0 % | 50.0 % |" in text
    assert "| `body/Conv` | Convolution | int8 | 50.00 | 1 | 1.000 | 50.0 | 50.0 % | yes |" in text
    assert "*2026-11-25, A CPU, 2 cores.*" in text
    assert "*Not measured yet: `python -m benchmarks.scale" in (tmp_path / "scale.md").read_text()
    (tmp_path / "roofline.json").write_text(json.dumps(roofline("0" * 64)))
    assert pages.main([*where, "--check"]) == 1
    assert "roofline.json: student.int8 has another sha256" in capsys.readouterr().err


def test_a_fleet_is_told_with_and_without_its_summaries() -> None:
    counted = {
        ("summary", True): Count(100, 40_000),
        ("event", True): Count(10, 5_000),
        ("health", False): Count(1, 300),
    }
    views = {name: rates.rates(counted, 10.0, 2) for name in ("quiet", "leaking")}
    text = tables.rates({"views": views, "fleet": rates.fleet(views, 10_000)})
    assert "| summary | camera | 5 | 2,000 | 5 | 2,000 |" in text
    assert "**10,000 cameras** on 1,250 devices, 1.0 % of the cameras at a leak: 55,125 messages and 180.3 Mbit" in text
    assert "without the summaries, 5,125 messages and 20.3 Mbit" in text


def test_marks_are_of_each_table() -> None:
    old = "a\n<!-- x -->\nold\n<!-- /x -->\nb"
    assert figures.filled(old, "new", Path("p"), "x") == "a\n<!-- x -->\nnew\n<!-- /x -->\nb"


def test_the_docs_show_what_was_measured_with_the_shipped_models() -> None:
    assert pages.main(["--check"]) == 0
