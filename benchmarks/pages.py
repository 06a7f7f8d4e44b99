"""The tables of docs/performance.md, docs/scale.md and the model card, made from the result files alone.

    python -m benchmarks.pages            write each between its marks, <!-- speed --> and <!-- /speed --> and so on
    python -m benchmarks.pages --check    exit 1 where pages and results disagree, or the results are of another model

A table whose result file is not there says how to make it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import tables, worth
from benchmarks.figures import ROOT, Figures, filled, untrained
from edge import contract
from edge.errors import ConfigError, FgstpError

PAGES = {
    "docs/performance.md": ("speed", "peers", "roofline", "tradeoff", "registration"),
    "docs/scale.md": ("cameras", "pixels", "rates"),
    "edge/models/README.md": ("sizes", "detection", "ablation"),
}
TABLES: dict[str, Callable[[Figures], str]] = {
    table.__name__: table
    for table in (
        tables.speed,
        tables.peers,
        tables.roofline,
        tables.tradeoff,
        tables.cameras,
        tables.pixels,
        tables.rates,
        worth.registration,
        worth.sizes,
        worth.detection,
        worth.ablation,
    )
}
FILES = {"cameras": "scale", "pixels": "scale"}  # result file by table, where its name is another
COMMANDS = {  # where not the usual
    "sizes": "benchmarks.accuracy --only simgas --only gasvid --only god --json benchmarks/sizes.json",
    "ablation": "quantize.ablation --data ../shared/data --out benchmarks/ablation.json",
    "registration": "benchmarks.registration --data ../shared/data --json benchmarks/registration.json",
}


def made(name: str, folder: Path) -> str:
    """The table of that name, or how to get it."""
    file = FILES.get(name, name)
    try:
        result = json.loads((folder / f"{file}.json").read_text(encoding="utf-8"))
    except OSError:
        command = COMMANDS.get(name, f"benchmarks.{file} --json benchmarks/{file}.json")
        return f"*Not measured yet: `python -m {command}`.*"
    if name in ("cameras", "pixels") and name not in result:
        return f"*Not measured yet: `python -m benchmarks.{file} --only {name}`.*"
    machine = result["machine"]
    where = f"*{result['utc'][:10]}, {machine['cpu']}, {machine['cores']} cores.*"
    return f"{TABLES[name](result)}\n\n{where}"


def stale(folder: Path) -> list[str]:
    """Result files that were measured with a model other than the shipped one of that name. Raises ModelError."""
    shipped = {name: contract.load(name)[0].sha256 for name in contract.shipped()}
    complaints = []
    for name in dict.fromkeys(FILES.get(table, table) for page in PAGES.values() for table in page):
        path = folder / f"{name}.json"
        result = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for one in result.get("results") or result.get("methods", [result]):
            model = one.get("model", one.get("method"))
            if model in shipped and one.get("sha256", shipped[model]) != shipped[model] and not untrained(one):
                complaints.append(f"{path.name}: {model} has another sha256 than the shipped file; measure again")
    return complaints


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder that the pages lie below")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks", help="folder of the result files")
    options = parser.parse_args(argv)
    complaints: list[str] = []
    try:
        for page, names in PAGES.items():
            path = options.root / page
            old = new = _read(path)
            for name in names:
                new = filled(new, made(name, options.results), path, name)
            if not options.check:
                path.write_text(new, encoding="utf-8")
            elif new != old:
                complaints.append(f"{page}: the tables are not those of the results; run python -m benchmarks.pages")
        complaints += stale(options.results)
    except FgstpError as error:
        print(f"benchmarks.pages: {error}", file=sys.stderr)
        return error.exit_code
    for complaint in complaints:
        print(f"benchmarks.pages: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def _read(path: Path) -> Any:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; pass --root DIR") from error


if __name__ == "__main__":
    sys.exit(main())
