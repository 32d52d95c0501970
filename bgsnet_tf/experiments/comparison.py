"""Variants of a model over several seeds: mean, deviation, and what differs from the base by more than noise.

`rows` is a list of dicts, one a variant and seed: {"variant": …, "seed": …, "T": …, …, "gates": …, "delta": …} with
accuracies in percent; `gates` is None for a variant without gates. Every variant has the same seeds, in the same order.
"""

import json
import math
import pathlib

import numpy as np
import pandas as pd
import scipy.stats

from bgsnet_tf.reporting import experiment_page, figures
from bgsnet_tf.reporting.result_tables import COLUMNS as ACCURACIES
from bgsnet_tf.reporting.result_tables import write_atomically

SIGNIFICANCE = 0.05
ROUNDING = 1e-9  # percent; differences that agree to this are the same
FIGURES = (*ACCURACIES, "gates")


def report(title, command, notes, outcomes, flags=()):
    """All that the files of an experiment say, as one dict for JSON.

    Args:
      title: of the experiment.
      command: that makes it again.
      notes: sentences about what the figures are.
      outcomes: a `runs.Outcome` for every variant and seed, those of the base first.
      flags: names of flags whose values stand in the rows.

    Returns:
      The result of `compare`, and {"title", "command", "notes", "dataset", "versions": [dicts; more than one where it was
      continued with other ones], "flags": {of the base}, "rows"}.
    """
    rows = [outcome.row(flags) for outcome in outcomes]
    versions = []
    for outcome in outcomes:
        if outcome.results["versions"] not in versions:
            versions.append(outcome.results["versions"])
    base = outcomes[0].results
    return {
        "title": title,
        "command": command,
        "dataset": base["dataset"],
        **compare(rows, outcomes[0].variant.name),
        "notes": notes,
        "versions": versions,
        "flags": base["flags"],
        "rows": rows,
    }


def compare(rows, full):
    """Statistics of all variants against the one named `full`.

    The test is Student's paired t-test over seeds: a variant shares its seed's fine-tuned backbone, data order and
    episodes with the full model, so their difference varies less than either.

    Returns:
      {"seeds": […], "variants": {name: {figure: {"mean", "std", "difference", "p", "within_noise"}}}}; figures are the
      accuracies and `gates`. `std` has seeds − 1 in the denominator and is None with one seed. `difference` and what
      follows are of accuracies of other variants than `full`. p is None where it is undefined, with one seed or with
      the same difference in every seed; the difference then counts as noise.
    """
    table = pd.DataFrame(rows)
    of_full = table[table["variant"] == full]
    by_variant = {}
    for name, of_variant in table.groupby("variant", sort=False):
        row = {figure: _spread(of_variant[figure]) for figure in (*ACCURACIES, "gates") if of_variant[figure].notna().all()}
        if name != full:
            for figure in ACCURACIES:
                row[figure].update(_paired(of_variant[figure].to_numpy(), of_full[figure].to_numpy()))
        by_variant[name] = row
    return {"seeds": of_full["seed"].tolist(), "variants": by_variant}


def _spread(values):
    return {"mean": float(values.mean()), "std": float(values.std(ddof=1)) if len(values) > 1 else None}


def _paired(values, reference):
    differences = values - reference
    p = None
    if np.ptp(differences) > ROUNDING:
        p = float(scipy.stats.ttest_rel(values, reference).pvalue)
    return {"difference": float(differences.mean()), "p": p, "within_noise": p is None or p >= SIGNIFICANCE}


def format_table(report):
    """Text table of a `report`: a row a variant, mean ± deviation."""
    (header, *body), *_ = tables(report)
    width = max(len(row[0]) for row in (header, *body))
    lines = [f"{row[0]:<{width}}" + "".join(f"{cell:>14}" for cell in row[1:]) for row in (header, *body)]
    return "\n".join([*lines, *_notes(report)])


def format_markdown(report, pictures):
    """The tables of a `report` as a Markdown document, with the command that made them; `pictures` are names to descriptions."""
    images = [f"![{description}](figures/{name}.svg)" for name, description in pictures.items()]
    return (
        "\n\n".join([f"# {report['title']}", f"    {report['command']}", *images, *map(_markdown, tables(report)), *_notes(report)]) + "\n"
    )


def tables(report):
    """The table of means of a `report`, and that of differences where there are any; each a list of rows of text, header first."""
    variants = report["variants"]
    means = [[name, *(_mean(row.get(figure)) for figure in FIGURES)] for name, row in variants.items()]
    differences = [[name, *(_difference(row[figure]) for figure in ACCURACIES)] for name, row in variants.items() if "p" in row["T"]]
    of_means = [[report["dataset"], *ACCURACIES, "gates > .5"], *means]
    return [of_means, [["difference (p)", *ACCURACIES], *differences]] if differences else [of_means]


def _mean(figure):
    if figure is None:
        return "-"
    spread = "" if figure["std"] is None else f" ± {figure['std']:.1f}"
    return f"{figure['mean']:.1f}{spread}{_star(figure)}"


def _difference(figure):
    p = "" if figure["p"] is None else f" ({figure['p']:.3f})"
    return f"{figure['difference']:+.1f}{p}{_star(figure)}"


def _star(figure):
    return "" if figure.get("within_noise", True) else " *"


def _markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + "|---:" * (len(rows[0]) - 1) + "|", *lines[1:]])


def _notes(report):
    return [*report["notes"], *_noise(report)]


def _noise(report):
    seeds = len(report["seeds"])
    if seeds == 1:
        return ["One seed: no deviation and no test; every difference may be noise."]
    compared = [row[figure] for row in report["variants"].values() for figure in ACCURACIES if "difference" in row[figure]]
    marked = sum(not figure["within_noise"] for figure in compared)
    by_chance = math.ceil(SIGNIFICANCE * len(compared))
    return [
        f"Mean ± standard deviation over {seeds} seeds, in percent. * differs from {next(iter(report['variants']))} by a paired t-test "
        f"over seeds (p < {SIGNIFICANCE}); every difference without * is within noise.",
        f"{marked} of {len(compared)} comparisons have a *; about {by_chance} would by chance alone if no variant differed.",
    ]


def write(directory, stem, report, drawn):
    """Writes `stem`.csv (the rows), .json (the report), .md (its tables), report.html, and `figures/`.

    Args:
      directory: where to.
      stem: name of the files.
      report: see `report`.
      drawn: name of every figure to a pair of Matplotlib's figure and its description.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    pictures = {name: (figures.save(figure, directory / "figures", name), text) for name, (figure, text) in drawn.items()}
    texts = {
        f"{stem}.csv": pd.DataFrame(report["rows"]).astype({"gates": "Int64"}).to_csv(index=False, lineterminator="\n"),
        f"{stem}.json": json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        f"{stem}.md": format_markdown(report, {name: text for name, (_, text) in pictures.items()}),
        "report.html": experiment_page.page(report, tables(report), pictures, _notes(report)),
    }
    for name, text in texts.items():
        write_atomically(directory / name, text)
