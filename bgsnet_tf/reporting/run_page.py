"""`report.html`: everything about a run on one page, and its figures as files. It sees arrays, never a network.

Letters: n images of the unseen split, m of them, C classes, A attributes, N sub-modules, K channels.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Optional

import numpy as np
import pandas as pd

from bgsnet_tf import files
from bgsnet_tf.evaluation import analysis, bootstrap, calibration, metrics
from bgsnet_tf.reporting import figures, heat_maps, html_page
from bgsnet_tf.reporting.html_page import text
from bgsnet_tf.reporting.result_tables import COLUMNS, PAPER_FOOTNOTES, PAPER_ROWS, ROWS, reference_notes, verdicts

CONFUSED_PAIRS, IMAGES_OF_A_PAIR = 6, 3
DECISIVE_ATTRIBUTES = 5
FIGURES = ["seen_unseen_curve", "calibration", "classes_unseen", "classes_seen", "confusion", "attributes"]
FIGURES += ["gates", "instance_weights", "weight_histogram"]


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What a report is made of.

    Attributes:
      results: the content of `results.json`, see `report`; also its keys `split`, `seed`, `intervals`, `versions`, `flags`, `stages`
        and, with a special branch, `gates`.
      per_class: `result_tables.per_class_table`.
      curves: branch to its `metrics.SeenUnseenCurve` on the run's split.
      calibration: the fused one on the VALIDATION split; None where that was not evaluated.
      pruning: DataFrame of networks with the 1, 2, …, N widest gates, with the columns kept, threshold (the narrowest gate kept), T,
        U, S, H, multiply_adds (of an image) and parameters; None without gates.
      labels_unseen, unseen_classes: as for `metrics.evaluate_gzsl`.
      attributes: (n, A) fused predicted attributes of the unseen split.
      class_attributes: (C, A), φ.
      class_names, attribute_names: C and A names.
      weights: (m, N, K) instance weights, or None without instance balance.
      load_images: function from (k,) positions in the unseen split to images (k, H, W, 3) uint8; None where the data set has
        features and no images.
      load_maps: function from a position in the unseen split to the maps (h, w, A) of its fused attributes; None where the backbone has
        none.
    """

    results: Mapping
    per_class: pd.DataFrame
    curves: Mapping
    calibration: Optional[metrics.SeenUnseenCurve]
    pruning: Optional[pd.DataFrame]
    labels_unseen: np.ndarray
    unseen_classes: np.ndarray
    attributes: np.ndarray
    class_attributes: np.ndarray
    class_names: tuple
    attribute_names: tuple
    weights: Optional[np.ndarray]
    load_images: Optional[Callable[[np.ndarray], np.ndarray]]
    load_maps: Optional[Callable[[int], np.ndarray]] = None

    @functools.cached_property
    def decisions(self):
        """`analysis.Decision` of every image of the unseen split, none where there is but one unseen class."""
        fixed = self.class_attributes, self.unseen_classes, DECISIVE_ATTRIBUTES
        several = zip(self.attributes, self.labels_unseen) if len(self.unseen_classes) > 1 else []
        return [analysis.decide(i, a, label, *fixed) for i, (a, label) in enumerate(several)]


def write(directory, evidence):
    """Writes `report.html`, and every figure as SVG and PNG in `figures/`; those of an earlier page that this one lacks go.

    Returns:
      the page's path, and those of the figures as PNG.
    """
    directory = pathlib.Path(directory)
    results, drawn = evidence.results, []

    def draw(name, figure, description, caption=""):
        drawn.append(FIGURES[FIGURES.index(name)])
        return html_page.svg(figures.save(figure, directory / "figures", name), description, caption)

    sections = [
        ("results", "Results", f"<div class=row><div>{_results(results)}</div><div>{_curve(evidence, draw)}</div></div>"),
        ("calibration", "Calibration", _calibration(evidence, draw)),
        ("classes", "Classes", _classes(evidence, draw)),
    ]
    if evidence.decisions:
        sections.append(("confusion", "Confusion among unseen classes", _confusion(evidence, draw)))
        sections.append(("examples", "Example predictions", _examples(evidence)))
    sections.append(("attributes", "Attributes", _attributes(evidence, draw)))
    if "gates" in results:
        sections.append(("balance", "Balance", _balance(evidence, draw)))
    if evidence.pruning is not None:
        sections.append(("pruning", "Pruning", _pruning(evidence)))
    sections.append(("run", "Run", _run(results)))
    path = directory / "report.html"
    files.write(path, html_page.page(f"BGSNet on {results['dataset']}: {results['split']} split, seed {results['seed']}", sections))
    for name in set(FIGURES) - set(drawn):
        for kind in figures.KINDS:
            (directory / "figures" / f"{name}.{kind}").unlink(missing_ok=True)
    return path, [directory / "figures" / f"{name}.png" for name in drawn]


