"""The README shows what was measured, and CI notices when it does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import figures
from edge import contract

MASK = {"iou": 0.7891, "j": 0.6912, "boundary_iou": 0.5, "boundary_f": 0.61}


def results(model: str = "student.int8", sha256: str | None = None) -> dict[str, dict[str, Any]]:
    """Result files as the benchmarks write them, small; of the shipped model where no sha256 is given."""
    made = {"sha256": sha256 or contract.load(model)[0].sha256}
    one = {"method": model, **made}
    return {
        "accuracy": {"methods": [{**one, **accuracy()}]},
        "baselines": {
            "methods": [
                {"method": "mog2", "simgas": {"mean": {**MASK, "iou": None}, "clips": {}, "gas_free_false": 0.5}},
            ],
            "agreement": [{"method": model, "runtimes": ["openvino", "onnxruntime"], "iou_mean": 0.9951}],
        },
        "motion": {
            "motion": {"flights": {"still": {}, "pan": {}}},
            "methods": [
                {**one, "simgas@still": {"mean": {"iou": 0.7162}}, "simgas@pan": {"mean": {"iou": 0.7019}}},
                {"method": "mog2", "simgas@still": {"mean": {"iou": 0.658}}, "simgas@pan": {"mean": {"iou": 0.203}}},
            ],
        },
        "flights": {"methods": [{**one, "flights": {"count": 187, "hours": 1.018, "alarms": 3}}]},
        "latency": {"model": model, **made, "cameras": 4, "total_ms": {"p50": 27.9, "p95": 46.7, "p99": 52.8}},
        "speed": {"machine": {"cpu": "A CPU", "cores": 2}, "results": [{"model": model, **made, **speed()}]},
        "memory": {
            "model": model,
            **made,
            "frames": 20_012,
            "rss_mb": {"first": 180.0, "last": 190.4, "peak": 201.2},
            "slope_kb_per_1000_frames": 3.2,
        },
    }


def accuracy() -> dict[str, Any]:
    """Of one method, over all footage."""
    return {
        "simgas": {
            "mean": MASK,
            "interval95": {"iou": [0.7012, 0.8498]},
            "clips": {"simgasvid1": {}},
            "gas_free_false": 0.0123,
        },
        "gasvid": {"mean": {"iou": 0.654}, "clips": {}},
        "god": {"clips": {"god_079": {"inside": 0.55, "touched": 0.9}}},
        "background": {"count": 84, "alarms": 2, "lit": 0.004},
    }


def speed() -> dict[str, Any]:
    """Of one model on one backend."""
    return {
        "backend": "openvino",
        "fps": 142.05,
        "host_share": 0.214,
        "isa_in_force": {"features": ["avx2"], "limited_by": "CPUID, for all libraries"},
        "stages_ms": {"end_to_end": {"p50": 7.04, "p95": 8.01, "p99": 9.96}},
    }


def write(folder: Path, files: dict[str, dict[str, Any]]) -> list[str]:
    """Result files and a README in `folder`; the arguments that name both."""
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "README.md").write_text("# Promise\n\n<!-- figures -->\nold\n<!-- /figures -->\n\nMore.\n")
    return ["--readme", str(folder / "README.md"), "--results", str(folder)]


def test_the_table_stands_between_its_marks_and_the_rest_is_left_alone(tmp_path: Path) -> None:
    where = write(tmp_path, results())
    assert figures.main(where) == 0
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("# Promise\n\n<!-- figures -->\n|  | student.int8 | mog2 |\n")
    assert text.endswith("<!-- /figures -->\n\nMore.\n")
    assert "old" not in text
    assert "| SimGas, 8 clips: mean IoU | 0.789 | – |" in text
    assert "| SimGas: its 95 % interval | 0.701 to 0.850 | – |" in text
    assert "| SimGas: gas-free frames with a mask | 1.2 % | 50.0 % |" in text
    assert "| GOD 079, real gas: mask inside the box | 55.0 % | – |" in text
    assert "| Gas-free thermal clips: false alarms | 2 in 84 clips | – |" in text
    assert "| student.int8, openvino | avx2 | 142 | 7.0 | 8.0 | 10.0 | 21% |" in text
    assert "190 MB after 20,012 frames" in text
    assert "| panning, 2 px a frame | 0.702 | 0.203 |" in text
    assert "61 minutes in 187 clips: 3 false alarms" in text
    assert "4 cameras on one core: p50 28 ms, p95 47 ms" in text


def test_check_passes_on_what_was_written_and_fails_on_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = write(tmp_path, results())
    assert figures.main([*where, "--check"]) == 1
    assert "the figures are not those of the results" in capsys.readouterr().err
    assert "old" in (tmp_path / "README.md").read_text()
    assert figures.main(where) == 0
    assert figures.main([*where, "--check"]) == 0
    better = results()
    better["accuracy"]["methods"][0]["simgas"]["mean"]["iou"] = 0.99
    for name, content in better.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert figures.main([*where, "--check"]) == 1


def test_results_of_another_model_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = write(tmp_path, results(sha256="0" * 64))
    assert figures.main(where) == 1
    said = capsys.readouterr().err
    for name in ("accuracy", "motion", "flights", "speed", "memory", "latency"):
        assert f"{name}.json: student.int8 has another sha256 than the shipped file" in said


def test_a_missing_result_file_says_how_to_make_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = write(tmp_path, results())
    (tmp_path / "speed.json").unlink()
    assert figures.main(where) == 2
    assert "speed.json: not a result file; run python -m benchmarks.speed --json" in capsys.readouterr().err


def test_a_readme_without_marks_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = write(tmp_path, results())
    (tmp_path / "README.md").write_text("# Promise\n")
    assert figures.main(where) == 2
    assert "the marks <!-- figures --> and <!-- /figures --> are missing" in capsys.readouterr().err


def test_the_readme_shows_what_was_measured_with_the_shipped_models() -> None:
    assert figures.main(["--check"]) == 0
