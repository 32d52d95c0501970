"""The figures of a report, from arrays alone. Matplotlib is loaded when the first one is drawn: it takes a second.

Figures are drawn narrow, so that their letters stay legible on a telephone. Colours are Okabe and Ito's, which the
colour-blind can tell apart; line styles and markers repeat what colours say, for prints in grey.
Letters: n images, C classes, A attributes, N sub-modules, K channels.
"""

import contextlib
import io
import pathlib

import numpy as np

from bgsnet_tf import files
from bgsnet_tf.evaluation import metrics

WIDTH = 4.6  # inches
BRANCH_STYLES = {
    "fused": ("#0072B2", "-", "o"),
    "general": ("#D55E00", "--", "s"),
    "special": ("#009E73", "-.", "^"),
    "linear": ("#CC79A7", ":", "D"),
    "least_squares": ("#F0E442", ":", "X"),
    "eszsl": ("#56B4E9", ":", "v"),
    "eszsl_tuned": ("#999999", ":", "P"),
}
SEEN_COLOUR, UNSEEN_COLOUR, NEUTRAL, ACCENT = "#E69F00", "#0072B2", "#666666", "#D55E00"
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # a $ in a class's name is a dollar
    "svg.hashsalt": "bgsnet",  # equal figures give equal files
}
MOST_BARS = 30  # of classes, those of the lowest accuracy
MOST_NAMES = 60
NAME_LENGTH = 40
PNG_DPI = 200
KINDS = ("png", "svg")  # of files that a figure is saved as


@contextlib.contextmanager
def _figure(height, **grid):
    import matplotlib
    from matplotlib.figure import Figure  # a figure without pyplot keeps no global state and draws with Agg

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height))
        yield figure, figure.subplots(**grid)


def seen_unseen_curves(curves, points):
    """U over S for every δ, a line a branch, with a marker at the chosen δ.

    Args:
      curves: branch to `metrics.SeenUnseenCurve`.
      points: branch to its (U, S, δ).
    """
    with _figure(3.8) as (figure, axes):
        for branch, curve in curves.items():
            colour, line, marker = BRANCH_STYLES[branch]
            unseen, seen, delta = points[branch]
            axes.plot(curve.S, curve.U, line, color=colour)
            axes.plot(seen, unseen, marker, color=colour, markersize=8, markeredgecolor="black")
            axes.plot([], [], line, marker=marker, color=colour, label=f"{branch}: δ {delta:.2f}, AUSUC {curve.area:.1f}")
        axes.set(xlabel="S: accuracy on seen classes (%)", ylabel="U: accuracy on unseen classes (%)", xlim=(0, 101), ylim=(0, 101))
        axes.legend(loc="lower left")
    return figure


def calibration(curve, peak, delta):
    """U, S and H over δ, where H peaks, and the δ in use.

    Args:
      curve: `metrics.SeenUnseenCurve` on the validation split.
      peak: the δ of its highest H.
      delta: the δ in use.
    """
    harmonic = metrics.harmonic_mean(curve.U, curve.S)
    ends = np.concatenate([curve.switches, [peak, delta]])
    edges = np.concatenate([[ends.min()], curve.switches, [ends.max()]])
    with _figure(3.2) as (figure, axes):
        lines = (("U", curve.U, UNSEEN_COLOUR, "--"), ("S", curve.S, SEEN_COLOUR, "-."), ("H", harmonic, "black", "-"))
        for name, values, colour, line in lines:
            axes.plot(edges, np.append(values, values[-1]), line, color=colour, label=name, drawstyle="steps-post")
        highest = harmonic[np.searchsorted(curve.switches, peak)]
        axes.plot(peak, highest, "o", color=ACCENT, label=f"highest H, {highest:.1f}")
        axes.axvline(delta, color=NEUTRAL, linestyle=":", label=f"δ in use, {delta:.2f}")
        axes.set(xlabel="δ taken off the scores of seen classes (validation split)", ylabel="accuracy (%)", ylim=(0, 101))
        axes.legend(fontsize=8)
    return figure


