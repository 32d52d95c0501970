"""`report.html` of an experiment: its tables, figures, every single run and how it was made, as one file without a script."""

from bgsnet_tf.reporting import html_page
from bgsnet_tf.reporting.html_page import text
from bgsnet_tf.reporting.result_tables import COLUMNS as ACCURACIES


def page(report, tables, pictures, notes):
    """The whole document.

    Args:
      report: see `comparison.report`.
      tables: `comparison.tables`.
      pictures: name to (bytes of an SVG file, description).
      notes: sentences that explain the tables.
    """
    drawn = "".join(html_page.svg(contents, description, description) for contents, description in pictures.values())
    results = _statistics(tables[0]) + "".join(f'<p class="quiet">{text(note)}</p>' for note in notes)
    sections = [("results", "Results", f"<div class=row><div>{results}</div><div>{drawn}</div></div>")]
    if len(tables) > 1:
        sections.append(("differences", "Differences", _noise(report) + _statistics(tables[1])))
    sections.append(("runs", "Every run", _runs(report["rows"])))
    sections.append(("configuration", "How it was made", _configuration(report)))
    return html_page.page(f"BGSNet on {report['dataset']}: {report['title']}", sections)


def _table(header, rows):
    """A table of HTML cells, which scrolls by itself where the screen is narrow."""
    return f'<div style="overflow-x: auto">{html_page.table(header, rows)}</div>'


def _statistics(rows):
    """A table of `comparison.tables`; what follows a cell's first figure stands small below it."""

    def cell(content):
        first, _, rest = content.partition(" ")
        return text(first) + (f"<small>{text(rest)}</small>" if rest else "")

    header, *body = rows
    return _table(map(text, header), [[text(name), *map(cell, cells)] for name, *cells in body])


def _noise(report):
    if len(report["seeds"]) == 1:
        return "<p>With one seed every difference may be noise.</p>"
    found = [
        f"{row['variant']} − {row['against']} in {accuracy} ({row[accuracy]['difference']:+.1f}, p = {row[accuracy]['p_holm']:.3f})"
        for row in report["differences"]
        for accuracy in report["accuracies"]
        if row[accuracy]["beyond_noise"]
    ]
    if not found:
        return "<p>Every difference is within noise.</p>"
    return f"<p>Beyond noise (*), p after Holm's correction: {text('; '.join(found))}. Every other difference is within noise.</p>"


def _runs(rows):
    header = ["δ" if name == "delta" else "gates &gt; .5" if name == "gates" else text(name) for name in rows[0]]
    return _table(header, [[_cell(name, value) for name, value in row.items()] for row in rows])


def _cell(name, value):
    if value is None:
        return "-"
    if name in ACCURACIES:
        return f"{value:.1f}"
    return f"{value:.2f}" if name == "delta" else text(str(value))


def _configuration(report):
    versions = "; ".join(", ".join(f"{name} {version}" for name, version in of_runs.items()) for of_runs in report["versions"])
    seeds = ", ".join(map(str, report["seeds"]))
    flags = "".join(f"<li>--{text(f'{name}={value}')}</li>" for name, value in report["flags"].items())
    command = f'<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{text(report["command"])}</pre>'
    return (
        f"{command}<p>Seeds {seeds}. {text(versions)}.</p>"
        f"<h3>Flags of {text(next(iter(report['variants'])))}, first seed</h3><ul class=flags>{flags}</ul>"
    )
