"""What the networks say about the registered mechanisms, as one dict, and the files that show it."""

import json
import math
import pathlib

import numpy as np
import pandas as pd

from bgsnet_tf import files
from bgsnet_tf.evaluation import mechanisms as statistics
from bgsnet_tf.evaluation import verdicts
from bgsnet_tf.experiments.mechanisms import registered
from bgsnet_tf.reporting import figures, html_page
from bgsnet_tf.reporting.html_page import Section
from bgsnet_tf.text_table import format_markdown, format_table

STEM, SEARCH = "mechanisms", "search.md"  # files of the experiment; the search's text, where there is one, is part of the document


def evaluate(networks, draws, seeds):
    """Findings and verdicts of all mechanisms, whole and broken, as a list of dicts; and a row for every network.

    Args:
      networks: `networks.Networks`, measured for so many draws and seeds.
    """
    tested = [(mechanism, broken) for group, broken in ((registered.MECHANISMS, False), (registered.BROKEN, True)) for mechanism in group]
    values, whole, rows = {}, {}, []
    for draw in range(draws):
        of_draw = networks.of_draw(draw, seeds)
        for mechanism, _ in tested:
            needed = {need for condition in mechanism.conditions for need in condition.needs}
            whole.setdefault(mechanism.name, []).append(sum(needed <= set(seed.networks) for seed in of_draw))
            for condition in mechanism.conditions:
                values.setdefault((mechanism.name, condition.text), []).append(value_of_draw(condition, of_draw))
        rows += [
            _row(networks.first_draw + draw, seed, *of_network) for seed, own in enumerate(of_draw) for of_network in own.networks.items()
        ]
    found = []
    for mechanism, broken in tested:
        findings = [verdicts.find(values[mechanism.name, condition.text], condition.threshold) for condition in mechanism.conditions]
        found.append(
            {
                "name": mechanism.name,
                "prediction": mechanism.prediction,
                "broken": broken,
                "verdict": verdicts.verdict(findings, sum(of >= registered.SEEDS for of in whole[mechanism.name]) >= registered.DRAWS),
                "seeds_of_draws": whole[mechanism.name],
                "conditions": [
                    {"text": condition.text, "threshold": condition.threshold, **_for_json(finding)}
                    for condition, finding in zip(mechanism.conditions, findings)
                ],
            }
        )
    return found, rows


def value_of_draw(condition, of_draw):
    """The statistic of a `terms.Condition` for a draw: the mean over its `Seed`s that have one, else NaN; networks may be missing."""
    whole = [seed for seed in of_draw if all(need in seed.networks for need in condition.needs)]
    if condition.pooled:
        return float(condition.statistic(whole)) if whole else math.nan
    known = [value for value in map(condition.statistic, whole) if np.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


def _for_json(finding):
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in vars(finding).items()}


def _row(draw, seed, key, measured):
    row = {"draw": draw, "seed": seed, "situation": key[0], "network": key[1], "T general": statistics.accuracy(measured, measured.general)}
    if measured.gates is None:
        return row
    branches = {f"T {branch}": statistics.accuracy(measured, getattr(measured, branch)) for branch in ("special", "fused")}
    shares = {"w^t: share of images": statistics.share_of_images(measured), "mean w^t": float(measured.weights.mean())}
    return {**row, **branches, **shares, "sub-modules kept": statistics.kept(measured)}


