"""`report.html`: everything about a run on one page, and its figures as files. It sees arrays, never a network.

Letters: n images of the unseen split, m of them, C classes, A attributes, N sub-modules, K channels.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Optional

import numpy as np
import pandas as pd

from bgsnet_tf import files
from bgsnet_tf.aside import at_once
from bgsnet_tf.evaluation import analysis, bootstrap, calibration, metrics
from bgsnet_tf.reporting import balance_section, figures, heat_maps, html_page
from bgsnet_tf.reporting.html_page import Section
from bgsnet_tf.reporting.result_tables import COLUMNS, PAPER_FOOTNOTES, PAPER_ROWS, ROWS, reference_notes, verdicts

CONFUSED_PAIRS, IMAGES_OF_A_PAIR = 6, 3
DECISIVE_ATTRIBUTES = 5
SECTIONS = ["results", "calibration", "classes", "confusion", "examples", "attributes", "balance", "pruning", "run"]
FIGURES = ["seen_unseen_curve", "calibration", "finetuning", "classes_unseen", "classes_seen", "confusion", "attributes"]
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
      finetuning: epoch of fine-tuning, from 1, to T and AUSUC on the VALIDATION split; empty where they are not on record.
      labels_unseen, unseen_classes: as for `metrics.evaluate_gzsl`.
      attributes: (n, A) fused predicted attributes of the unseen split.
      class_attributes: (C, A), φ.
      class_names, attribute_names: C and A names.
      weights: (m, N, K) instance weights, or None without instance balance.
      balance: the last row of the table of `training.balance_summary`, as a dict; None where there is none.
      load_pruning: function that returns a DataFrame of networks with the 1, 2, …, N widest gates, with the columns kept, threshold (the
        narrowest gate kept), T, U, S, H, multiply_adds (of an image) and parameters; None without gates.
      load_images: function from (k,) positions in the unseen split to images (k, H, W, 3) uint8; None where the data set has
        features and no images.
      load_maps: function from a tuple of k positions in the unseen split to the maps (k, h, w, A) of their fused attributes; None where
        the backbone has none.
    """

    results: Mapping
    per_class: pd.DataFrame
    curves: Mapping
    calibration: Optional[metrics.SeenUnseenCurve]
    finetuning: Mapping
    labels_unseen: np.ndarray
    unseen_classes: np.ndarray
    attributes: np.ndarray
    class_attributes: np.ndarray
    class_names: tuple
    attribute_names: tuple
    weights: Optional[np.ndarray]
    balance: Optional[Mapping]
    load_pruning: Optional[Callable[[], pd.DataFrame]]
    load_images: Optional[Callable[[np.ndarray], np.ndarray]]
    load_maps: Optional[Callable[[tuple], np.ndarray]] = None

    @functools.cached_property
    def decisions(self):
        """`analysis.Decision` of every image of the unseen split, none where there is but one unseen class."""
        fixed = self.class_attributes, self.unseen_classes, DECISIVE_ATTRIBUTES
        several = zip(self.attributes, self.labels_unseen) if len(self.unseen_classes) > 1 else []
        return [analysis.decide(i, a, label, *fixed) for i, (a, label) in enumerate(several)]


def write(directory, evidence, begin=at_once):
    """Writes `report.html`, and every figure as SVG and PNG in `figures/`; those of an earlier page that this one lacks go.

    Args:
      directory: of the run.
      evidence: `Evidence`.
      begin: as `Aside.begin`: how a figure is drawn.

    Returns:
      the page's path, and those of the figures as PNG.
    """
    directory = pathlib.Path(directory)
    results, drawn = evidence.results, []

    def draw(name, make, description, caption=""):
        drawn.append(FIGURES[FIGURES.index(name)])
        return html_page.Drawing(begin(figures.draw, make, directory / "figures", name), description, caption)

    sections = {  # what draws comes first: figures may be drawn beside the rest
        "results": Section("Results", _results(evidence, draw)),
        "calibration": Section("Calibration", _calibration(evidence, draw)),
        "classes": Section("Classes", _classes(evidence, draw)),
        "attributes": Section("Attributes", _attributes(evidence, draw)),
    }
    if "gates" in results:
        sections["balance"] = Section("Balance", balance_section.section(evidence, draw))
    if evidence.decisions:
        sections["confusion"] = Section("Confusion among unseen classes", _confusion(evidence, draw))
        sections["examples"] = Section("Example predictions", _examples(evidence))
    if evidence.load_pruning is not None:
        sections["pruning"] = Section("Pruning", _pruning(evidence))
    sections["run"] = Section("Run", _run(results))
    path = directory / "report.html"
    title = f"BGSNet on {results['dataset']}: {results['split']} split, seed {results['seed']}"
    files.write(path, html_page.render("run.html", title, {name: sections[name] for name in SECTIONS if name in sections}))
    for name in set(FIGURES) - set(drawn):
        for kind in figures.KINDS:
            (directory / "figures" / f"{name}.{kind}").unlink(missing_ok=True)
    return path, [directory / "figures" / f"{name}.png" for name in drawn]


