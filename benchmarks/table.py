"""Plain tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

Cell = str | int | float | None


def show(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Columns as wide as they need; the first to the left, the others to the right."""
    cells = [list(heads), *([text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = []
    for row in cells:
        rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("  ".join((row[0].ljust(widths[0]), *rest)).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def text(cell: Cell) -> str:
    """A figure to three decimals, a dash where there is none."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "-"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
