"""Writes the tables of benchmarks/results/ into docs/performance.md, between `<!-- table: NAME -->` and `<!-- end -->`."""

import json
import pathlib
import re

from benchmarks.harness import RESULTS, table

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "performance.md"
BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text):
    """The document with every marked block replaced by its table and a line on the machine that it was measured on."""
    return BLOCK.sub(lambda block: f"{block[1]}{_block(block[2])}\n{block[3]}", text)


def _block(name):
    result = json.loads((RESULTS / f"{name}.json").read_text())
    facts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in result["machine"].items())
    return f"{table(result['rows'])}\n\n({facts})"


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