def _results(evidence, draw):
    results, dataset = evidence.results, evidence.results["dataset"]
    rows = []
    for branch in ROWS:
        if branch in results:
            cells = [f"{results[branch][name]:.1f}{_interval(results['intervals'][branch].get(name))}" for name in COLUMNS]
            rows.append([branch, *cells, f"{results['deltas'][branch]:.2f}"])
    if dataset in PAPER_ROWS:
        paper = PAPER_ROWS[dataset]
        name = "paper *" if dataset in PAPER_FOOTNOTES else "paper"
        rows.append([name, *(f"{paper[c]:.1f}" if c in paper else "–" for c in COLUMNS), "–"])
    points = {branch: (results[branch]["U"], results[branch]["S"], results["deltas"][branch]) for branch in evidence.curves}
    return {
        "header": ["", *COLUMNS, "δ"],
        "rows": rows,
        "confidence": f"{bootstrap.CONFIDENCE:.0%}",
        "notes": [f"δ: {results['delta_source']}", *reference_notes(results), *verdicts(results)],
        "best_H_on_test": ", ".join(f"{branch} {value:.1f}" for branch, value in results.get("best_H_on_test", {}).items()),
        "footnote": PAPER_FOOTNOTES.get(dataset),
        "curves": draw(
            "seen_unseen_curve",
            partial(figures.seen_unseen_curves, evidence.curves, points),
            "U over S for every δ, a line a branch",
            "Every point of a line is one δ; the markers are the δ of the table.",
        ),
    }


def _interval(ends):
    return f" {ends[0]:.1f}–{ends[1]:.1f}" if ends else ""


def _calibration(evidence, draw):
    curve, delta = evidence.calibration, evidence.results["deltas"]["fused"]
    drawn = []
    if curve is not None:
        figure = partial(figures.calibration, curve, calibration.peak(curve), delta)
        caption = "The validation split, fused branch. Nothing of a test split is in this figure."
        drawn.append(draw("calibration", figure, "U, S and H over δ on the validation split", caption))
    if len(evidence.finetuning) > 1:
        caption = "The validation split, GNet before meta-training. Where AUSUC falls, longer training forgets unseen classes."
        figure = partial(figures.finetuning, evidence.finetuning)
        drawn.append(draw("finetuning", figure, "T and AUSUC over epochs of fine-tuning", caption))
    return {"figures": drawn}


def _classes(evidence, draw):
    drawn = []
    for split in ("unseen", "seen"):
        of_split = evidence.per_class[evidence.per_class["split"] == split]
        count = f"{min(len(of_split), figures.MOST_BARS)} of {len(of_split)} {split} classes, worst first"
        figure = partial(figures.class_bars, of_split["class"].tolist(), of_split["fused"].to_numpy(), split == "seen")
        drawn.append(draw(f"classes_{split}", figure, f"Accuracy of {count}", count))
    return {"figures": drawn}


def _confusion(evidence, draw):
    decisions = evidence.decisions
    names = [evidence.class_names[c] for c in evidence.unseen_classes]
    counts = analysis.confusion(evidence.labels_unseen, np.array([d.chosen for d in decisions]), evidence.unseen_classes)
    figure = draw("confusion", partial(figures.confusion, counts, names), "Confusion matrix of the unseen classes")
    margins = np.array([d.margin for d in decisions])
    pairs, wanted = [], []
    for true, predicted, count in analysis.most_confused(counts, CONFUSED_PAIRS):
        label, chosen = evidence.unseen_classes[[true, predicted]]
        wrong = np.array([d.image for d in decisions if (d.label, d.chosen) == (label, chosen)])
        right = np.array([d.image for d in decisions if d.label == d.chosen == chosen], int)
        shown = [(i, "wrong") for i in analysis.typical(margins, wrong, IMAGES_OF_A_PAIR)]
        shown += [(i, "a right one") for i in analysis.typical(margins, right, 1)]
        parts = evidence.attributes[wrong].mean(axis=0) * (evidence.class_attributes[chosen] - evidence.class_attributes[label])
        largest = np.argsort(-np.abs(parts), kind="stable")[:DECISIVE_ATTRIBUTES]
        wanted.append((shown[0][0], chosen, label, largest))
        pairs.append(
            {
                "wrong": count,
                "images": counts[true].sum(),
                "true": names[true],
                "predicted": names[predicted],
                "photos": _photos(evidence, shown),
                "bars": _named(evidence, largest, parts[largest]),
            }
        )
    pairs = [{**pair, "maps": maps} for pair, maps in zip(pairs, _maps(evidence, wanted))]
    return {"figure": figure, "pairs": pairs, "legend": _legend(evidence)}


