"""Results as a table for the eye and as files for programs. It computes no accuracy itself: see `metrics`.

`results` is one dict, the content of `results.json`, with accuracies in percent:
  {"dataset": "cub", "delta": 0.7, "deltas": {"fused": 0.7, …}, "delta_source": "the best H on the validation split",
   "fused": {"T": …, "U": …, "S": …, "H": …, "AUSUC": …}, "general": {…}, "special": {…}}
Branches may be absent; other keys are written to `results.json` and shown nowhere else.
"""

import json
import pathlib

import numpy as np
import pandas as pd

from bgsnet_tf import files
from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import metrics
from bgsnet_tf.names import shown
from bgsnet_tf.text_table import format_table

CURVES = "calibration.csv"
BRANCHES = ("fused", "general", "special")
REFERENCES = {
    "linear": "one linear f_g (Eq. 1) on features before any training",
    "least_squares": "the closed form that --g_start=least_squares starts from, on standardised features before any training",
    "eszsl": "ESZSL on features before any training",
    "eszsl_tuned": "ESZSL on e_g after fine-tuning",
}
ROWS = (*BRANCHES, *REFERENCES)
ATTRIBUTES = "attributes.npz"  # of the test rows, those of test_seen first: branch or reference to predicted attributes (n, A)
COLUMNS = ("T", "U", "S", "H", "AUSUC")

# BGSNet's row of the paper's Table 1, as printed; it has no AUSUC.
PAPER_ROWS = {
    "sun": {"T": 63.9, "U": 45.2, "S": 34.3, "H": 39.0},
    "cub": {"T": 73.3, "U": 60.9, "S": 73.6, "H": 66.7},
    "apy": {"T": 43.8, "U": 31.0, "S": 51.9, "H": 39.7},
    "awa2": {"T": 69.1, "U": 61.0, "S": 81.8, "H": 69.9},
}
PAPER_FOOTNOTES = {"apy": "H as printed; U = 31.0 and S = 51.9 give 38.8"}


def table(results):
    """Text table of `results`: a row per branch with its δ, the paper's row where it has one, and the source of δ."""
    dataset = results["dataset"]
    rows = [(branch, results[branch]) for branch in ROWS if branch in results]
    if dataset in PAPER_ROWS:
        rows.append(("paper *" if dataset in PAPER_FOOTNOTES else "paper", PAPER_ROWS[dataset]))
    lines = [[dataset, *COLUMNS, "δ"]]
    for name, row in rows:
        cells = [f"{row[column]:5.1f}" if column in row else "-" for column in COLUMNS]
        lines.append([name, *cells, f"{results['deltas'][name]:6.2f}" if name in results["deltas"] else "-"])
    lines = [format_table(lines)]
    if dataset in PAPER_FOOTNOTES:
        lines.append(f"* {PAPER_FOOTNOTES[dataset]}")
    lines.append(f"δ: {results['delta_source']}")
    return "\n".join([*lines, *reference_notes(results), *verdicts(results)])


def reference_notes(results):
    """What the references among the rows are, as sentences."""
    there = [f"{name}: {what}" for name, what in REFERENCES.items() if name in results]
    return [f"{'; '.join(there)}; epochs, regularisers and δ of these from the validation split"] if there else []


def verdicts(results):
    """Whether training beat the references, as a sentence each."""
    return [_verdict(name, differences) for name, differences in results.get("fused_less", {}).items()]


def _verdict(name, differences):
    parts = []
    for figure in ("T", "AUSUC"):
        found = differences[figure]
        said = "beats" if found["low"] > 0 else "loses to" if found["high"] < 0 else "cannot be told from"
        parts.append(f"{said} {name} in {figure} ({found['difference']:+.1f}, {found['low']:+.1f} to {found['high']:+.1f})")
    return f"fused {', '.join(parts)}; 95 % intervals over test images"


def per_class_table(class_names, scores, labels_seen, labels_unseen, seen_classes, unseen_classes, deltas):
    """Accuracy of every class that has images, over seen and unseen classes at the branch's δ, in percent.

    Args:
      class_names: C names; the others as `metrics.evaluate_branches`.

    Returns:
      DataFrame with the columns class, split ("seen" or "unseen"), images and one per branch; the mean of a branch
      within a split is its S or U.

    Raises:
      ValueError: as `metrics.evaluate_gzsl`.
    """
    tables = []
    for position, (split, labels) in enumerate((("seen", labels_seen), ("unseen", labels_unseen))):
        classes, images = np.unique(labels, return_counts=True)
        table = {"class": [class_names[c] for c in classes], "split": split, "images": images}
        for branch, pair in scores.items():
            predictions = metrics.predict_gzsl(pair[position], seen_classes, unseen_classes, deltas[branch])
            table[branch] = metrics.class_accuracies(labels, predictions)[2]
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def write_results(directory, results, per_class=None):
    """Writes `results.json`, `results.csv` (a row per branch) and, where it is given, `per_class.csv`, in full precision.

    Args:
      directory: where to; it is made if need be.
      results: see the module.
      per_class: DataFrame of `per_class_table`.

    Raises:
      ValueError: an accuracy is not finite.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    rows = [
        {"dataset": results["dataset"], "branch": branch, **results[branch], "delta": results["deltas"][branch]}
        for branch in ROWS
        if branch in results
    ]
    branches = pd.DataFrame(rows, columns=["dataset", "branch", *COLUMNS, "delta"])
    texts = {
        "results.json": json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "results.csv": branches.to_csv(index=False, lineterminator="\n"),
    }
    if per_class is not None:
        texts["per_class.csv"] = per_class.to_csv(index=False, lineterminator="\n")
    for name, text in texts.items():
        files.write(directory / name, text)


def write_pruning(directory, pruning):
    """Writes `pruning.csv`, a row for each number of kept sub-modules, see `run_page.Evidence`."""
    files.write(pathlib.Path(directory) / "pruning.csv", pruning.to_csv(index=False, lineterminator="\n"))


def write_curves(directory, curves):
    """Writes `calibration.csv`: a row for each stretch of δ, with the U, S and H from `from_delta` to the next row's.

    Args:
      directory: of a run of the validation split. On a test split nobody needs it who does not choose by it.
      curves: branch to `metrics.SeenUnseenCurve`.
    """
    tables = [
        pd.DataFrame(
            {
                "branch": branch,
                "from_delta": np.concatenate([[-np.inf], curve.switches]),
                "U": curve.U,
                "S": curve.S,
                "H": metrics.harmonic_mean(curve.U, curve.S),
            }
        )
        for branch, curve in curves.items()
    ]
    files.write(pathlib.Path(directory) / CURVES, pd.concat(tables).to_csv(index=False, lineterminator="\n"))


def read_curve(directory, branch):
    """The `metrics.SeenUnseenCurve` of a branch from the `calibration.csv` in a folder; None where there is none.

    Raises:
      UserError: where it is damaged.
    """
    path = pathlib.Path(directory) / CURVES
    if not path.is_file():
        return None
    try:
        table = pd.read_csv(path, float_precision="round_trip")
        rows = table[table["branch"] == branch][["from_delta", "U", "S"]].to_numpy(np.float64)
        if not len(rows) or not np.all(np.isfinite(rows[:, 1:])):
            raise ValueError(f"no whole curve of {branch}")
    except (ValueError, KeyError, OSError) as error:  # of pandas too
        raise UserError(f"{path} is damaged ({shown(str(error))}); evaluate.py --run_dir={directory} writes it again") from error
    switches, unseen, seen = rows.T
    return metrics.SeenUnseenCurve(switches[1:], U=unseen, S=seen)
