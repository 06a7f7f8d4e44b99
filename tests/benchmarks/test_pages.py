"""The pages show what was measured, and CI notices when they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import figures, pages, rates, tables, worth
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
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("# Page\n" + "".join(f"<!-- {t} -->\n<!-- /{t} -->\n" for t in marks))
    return ["--root", str(folder), "--results", str(folder)]


def test_a_table_stands_where_it_was_measured_and_a_command_where_not(tmp_path: Path, capsys) -> None:
    where = page(tmp_path)
    sha256 = contract.load("student.int8")[0].sha256
    (tmp_path / "roofline.json").write_text(json.dumps(roofline(sha256)))
    assert pages.main([*where, "--check"]) == 1
    assert pages.main(where) == 0
    assert pages.main([*where, "--check"]) == 0
    text = (tmp_path / "docs/performance.md").read_text()
    assert "| student.int8, openvino, native | 50.0 | 100.0 | 10.0 | 40.0 | 50 | 1.00 | 50.0 % | 50.0 % |" in text
    assert "| `body/Conv` | Convolution | int8 | 50.00 | 1 | 1.000 | 50.0 | 50.0 % | yes |" in text
    assert "*2026-11-25, A CPU, 2 cores.*" in text
    assert "*Not measured yet: `python -m benchmarks.scale" in (tmp_path / "docs/scale.md").read_text()
    assert "*Not measured yet: `python -m quantize.ablation" in (tmp_path / "edge/models/README.md").read_text()
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


def test_a_network_without_gas_in_a_mask_stands_beside_the_others() -> None:
    blind = {"method": "nano.int8", "weights": {"mmac": 33}}
    blind["simgas"] = {"mean": {"iou": 0.0, "j": 0.0}, "interval95": {"iou": [0.0, 0.0], "j": [None, None]}}
    good = {"method": "student.int8", "weights": {"mmac": 143}, "gasvid": {"mean": {"iou": 0.652}}}
    good["simgas"] = {"mean": {"iou": 0.82, "j": 0.7}, "interval95": {"iou": [0.76, 0.87], "j": [0.6, 0.8]}}
    good["god"] = {"clips": {"god_079": {"inside": 0.5, "touched": 0.93}}}
    text = worth.sizes({"methods": [blind, good]})
    assert "| nano.int8 | 33 | 0.000 | 0.000 to 0.000 | 0.000 | – | – | – | – |" in text
    assert "| student.int8 | 143 | 0.820 | 0.760 to 0.870 | 0.700 | 0.600 to 0.800 | 0.652 | 50.0 % | 93.0 % |" in text


def test_a_contrast_beyond_those_that_were_tried_is_a_dash() -> None:
    curve = {"motion": "still", "size": 0.002, "points": {"50": [2.13, 1.5, 3.0], "90": [None, 8.0, None]}}
    rates = [{"cnr": 1.0, "trials": 4}, {"cnr": 2.0, "trials": 4}]
    free = {"events": 1, "hours": 0.5, "high_per_hour": 11.1}
    result = {"curves": [curve | {"rates": rates}], "false_alarms": {"all": free}, "protocol": "So it was made."}
    text = worth.detection(result)
    assert "| still | 0.2 | 2.1 (1.5 to 3) | – (8 to –) | 8 |" in text
    assert text.endswith("So it was made. Without gas: 1 alarms in 30 minutes, at most 11 an hour (95 %).")


def test_a_variant_stands_beside_what_it_is_compared_with() -> None:
    runs = [{"seed": seed, "still": still, "moving": 0.3} for seed, still in ((7, 0.41), (8, 0.4))]
    taken = {"against": "full", "differences": {"still": [-0.02, 0.01], "moving": [0.0, 0.1]}, "clips": 48}
    rows = {name: {"fp32": 0.5, "int8": 0.492, "logits_db": 33.27} for name in ("full", "longer", "rounded")}
    result = {
        "budget": {"steps": 300, "further": 100, "batch": 4, "size": 160, "clip_frames": 36, "still": 10, "moving": 5},
        "commits": ["abc"],
        "missing": ["int8-8"],
        "variants": [
            {"name": "full", "what": "whole", "seeds": runs},
            {"name": "none", "what": "without", "seeds": runs, "interval": [-0.05, None]} | taken,
        ],
        "teacher": [{"made_from": {"model": "small", "steps": 16000}, "still": 0.6, "moving": 0.5}],
        "int8": [{"seed": 7, "rows": rows}],
    }
    text = worth.ablation(result)
    assert "| whole | 0.410, 0.400 | 0.300, 0.300 | – | – | – | – |" in text
    assert "| without | 0.410, 0.400 | 0.300, 0.300 | full | −0.020, +0.010 | +0.000, +0.100 | −0.050 to – |" in text
    assert "small after 16,000 steps: 0.600 and 0.500." in text
    assert "| as it is (PTQ) | 0.500 | 0.492 | −0.008 | 33.3 |" in text
    assert "over the 48 clips with gas" in text
    assert text.endswith("Seeds 7, 8; commit abc.\n\nNot run yet: int8-8.")


def test_marks_are_of_each_table() -> None:
    old = "a\n<!-- x -->\nold\n<!-- /x -->\nb"
    assert figures.filled(old, "new", Path("p"), "x") == "a\n<!-- x -->\nnew\n<!-- /x -->\nb"


def test_the_docs_show_what_was_measured_with_the_shipped_models() -> None:
    assert pages.main(["--check"]) == 0