def finetuning(validation):
    """T and AUSUC of GNet after every epoch of fine-tuning.

    Args:
      validation: epoch, from 1, to T and AUSUC in percent on the validation split.
    """
    epochs = sorted(validation)
    best = max(epochs, key=lambda epoch: validation[epoch]["AUSUC"])
    with _figure(2.6) as (figure, axes):
        for name, colour in (("T", UNSEEN_COLOUR), ("AUSUC", "black")):
            axes.plot(epochs, [validation[epoch][name] for epoch in epochs], "o-", color=colour, label=name, markersize=3)
        axes.axvline(best, color=NEUTRAL, linestyle=":", label=f"highest AUSUC, epoch {best}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="epochs of fine-tuning (validation split, GNet)", ylabel="percent")
        axes.legend(fontsize=8)
    return figure


def class_bars(names, accuracies, seen):
    """Accuracy of each class as a bar, worst on top; of more than `MOST_BARS` classes, only the worst.

    Args:
      names: of the classes.
      accuracies: in percent.
      seen: whether they are seen classes.
    """
    order = np.argsort(accuracies, kind="stable")
    shown = order[:MOST_BARS]
    with _figure(0.7 + 0.17 * len(shown)) as (figure, axes):
        bars = axes.barh(np.arange(len(shown)), np.asarray(accuracies)[shown], color=SEEN_COLOUR if seen else UNSEEN_COLOUR)
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=7)
        axes.axvline(np.mean(accuracies), color=NEUTRAL, linestyle="--", linewidth=1)
        axes.set_yticks(np.arange(len(shown)), [_short(names[i]) for i in shown], fontsize=7)
        axes.invert_yaxis()
        axes.margins(y=0.01)
        axes.set(xlim=(0, 108), xlabel=f"accuracy (%); dashed: the mean, {'S' if seen else 'U'}")
    return figure


def confusion(counts, names):
    """Confusion matrix (C, C) in shares of each row; classes by name on the left, by their number below."""
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    named = len(names) <= MOST_NAMES
    with _figure(WIDTH * (0.95 if named else 1.15)) as (figure, axes):
        image = axes.imshow(shares, cmap="cividis_r", vmin=0, vmax=100, aspect="auto")
        figure.colorbar(image, ax=axes, location="bottom", label="% of the true class", shrink=0.6, aspect=30)
        axes.set(xlabel="predicted class")
        if named:
            numbers = np.arange(len(names))
            step = 1 if len(names) <= 12 else 5
            axes.set_yticks(
                numbers, [f"{_short(name, 24)} {i}" for i, name in enumerate(names)], fontsize=np.clip(200 / len(names), 3.5, 8)
            )
            axes.set_xticks(numbers[::step], numbers[::step])
        else:
            axes.set(ylabel="true class")
    return figure


def gates(values):
    """The N gates as bars, with the threshold of one half."""
    with _figure(2.4) as (figure, axes):
        axes.bar(np.arange(len(values)), values, color=[UNSEEN_COLOUR if value > 0.5 else NEUTRAL for value in values])
        axes.axhline(0.5, color="black", linestyle="--", linewidth=1)
        for i, value in enumerate(values):
            axes.annotate(f"{value:.2f}", (i, value), ha="center", va="bottom", fontsize=8)
        axes.set(xlabel="sub-module", ylabel="gate", ylim=(0, 1.1))
        axes.set_xticks(np.arange(len(values)))
    return figure


def instance_weights(quantiles, channels):
    """Instance weights of up to four channels, by their numbers: quantiles (3, N, channels), drawn as a line from low to high and a dot."""
    numbers = np.arange(quantiles.shape[1])
    with _figure(3.6, nrows=2, ncols=2, sharex=True, sharey=True) as (figure, axes):
        for axis, channel, (low, middle, high) in zip(axes.flat, channels, np.moveaxis(quantiles, -1, 0)):
            axis.vlines(numbers, low, high, color=UNSEEN_COLOUR, linewidth=5, alpha=0.45)
            axis.plot(numbers, middle, "o", color=UNSEEN_COLOUR, markersize=5)
            axis.set_title(f"channel {channel}")
            axis.set_ylim(-0.03, 1.03)
            axis.set_xticks(numbers)
        figure.supxlabel("sub-module", fontsize=9)
        figure.supylabel("instance weight", fontsize=9)
    return figure


def weight_histogram(counts, edges):
    """Histogram of all instance weights, as `np.histogram` gives it."""
    with _figure(2.4) as (figure, axes):
        axes.bar(edges[:-1], 100 * counts / counts.sum(), width=np.diff(edges), align="edge", color=UNSEEN_COLOUR, edgecolor="white")
        axes.set(xlabel="instance weight", ylabel="% of weights", xlim=(0, 1))
    return figure


