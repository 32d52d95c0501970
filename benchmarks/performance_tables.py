"""Writes the tables of benchmarks/results/ into docs/performance.md, between `<!-- table: NAME -->` and `<!-- end -->`."""

import json
import pathlib
import re

from benchmarks.harness import RESULTS, table

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "performance.md"
BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text):
    """The document with every marked block that has a result replaced by its table and a line on the machine behind it."""
    return BLOCK.sub(lambda block: f"{block[1]}{_block(block[2])}\n{block[3]}" if _result(block[2]).exists() else block[0], text)


def _result(name):
    return RESULTS / f"{name}.json"


def _block(name):
    result = json.loads(_result(name).read_text())
    facts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in result["machine"].items())
    return f"{table(result['rows'])}\n\n({facts})"


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