def _results(results):
    rows = []
    for branch in ROWS:
        if branch in results:
            cells = [f"{results[branch][name]:.1f}{_interval(results['intervals'][branch].get(name))}" for name in COLUMNS]
            rows.append([branch, *cells, f"{results['deltas'][branch]:.2f}"])
    dataset = results["dataset"]
    if dataset in PAPER_ROWS:
        paper = PAPER_ROWS[dataset]
        rows.append(
            ["paper *" if dataset in PAPER_FOOTNOTES else "paper", *(f"{paper[c]:.1f}" if c in paper else "–" for c in COLUMNS), "–"]
        )
    notes = [
        "Per-class accuracies in percent. T: unseen classes among themselves. U and S: unseen and seen classes among all, "
        "after δ is taken off the scores of seen classes. H: harmonic mean of U and S. AUSUC: area under the curve of U over S.",
        f"Small figures: {bootstrap.CONFIDENCE:.0%} bootstrap intervals over test images within classes; other seeds or classes may "
        "move a figure further.",
        f"δ: {results['delta_source']}.",
        *(f"{sentence}." for sentence in (*reference_notes(results), *verdicts(results))),
    ]
    if "best_H_on_test" in results:
        highest = ", ".join(f"{branch} {value:.1f}" for branch, value in results["best_H_on_test"].items())
        notes.append(f"Highest H over δ, that δ chosen on the test rows themselves, to say how far the δ in use falls short: {highest}.")
    if dataset in PAPER_FOOTNOTES:
        notes.append(f"* {PAPER_FOOTNOTES[dataset]}.")
    return html_page.table(["", *COLUMNS, "δ"], rows) + "".join(f'<p class="quiet">{text(note)}</p>' for note in notes)


def _interval(ends):
    return f"<small>{ends[0]:.1f}–{ends[1]:.1f}</small>" if ends else ""


def _curve(evidence, draw):
    results = evidence.results
    points = {branch: (results[branch]["U"], results[branch]["S"], results["deltas"][branch]) for branch in evidence.curves}
    caption = "Every point of a line is one δ; the markers are the δ of the table."
    return draw("seen_unseen_curve", figures.seen_unseen_curves(evidence.curves, points), "U over S for every δ, a line a branch", caption)


def _calibration(evidence, draw):
    curve, delta = evidence.calibration, evidence.results["deltas"]["fused"]
    if curve is None:
        return (
            "<p>The curve of H over δ belongs to the validation split, where δ is chosen; this run has no validation run below it "
            "(<code>--calibrate</code> makes one). That of a test split is not drawn: it would invite choosing δ by it.</p>"
        )
    figure = figures.calibration(curve, calibration.peak(curve), delta)
    caption = "The validation split, fused branch. Nothing of a test split is in this figure."
    return draw("calibration", figure, "U, S and H over δ on the validation split", caption)


def _classes(evidence, draw):
    parts = []
    for split in ("unseen", "seen"):
        of_split = evidence.per_class[evidence.per_class["split"] == split]
        count = f"{min(len(of_split), figures.MOST_BARS)} of {len(of_split)} {split} classes, worst first"
        figure = figures.class_bars(of_split["class"].tolist(), of_split["fused"].to_numpy(), split == "seen")
        parts.append(draw(f"classes_{split}", figure, f"Accuracy of {count}", count))
    return f"<p>Fused accuracy of each class among all classes. All figures are in per_class.csv.</p><div class=row>{''.join(parts)}</div>"


