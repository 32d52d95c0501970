"""Variants of a model over several seeds: mean, deviation, and what differs from its reference by more than noise.

`rows` is a list of dicts, one a variant and seed: {"variant": …, "seed": …, "T": …, …, "gates": …, "delta": …} with
accuracies in percent; `gates` is None for a variant without gates.
"""

import json
import pathlib

import numpy as np
import pandas as pd

from bgsnet_tf import files
from bgsnet_tf.evaluation import bootstrap
from bgsnet_tf.reporting import experiment_page, figures
from bgsnet_tf.reporting.result_tables import COLUMNS as ACCURACIES
from bgsnet_tf.text_table import format_markdown, format_table

SIGNIFICANCE = 0.05


def report(title, command, notes, outcomes, flags=(), accuracies=ACCURACIES):
    """All that the files of an experiment say, as one dict for JSON.

    Args:
      title: of the experiment.
      command: that makes it again.
      notes: sentences about what the figures are.
      outcomes: a `runs.Outcome` for every variant and seed, those of the base first.
      flags: names of flags whose values stand in the rows.
      accuracies: those that are compared; of the others nothing is said.

    Returns:
      The result of `compare`, and {"title", "command", "notes", "dataset", "versions": [dicts; more than one where it was
      continued with other ones], "flags": {of the base}, "rows"}.
    """
    rows = [
        {name: value for name, value in outcome.row(flags).items() if name in accuracies or name not in ACCURACIES} for outcome in outcomes
    ]
    versions = []
    for outcome in outcomes:
        if outcome.results["versions"] not in versions:
            versions.append(outcome.results["versions"])
    base = outcomes[0].results
    return {
        "title": title,
        "command": command,
        "dataset": base["dataset"],
        **compare(outcomes, accuracies),
        "notes": notes,
        "versions": versions,
        "flags": base["flags"],
        "rows": rows,
    }


def compare(outcomes, accuracies=ACCURACIES):
    """Statistics of all variants, and what separates each from those that it is `against`.

    Returns:
      {"accuracies": the names, "seeds": […], "variants": {name: {figure: {"mean", "std"}}}, "differences": [{"variant",
      "against", accuracy: {"difference", "low", "high", "p", "p_holm", "beyond_noise"}}]}; figures are the accuracies and
      `gates`. `std` has the number − 1 in its denominator and is None with one seed. Intervals and p are those of
      `bootstrap.interval`, over seeds and test images; `p_holm` is p after Holm's correction for all comparisons here, and a
      difference is `beyond_noise` where that is below `SIGNIFICANCE` and there are several seeds. A variant that is tested on
      other images than the base is compared with nothing.
    """
    by_name = {}
    for outcome in outcomes:
        by_name.setdefault(outcome.variant.name, []).append(outcome)
    seeds = [outcome.seeds[0] for outcome in by_name[outcomes[0].variant.name]]
    variants = {}
    for name, of_variant in by_name.items():
        rows = pd.DataFrame([outcome.row() for outcome in of_variant])
        variants[name] = {figure: _spread(rows[figure]) for figure in (*accuracies, "gates") if rows[figure].notna().all()}
    return {"accuracies": list(accuracies), "seeds": seeds, "variants": variants, "differences": _differences(by_name, seeds, accuracies)}


def _spread(values):
    return {"mean": float(values.mean()), "std": float(values.std(ddof=1)) if len(values) > 1 else None}


def _differences(by_name, seeds, accuracies):
    labels = next(iter(by_name.values()))[0].labels
    paired = {name: found for name, found in by_name.items() if all(map(np.array_equal, found[0].labels, labels))}
    replicates = bootstrap.replicate([outcome.decisions for found in paired.values() for outcome in found], *labels)
    ends = np.cumsum([len(found) for found in paired.values()])[:-1]
    per_seed = {
        accuracy: {name: _per_seed(paired[name], seeds, part) for name, part in zip(paired, np.split(replicates[accuracy], ends))}
        for accuracy in accuracies
    }
    differences = [
        {
            "variant": name,
            "against": other,
            **{accuracy: bootstrap.interval(values[name] - values[other]) for accuracy, values in per_seed.items()},
        }
        for name, found in paired.items()
        for other in found[0].variant.against
        if other in paired
    ]
    _correct([row[accuracy] for row in differences for accuracy in accuracies], len(seeds))
    return differences


