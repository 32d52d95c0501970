"""`report.html` of an experiment: what `templates/experiment.html` gets."""

from bgsnet_tf.reporting import html_page
from bgsnet_tf.reporting.html_page import Section
from bgsnet_tf.reporting.result_tables import COLUMNS as ACCURACIES

COLUMN_NAMES = {"delta": "δ", "gates": "gates > .5"}  # of the rows, where a column is headed otherwise


def page(report, tables, pictures, notes):
    """The whole document.

    Args:
      report: see `comparison.report`.
      tables: `comparison.tables`.
      pictures: name to (bytes of an SVG file, description).
      notes: sentences that explain the tables.
    """
    drawn = [html_page.svg(contents, description, description) for contents, description in pictures.values()]
    sections = {"results": Section("Results", {**_table(tables[0]), "notes": notes, "figures": drawn})}
    if len(tables) > 1:
        noise = {"seeds": len(report["seeds"]), "beyond_noise": _beyond_noise(report)}
        sections["differences"] = Section("Differences", {**_table(tables[1]), **noise})
    sections["runs"] = Section("Every run", _runs(report["rows"]))
    sections["configuration"] = Section("How it was made", _configuration(report))
    return html_page.render("experiment.html", f"BGSNet on {report['dataset']}: {report['title']}", sections)


def _table(rows):
    return {"header": rows[0], "rows": rows[1:]}


def _beyond_noise(report):
    return [
        f"{row['variant']} − {row['against']} in {accuracy} ({row[accuracy]['difference']:+.1f}, p = {row[accuracy]['p_holm']:.3f})"
        for row in report["differences"]
        for accuracy in report["accuracies"]
        if row[accuracy]["beyond_noise"]
    ]


def _runs(rows):
    cells = [[_cell(name, value) for name, value in row.items()] for row in rows]
    return {"header": [COLUMN_NAMES.get(name, name) for name in rows[0]], "rows": cells}


def _cell(name, value):
    if value is None:
        return "-"
    if name in ACCURACIES:
        return f"{value:.1f}"
    return f"{value:.2f}" if name == "delta" else str(value)


def _configuration(report):
    return {
        "command": report["command"],
        "seeds": ", ".join(map(str, report["seeds"])),
        "versions": "; ".join(", ".join(f"{name} {version}" for name, version in of_runs.items()) for of_runs in report["versions"]),
        "base": next(iter(report["variants"])),
        "flags": report["flags"],
    }