def _confusion(evidence, draw):
    decisions = evidence.decisions
    names = [evidence.class_names[c] for c in evidence.unseen_classes]
    counts = analysis.confusion(evidence.labels_unseen, np.array([d.chosen for d in decisions]), evidence.unseen_classes)
    figure = draw("confusion", figures.confusion(counts, names), "Confusion matrix of the unseen classes")
    margins = np.array([d.margin for d in decisions])
    cards = []
    for true, predicted, count in analysis.most_confused(counts, CONFUSED_PAIRS):
        label, chosen = evidence.unseen_classes[[true, predicted]]
        wrong = np.array([d.image for d in decisions if (d.label, d.chosen) == (label, chosen)])
        right = np.array([d.image for d in decisions if d.label == d.chosen == chosen], int)
        shown = [(i, "wrong") for i in analysis.typical(margins, wrong, IMAGES_OF_A_PAIR)]
        shown += [(i, "a right one") for i in analysis.typical(margins, right, 1)]
        parts = evidence.attributes[wrong].mean(axis=0) * (evidence.class_attributes[chosen] - evidence.class_attributes[label])
        largest = np.argsort(-np.abs(parts), kind="stable")[:DECISIVE_ATTRIBUTES]
        heading = (
            f"<p><b>{count}</b> of {counts[true].sum()} images of <b>{text(names[true])}</b> given to <b>{text(names[predicted])}</b></p>"
        )
        photos = _images(evidence, shown) + _images(evidence, [], _maps(evidence, shown[0][0], chosen, label, largest))
        cards.append(f"<div class=card>{heading}{photos}{_bars(evidence, largest, parts[largest])}</div>")
    return (
        f"<p>Only unseen classes can be predicted here, as for T. Classes are numbered from the top.</p>{figure}"
        "<h3>Most confused pairs</h3><p>Bars: what each attribute adds to the score of the wrong class over the true one, mean "
        f"over the wrong images; blue speaks for the true class. {_legend(evidence, 'Below the photos, the first one again. ')}</p>"
        f"<div class=row>{''.join(cards) or '<p>None.</p>'}</div>"
    )


def _examples(evidence):
    cards = []
    for verdict, d in analysis.examples(evidence.decisions):
        name, rival = text(evidence.class_names[d.chosen]), text(evidence.class_names[d.rival])
        truth = "" if d.label in (d.chosen, d.rival) else f"<p>is: {text(evidence.class_names[d.label])}</p>"
        rest = f"{truth}<p>next{', the true class' if d.label == d.rival else ''}: {rival}</p>"
        heading = f"<p><b class={verdict}>{verdict}</b>, {d.margin:.2f} ahead</p><p>read as: <b>{name}</b></p>{rest}"
        photos = _images(evidence, [(d.image, "")], _maps(evidence, d.image, d.chosen, d.rival, d.attributes))
        cards.append(f"<div class=card>{photos}{heading}{_bars(evidence, d.attributes, d.contributions)}</div>")
    return (
        "<p>Images of unseen classes among unseen classes, from a clear to a narrow decision. Bars: what each attribute adds to the "
        "score of the predicted class over the next one; blue speaks for the next one. An attribute of the next class that is "
        f"read as absent, below 0, speaks for the predicted one. {_legend(evidence)}</p><div class=row>{''.join(cards)}</div>"
    )


def _images(evidence, shown, more=""):
    """Images of (position, caption) pairs as HTML, and more pictures behind them."""
    if evidence.load_images is None or not (shown or more):
        return ""
    loaded = evidence.load_images(np.array([i for i, _ in shown])) if shown else []
    names = [evidence.class_names[evidence.labels_unseen[i]] for i, _ in shown]
    parts = [html_page.picture(pixels, name, caption) for pixels, name, (_, caption) in zip(loaded, names, shown)]
    return f"<div class=images>{''.join(parts)}{more}</div>"


def _maps(evidence, image, chosen, rival, attributes):
    """Heat maps of the most decisive attributes of an image, as HTML."""
    if evidence.load_maps is None:
        return ""
    _, shown = heat_maps.decisive(evidence, image, chosen, rival, attributes)
    names = [evidence.attribute_names[a] for a in attributes]
    return "".join(html_page.picture(pixels, f"map of {name}", name) for pixels, name in zip(shown, names))


def _legend(evidence, before=""):
    return "" if evidence.load_maps is None else before + heat_maps.LEGEND


def _bars(evidence, attributes, values):
    return html_page.bars([evidence.attribute_names[a] for a in attributes], values, max(np.abs(values).max(), 1e-9))