def attribute_bars(names, quality):
    """Correlation of every attribute that varies, best on top; of more than `MOST_NAMES`, the best and the worst halves."""
    known = np.flatnonzero(~np.isnan(quality.correlation))
    order = known[np.argsort(-quality.correlation[known], kind="stable")]
    if len(order) > MOST_NAMES:
        order = np.concatenate([order[: MOST_NAMES // 2], order[-MOST_NAMES // 2 :]])
    with _figure(0.8 + 0.17 * len(order)) as (figure, axes):
        position = np.arange(len(order))
        axes.barh(position, quality.correlation[order], color=UNSEEN_COLOUR, label="correlation")
        axes.plot(quality.average_precision[order], position, "D", color=ACCENT, markersize=4, label="average precision")
        axes.plot(quality.positives[order], position, "|", color="black", markersize=7, label="its value by chance")
        axes.set_yticks(position, [_short(names[a], 28) for a in order], fontsize=7)
        axes.invert_yaxis()
        axes.margins(y=0.01)
        axes.set_xlim(min(0, quality.correlation[order].min()) - 0.02, 1.02)
        figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    return figure


def variants(statistics, accuracies=("T", "H")):
    """Two accuracies of variants over seeds: mean, and standard deviation as a line.

    Args:
      statistics: name to {"T": {"mean", "std"}, "H": …}; `std` may be None. Dashed: the first one's means.
      accuracies: which two.
    """
    position = np.arange(len(statistics))
    with _figure(1.0 + 0.3 * len(statistics)) as (figure, axes):
        for name, offset, colour, marker in zip(accuracies, (-0.13, 0.13), (UNSEEN_COLOUR, ACCENT), "os"):
            means = [of_variant[name]["mean"] for of_variant in statistics.values()]
            deviations = [of_variant[name]["std"] or 0 for of_variant in statistics.values()]
            axes.errorbar(means, position + offset, xerr=deviations, fmt=marker, color=colour, markersize=5, capsize=2, label=name)
            axes.axvline(means[0], color=colour, linestyle="--", linewidth=0.8)
        axes.set_yticks(position, [_short(name) for name in statistics], fontsize=8)
        axes.invert_yaxis()
        axes.set_xlabel("accuracy (%)")
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def over_values(what, statistics, unit, base=None):
    """Accuracies over the values of a setting: mean, and standard deviation over seeds as a line.

    Args:
      what: the setting.
      statistics: value as text, in order, to {line: {"mean", "std"}}; `std` may be None. Values stand at equal distances.
      unit: on the vertical axis.
      base: the value of the base, dashed.
    """
    position = np.arange(len(statistics))
    with _figure(3.0) as (figure, axes):
        if base is not None:
            axes.axvline(list(statistics).index(base), color=NEUTRAL, linestyle="--", linewidth=1)
        for name, (colour, line, marker) in zip(next(iter(statistics.values())), BRANCH_STYLES.values()):
            means = [of_value[name]["mean"] for of_value in statistics.values()]
            deviations = [of_value[name]["std"] or 0 for of_value in statistics.values()]
            axes.errorbar(position, means, deviations, color=colour, linestyle=line, marker=marker, markersize=5, capsize=3, label=name)
        axes.set_xticks(position, [_short(value, 20) for value in statistics])
        axes.set(xlabel=what, ylabel=unit)
        figure.legend(loc="outside upper center", ncols=3 if len(axes.containers) <= 3 else 2)
    return figure


def conditions(findings):
    """Predictions below each other: a point a draw, the mean with its interval, the threshold dashed; each on an axis of its own.

    Args:
      findings: dicts of "text", "values", "mean", "low", "high", "threshold", "status"; ends may be None.
    """
    with _figure(0.3 + 0.85 * len(findings), nrows=len(findings), squeeze=False) as (figure, grid):
        for axes, found in zip(grid[:, 0], findings):
            axes.axvline(found["threshold"], color=NEUTRAL, linestyle="--", linewidth=1)
            axes.plot(found["values"], np.zeros(len(found["values"])), "o", color=UNSEEN_COLOUR, alpha=0.5, markersize=4)
            if found["low"] is not None:
                axes.plot([found["low"], found["high"]], [1, 1], "-", color=ACCENT)
            if found["mean"] is not None:
                axes.plot(found["mean"], 1, "D", color=ACCENT, markersize=5)
            axes.set(yticks=[], ylim=(-0.7, 1.7))
            axes.set_title(f"{_short(found['text'], 80)}: {found['status']}", fontsize=7, loc="left")
            axes.tick_params(labelsize=7)
            axes.spines["left"].set_visible(False)
    return figure


def load_library():
    """Loads Matplotlib and its backends, which the first figure would."""
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401


def draw(make, directory, name):
    """Saves the figure that a function without arguments makes. Returns the path of its SVG."""
    save(make(), directory, name)
    return pathlib.Path(directory, f"{name}.svg")


def save(figure, directory, name):
    """Writes `name.svg` and `name.png`, each whole or not at all. Returns the SVG's bytes."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    png, svg = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context(STYLE):
        # Not savefig, which draws everything twice and lays it out anew for each file. Letters are widest in the SVG.
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})
        figure.set_layout_engine("none")
        figure.dpi = PNG_DPI
        FigureCanvasAgg(figure).print_png(png)
    for kind, contents in zip(KINDS, (png, svg)):
        files.write(directory / f"{name}.{kind}", contents.getvalue())
    return svg.getvalue()


def _short(name, length=NAME_LENGTH):
    return name if len(name) <= length else f"{name[: length - 1]}…"