def _examples(evidence):
    examples = [
        {
            "verdict": verdict,
            "margin": d.margin,
            "label": evidence.class_names[d.label],
            "chosen": evidence.class_names[d.chosen],
            "rival": evidence.class_names[d.rival],
            "photos": _photos(evidence, [(d.image, "")]),
            "maps": maps,
            "bars": _named(evidence, d.attributes, d.contributions),
        }
        for (verdict, d), maps in zip(analysis.examples(evidence.decisions), _maps(evidence, heat_maps.of_examples(evidence.decisions)))
    ]
    return {"examples": examples, "legend": _legend(evidence)}


def _photos(evidence, shown):
    """Pictures of (position, caption) pairs."""
    if evidence.load_images is None:
        return []
    loaded = evidence.load_images(np.array([i for i, _ in shown]))
    names = [evidence.class_names[evidence.labels_unseen[i]] for i, _ in shown]
    return [html_page.photo(pixels, name, caption) for pixels, name, (_, caption) in zip(loaded, names, shown)]


def _maps(evidence, wanted):
    """For each of some images the pictures of its heat maps; `wanted` is as for `heat_maps.decisive`."""
    if evidence.load_maps is None:
        return [[] for _ in wanted]
    names = [[evidence.attribute_names[a] for a in attributes] for *_, attributes in wanted]
    return [
        [html_page.photo(pixels, f"map of {name}", name) for pixels, name in zip(shown, of_image)]
        for (_, shown), of_image in zip(heat_maps.decisive(evidence, wanted), names)
    ]


def _legend(evidence):
    return "" if evidence.load_maps is None else heat_maps.LEGEND


def _named(evidence, attributes, values):
    return [(evidence.attribute_names[a], float(value)) for a, value in zip(attributes, values)]


def _attributes(evidence, draw):
    quality = analysis.attribute_quality(evidence.attributes, evidence.labels_unseen, evidence.class_attributes)
    known = ~np.isnan(quality.correlation)
    if not known.any():
        return {"figure": None}
    means = {name: getattr(quality, name)[known].mean() for name in ("correlation", "average_precision", "positives")}
    figure = partial(figures.attribute_bars, evidence.attribute_names, quality)
    drawn = draw("attributes", figure, "Correlation and average precision of each attribute")
    return {**means, "known": known.sum(), "all": len(known), "figure": drawn}


def _pruning(evidence):
    """The table of the pruned networks, whole network first."""
    pruned = evidence.load_pruning().iloc[::-1]
    whole, rows = pruned.iloc[0], []
    for _, network in pruned.iterrows():
        sizes = [f"{network[name] / 1e6:.1f} {network[name] / whole[name]:.0%}" for name in ("multiply_adds", "parameters")]
        rows.append([f"{network['kept']:.0f}", f"{network['threshold']:.3f}", *(f"{network[name]:.1f}" for name in "TUSH"), *sizes])
    return {
        "split": evidence.results["split"],
        "usual": (pruned["threshold"] >= 0.5).sum(),
        "header": ["kept", "gate", *"TUSH", "10⁶ multiply-adds", "10⁶ weights"],
        "rows": rows,
    }


def _run(results):
    return {
        "seed": results["seed"],
        "versions": ", ".join(f"{name} {version}" for name, version in results["versions"].items()),
        "stages": [
            [name, _number(of_stage["seconds"], 60, "min"), _number(of_stage["peak_memory_bytes"], 1e9, "GB")]
            for name, of_stage in results["stages"].items()
        ],
        "flags": results["flags"],
    }


def _number(value, unit, name):
    return "-" if value is None else f"{value / unit:.1f} {name}"