def write(directory, report):
    """Writes mechanisms.csv (a row a condition and draw), networks.csv, mechanisms.json, mechanisms.md, report.html and `figures/`."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for number, mechanism in enumerate(mechanism for mechanism in report["mechanisms"] if not mechanism["broken"]):
        name = f"mechanism_{number + 1}"
        pictures[name] = figures.save(figures.conditions(mechanism["conditions"]), directory / "figures", name), mechanism["name"]
    rows = [
        {"mechanism": mechanism["name"], "condition": condition["text"], "draw": draw, "value": value}
        for mechanism in report["mechanisms"]
        for condition in mechanism["conditions"]
        for draw, value in enumerate(condition["values"])
    ]
    texts = {
        f"{STEM}.csv": pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"),
        "networks.csv": pd.DataFrame(report["rows"]).to_csv(index=False, lineterminator="\n"),
        f"{STEM}.json": json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        f"{STEM}.md": _document(report, list(pictures), directory / SEARCH),
        "report.html": _page(report, pictures),
    }
    for name, text in texts.items():
        files.write(directory / name, text)


def summary(report):
    """A text table of verdicts."""
    return format_table([["mechanism", "verdict"], *_verdicts(report)]) + "\n" + power(report)


def power(report):
    """Sentences about how many draws and seeds there are."""
    counts = [sum(of_draw for of_draw in mechanism["seeds_of_draws"]) for mechanism in report["mechanisms"]]
    asked = report["draws"] * report["seeds"]
    text = f"{report['draws']} draws of classes, {report['seeds']} seeds each; "
    text += f"a verdict takes {registered.DRAWS} draws of {registered.SEEDS} seeds."
    if min(counts) < asked:
        text += f" Not all networks are measured: of {asked} seeds in all, a mechanism has {min(counts)} to {max(counts)}."
    if any(mechanism["verdict"] != verdicts.TOO_FEW for mechanism in report["mechanisms"]):
        return text
    return f"{text} So nothing here counts as shown or refuted."


def _verdicts(report):
    return [[("broken: " if m["broken"] else "") + m["name"], m["verdict"]] for m in report["mechanisms"]]


def _conditions(mechanism):
    """A table of text, header first."""
    rows = [["predicted to lie above the threshold", "threshold", "draws", "mean (95 % interval)", "condition"]]
    for condition in mechanism["conditions"]:
        mean = "-" if condition["mean"] is None else f"{condition['mean']:.2f}"
        ends = "" if condition["low"] is None else f" ({condition['low']:.2f} to {condition['high']:.2f})"
        counted = str(len(condition["values"]))
        rows.append([condition["text"], f"{condition['threshold']:g}", counted, mean + ends, condition["status"]])
    return rows


def _document(report, pictures, search):
    parts = [
        "# The mechanisms, tested",
        "For whoever wants to know which of the paper's claims were seen at work here, on [images with dials](dials.md).",
        f"Written by a program on {report['date']}; change nothing by hand.",
        f"    {report['command']}",
        power(report),
        "What is predicted, and what counts, stands in `bgsnet_tf/experiments/mechanisms/registered.py`. It was committed before results.",
        format_markdown([["mechanism", "verdict"], *_verdicts(report)], texts=2),
    ]
    whole, broken = ([m for m in report["mechanisms"] if m["broken"] == kind] for kind in (False, True))
    for mechanism, picture in zip(whole, pictures):
        parts += [f"## {mechanism['name']}: {mechanism['verdict']}", mechanism["prediction"], format_markdown(_conditions(mechanism))]
        parts.append(f"![{mechanism['name']}: a point a draw, the mean and its interval, the threshold dashed](figures/{picture}.svg)")
    parts.append("## Broken on purpose\n\nThe same tests of mechanisms that cannot work. None may be shown.")
    for mechanism in broken:
        parts += [f"### {mechanism['name']}: {mechanism['verdict']}", mechanism["prediction"], format_markdown(_conditions(mechanism))]
    if search.exists():
        parts.append(search.read_text(encoding="utf-8").rstrip())
    return "\n\n".join(parts) + "\n"


def _page(report, pictures):
    drawn = [html_page.svg(contents, description, description) for contents, description in pictures.values()]
    verdict_rows = [[name, verdict.replace(" ", "\N{NO-BREAK SPACE}")] for name, verdict in _verdicts(report)]
    notes = [power(report)] + [
        f"{m['name']}: {row[0]}: {row[3]}, threshold {row[1]}, {row[4]}." for m in report["mechanisms"] for row in _conditions(m)[1:]
    ]
    names = list(dict.fromkeys(name for row in report["rows"] for name in row))
    cells = [[_cell(row.get(name)) for name in names] for row in report["rows"]]
    sections = {
        "results": Section("Verdicts", {"header": ["mechanism", "verdict"], "rows": verdict_rows, "notes": notes, "figures": drawn}),
        "runs": Section("Every network", {"header": names, "rows": cells}),
        "configuration": Section(
            "How it was made",
            {
                "command": report["command"],
                "seeds": f"0 to {report['seeds'] - 1}",
                "versions": ", ".join(f"{name} {version}" for name, version in report["versions"].items()),
                "base": "all networks",
                "flags": report["flags"],
            },
        ),
    }
    return html_page.render("experiment.html", "BGSNet: the mechanisms, tested", sections)


def _cell(value):
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
