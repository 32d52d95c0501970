"""Variants of a model over several seeds: mean, deviation, and what differs from the full model by more than noise.

`rows` is a list of dicts, one a variant and seed: {"variant": …, "seed": …, "T": …, …, "gates": …, "delta": …} with
accuracies in percent; `gates` is None for a variant without gates. Every variant has the same seeds, in the same order.
"""

import json
import math
import pathlib

import numpy as np
import pandas as pd
import scipy.stats

from bgsnet_tf.evaluation import figures
from bgsnet_tf.evaluation.report import COLUMNS as ACCURACIES
from bgsnet_tf.evaluation.report import write_atomically

SIGNIFICANCE = 0.05
ROUNDING = 1e-9  # percent; differences that agree to this are the same


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
    """Text table of `report`, the result of `compare` with the keys `dataset` and `command`: a row a variant, mean ± deviation."""
    variants = report["variants"]
    width = max(len(name) for name in (report["dataset"], *variants))
    lines = [f"{report['dataset']:<{width}}" + "".join(f"{column:>14}" for column in ACCURACIES) + f"{'gates > .5':>14}"]
    for name, row in variants.items():
        lines.append(f"{name:<{width}}" + "".join(f"{_cell(row.get(figure)):>14}" for figure in (*ACCURACIES, "gates")))
    return "\n".join([*lines, *_notes(report)])


def format_markdown(report):
    """The same table as a Markdown document, with the command that made it, and differences and p-values."""
    header = [report["dataset"], *ACCURACIES, "gates > .5"]
    body = [[name, *(_cell(row.get(figure)) for figure in (*ACCURACIES, "gates"))] for name, row in report["variants"].items()]
    tests = [["difference (p)", *ACCURACIES]]
    for name, row in report["variants"].items():
        if "difference" in row["T"]:
            tests.append([name, *(_difference(row[figure]) for figure in ACCURACIES)])
    tables = [_markdown([header, *body]), *([_markdown(tests)] if len(tests) > 1 else [])]
    made = ["# Ablation", f"    {report['command']}", "![T and H of every variant](figures/ablation.svg)"]
    return "\n\n".join([*made, *tables, *_notes(report)]) + "\n"


def _cell(figure):
    if figure is None:
        return "-"
    spread = "" if figure["std"] is None else f" ± {figure['std']:.1f}"
    return f"{figure['mean']:.1f}{spread}{'' if figure.get('within_noise', True) else ' *'}"


def _difference(figure):
    p = "" if figure["p"] is None else f" ({figure['p']:.3f})"
    return f"{figure['difference']:+.1f}{p}{'' if figure['within_noise'] else ' *'}"


def _markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + "|---:" * (len(rows[0]) - 1) + "|", *lines[1:]])


def _notes(report):
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


def write(directory, rows, report):
    """Writes `ablation.csv` (the rows), `ablation.json` (the report), `ablation.md` (its tables) and `figures/ablation.*`."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    texts = {
        "ablation.csv": pd.DataFrame(rows).astype({"gates": "Int64"}).to_csv(index=False, lineterminator="\n"),
        "ablation.json": json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "ablation.md": format_markdown(report),
    }
    for name, text in texts.items():
        write_atomically(directory / name, text)
    figures.save(figures.variants(report["variants"]), directory / "figures", "ablation")
