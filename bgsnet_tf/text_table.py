"""Tables of text for a terminal and for documents."""

from collections.abc import Sequence


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Lines of rows of cells, header first: the first column to the left, the others to the right, two spaces between."""
    first, *others = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join([name.ljust(first), *map(str.rjust, cells, others)]) for name, *cells in rows)


def format_markdown(rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """Rows of cells, header first, as a Markdown table: the first `texts` columns to the left, the others to the right."""
    header, *lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([header, "|---" * texts + "|---:" * (len(rows[0]) - texts) + "|", *lines])