def _attributes(evidence, draw):
    quality = analysis.attribute_quality(evidence.attributes, evidence.labels_unseen, evidence.class_attributes)
    known = ~np.isnan(quality.correlation)
    if not known.any():
        return "<p>No attribute differs between the unseen classes.</p>"
    figure = figures.attribute_bars(evidence.attribute_names, quality)
    summary = (
        f"Over images of unseen classes: fused predicted attributes against those of the true class. Mean correlation "
        f"{quality.correlation[known].mean():.2f}, mean average precision {quality.average_precision[known].mean():.2f} "
        f"({quality.positives[known].mean():.2f} by chance), of {known.sum()} of {len(known)} attributes; the others are "
        "the same in all unseen classes."
    )
    return f"<p>{summary}</p>" + draw("attributes", figure, "Correlation and average precision of each attribute")


def _balance(evidence, draw):
    gates = evidence.results["gates"]
    binary = analysis.gate_figures(gates)
    parts = [draw("gates", figures.gates(gates), "Gate of each sub-module")]
    rows = [
        ["gates over one half", f"{binary['over_half']}/{len(gates)}"],
        [f"gates below {analysis.NEAR_ZERO}", f"{binary['near_zero']}/{len(gates)}"],
        [f"gates above {analysis.NEAR_ONE}", f"{binary['near_one']}/{len(gates)}"],
    ]
    note = "<p>There is no instance balance: every instance weight is 1.</p>"
    if evidence.weights is not None:
        n, modules = evidence.weights.shape[:2]
        sampled = figures.instance_weights(evidence.weights, evidence.results["seed"])
        caption = f"Channels drawn at random; over {n} images: the median, and 5 to 95 %."
        parts.append(draw("instance_weights", sampled, "Instance weights of sampled channels", caption))
        histogram = figures.weight_histogram(evidence.weights)
        parts.append(draw("weight_histogram", histogram, "Histogram of all instance weights", "All weights."))
        numbers = analysis.weight_figures(evidence.weights)
        rows += [
            [f"instance weights below {analysis.NEAR_ZERO}", f"{numbers['near_zero']:.0%}"],
            [f"instance weights above {analysis.NEAR_ONE}", f"{numbers['near_one']:.0%}"],
            ["channels that one sub-module alone attends to (mean weight over .5)", f"{numbers['alone']:.0%}"],
            [f"sub-modules that share a channel: (Σw)²/Σw², from 1 to {modules}", f"{numbers['effective_modules']:.2f}"],
            ["variance of weights between sub-modules rather than images", f"{numbers['fixed']:.0%}"],
        ]
        note = ""
    return f"<div class=row>{''.join(parts)}</div>{note}<h3>How binary, how diverse</h3>" + html_page.table(["", ""], rows)


def _pruning(evidence):
    """The table of the pruned networks, whole network first."""
    pruned = evidence.pruning.iloc[::-1]
    whole, rows = pruned.iloc[0], []
    for _, network in pruned.iterrows():
        costs = (network[name] / whole[name] for name in ("multiply_adds", "parameters"))
        sizes = (f"{network[name] / 1e6:.1f}<small>{share:.0%}</small>" for name, share in zip(("multiply_adds", "parameters"), costs))
        rows.append([f"{network['kept']:.0f}", f"{network['threshold']:.3f}", *(f"{network[name]:.1f}" for name in "TUSH"), *sizes])
    header = ["kept", "gate", *"TUSH", "10⁶ multiply-adds", "10⁶ weights"]
    return (
        "<p>The same network with the sub-modules of the widest gates alone, nothing trained again, at the same δ: fused "
        f"accuracies on the test rows of the {text(evidence.results['split'])} split, and what an image costs. Gate: the "
        f"narrowest one kept. The usual threshold of 0.5 keeps {(pruned['threshold'] >= 0.5).sum()}.</p><p>This is an analysis: "
        "nothing was chosen by it. To choose a threshold, look at this table of a validation run.</p>"
        f"{html_page.table(header, rows)}"
    )


def _run(results):
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    flags = "".join(f"<li>--{text(f'{name}={value}')}</li>" for name, value in results["flags"].items())
    stages = [
        [text(name), _number(of_stage["seconds"], 60, "min"), _number(of_stage["peak_memory_bytes"], 1e9, "GB")]
        for name, of_stage in results["stages"].items()
    ]
    return (
        f"<p>Seed {results['seed']}. {text(versions)}.</p><h3>Training</h3>{html_page.table(['stage', 'time', 'peak memory'], stages)}"
        f"<h3>Configuration</h3><ul class=flags>{flags}</ul>"
    )


def _number(value, unit, name):
    return "-" if value is None else f"{value / unit:.1f} {name}"