def _per_seed(outcomes, seeds, values):
    """(seeds, 1 + replicates): the outcomes' values; where an outcome rests on several seeds, the jackknife's pseudo-values.

    Their mean is that of `values` (outcomes, 1 + replicates), and their spread says how far that would move with other seeds.
    """
    if len(seeds) == 1:
        return values
    without = [values[[seed not in outcome.seeds for outcome in outcomes]].mean(axis=0) for seed in seeds]
    return len(seeds) * values.mean(axis=0) - (len(seeds) - 1) * np.stack(without)


def _correct(differences, seeds):
    """Adds `p_holm` and `beyond_noise` to each (Holm 1979, step-down: the smallest of m p-values counts m times, the next m − 1, …)."""
    tested = sorted((found for found in differences if found["p"] is not None), key=lambda found: found["p"])
    highest = 0.0
    for rank, found in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * found["p"]))
        found["p_holm"] = highest
    for found in differences:
        found.setdefault("p_holm", None)
        found["beyond_noise"] = seeds > 1 and found["p_holm"] is not None and found["p_holm"] < SIGNIFICANCE


def summary(report):
    """Text tables of a `report`: a row a variant, mean ± deviation; then a row a difference."""
    return "\n".join([*map(format_table, tables(report)), *_notes(report)])


def format_document(report, pictures):
    """The tables of a `report` as a Markdown document, with the command that made them; `pictures` are names to descriptions."""
    images = [f"![{description}](figures/{name}.svg)" for name, description in pictures.items()]
    return (
        "\n\n".join([f"# {report['title']}", f"    {report['command']}", *images, *map(format_markdown, tables(report)), *_notes(report)])
        + "\n"
    )


def tables(report):
    """The table of means of a `report`, and that of differences where there are any; each a list of rows of text, header first."""
    accuracies, variants = report["accuracies"], report["variants"]
    gates = ["gates"] if any("gates" in row for row in variants.values()) else []
    means = [[name, *(mean_text(row.get(figure)) for figure in (*accuracies, *gates))] for name, row in variants.items()]
    of_means = [[report["dataset"], *accuracies, *("gates > .5" for _ in gates)], *means]
    differences = [
        [f"{row['variant']} − {row['against']}", *(difference_text(row[accuracy]) for accuracy in accuracies)]
        for row in report["differences"]
    ]
    return [of_means, [["difference", *accuracies], *differences]] if differences else [of_means]


def mean_text(figure):
    """A mean in percent with its deviation, of a `report`; "-" for None."""
    if figure is None:
        return "-"
    return f"{figure['mean']:.1f}" + ("" if figure["std"] is None else f" ± {figure['std']:.1f}")


def difference_text(figure):
    """A difference in points of a `report`, with its interval, and a star where it is beyond noise."""
    ends = "" if figure["p"] is None else f" ({figure['low']:+.1f} to {figure['high']:+.1f})"
    return f"{figure['difference']:+.1f}{ends}{' *' if figure['beyond_noise'] else ''}"


def _notes(report):
    return [*report["notes"], *_noise(report)]


def _noise(report):
    seeds, level = len(report["seeds"]), f"{bootstrap.CONFIDENCE:.0%}"
    if seeds == 1:
        return [
            f"One seed. Differences with {level} intervals over test images; another seed may move them further, so none counts as shown."
        ]
    compared = [row[accuracy] for row in report["differences"] for accuracy in report["accuracies"]]
    if not compared:
        return [f"Mean ± standard deviation over {seeds} seeds, in percent."]
    found = sum(figure["beyond_noise"] for figure in compared)
    return [
        f"Mean ± standard deviation over {seeds} seeds, in percent. Differences with {level} intervals over seeds and test images, each "
        f"by itself. * beyond noise: p < {SIGNIFICANCE} after Holm's correction for all {len(compared)} comparisons; {found} of them are."
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
        f"{stem}.md": format_document(report, {name: text for name, (_, text) in pictures.items()}),
        "report.html": experiment_page.page(report, tables(report), pictures, _notes(report)),
    }
    for name, text in texts.items():
        files.write(directory / name, text)
