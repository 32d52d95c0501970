"""Tables for a terminal."""

from collections.abc import Sequence


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Lines of rows of cells, header first: the first column to the left, the others to the right, two spaces between."""
    first, *others = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join([name.ljust(first), *map(str.rjust, cells, others)]) for name, *cells in rows)
