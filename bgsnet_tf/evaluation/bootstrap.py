"""How far accuracies, and differences between two models, would move with other test images of the same classes, and other seeds.

What another choice of classes would change is in none of these intervals. Replicates are stratified by class.
"""

import functools

import numpy as np
from scipy import special

from bgsnet_tf.evaluation import metrics

REPLICATES = 10000
PAIRED_REPLICATES = 2000  # these draw every image
CHUNK = 250  # replicates in memory at a time
CONFIDENCE = 0.95
ROUNDING = 1e-18  # square percent; a variance below it is none


def confidence_intervals(scores_seen, labels_seen, scores_unseen, labels_unseen, seen_classes, unseen_classes, delta, seed=0):
    """Percentile intervals of T, U, S and H at a level of `CONFIDENCE`, stratified by class.

    A replicate draws as many images of each class as there are, with replacement. At a fixed δ an image is right or
    wrong, so the number of right ones among those drawn is binomial, and is drawn as such: the same distribution as
    that of resampled images, without resampling. A class that is entirely right or wrong does not vary.

    Args and errors: as `metrics.evaluate_gzsl`; `seed` makes equal calls give equal intervals.

    Returns:
      dict of [low, high] in percent.
    """
    rng = np.random.default_rng(seed)
    among_unseen = metrics.predict_zsl(scores_unseen, unseen_classes)
    unseen = metrics.predict_gzsl(scores_unseen, seen_classes, unseen_classes, delta)
    seen = metrics.predict_gzsl(scores_seen, seen_classes, unseen_classes, delta)
    replicates = {
        "T": _replicates(labels_unseen, among_unseen, rng),
        "U": _replicates(labels_unseen, unseen, rng),
        "S": _replicates(labels_seen, seen, rng),
    }
    replicates["H"] = metrics.harmonic_mean(replicates["U"], replicates["S"])
    tail = (1 - CONFIDENCE) / 2
    return {name: np.quantile(values, [tail, 1 - tail]).tolist() for name, values in replicates.items()}


def _replicates(labels, predictions, rng):
    """(REPLICATES,) per-class accuracies in percent."""
    _, images, accuracies = metrics.class_accuracies(labels, predictions)
    return 100 * np.mean(rng.binomial(images, accuracies / 100, size=(REPLICATES, len(images))) / images, axis=1)


def compare(models, others, labels_seen, labels_unseen, seed=0):
    """How far models are above others that scored the same test images, with an interval over images and seeds together.

    Args:
      models, others: sequences of `metrics.Decisions`, one a seed, in the same order.
      labels_seen, labels_unseen: (images,) classes of the images that they are about.
      seed: equal calls give equal intervals.

    Returns:
      dict of T and AUSUC, and of U, S and H where all have a δ, to an `interval`.
    """
    found = replicate([*models, *others], labels_seen, labels_unseen, seed)
    return {name: interval(values[: len(models)] - values[len(models) :]) for name, values in found.items()}


def replicate(models, labels_seen, labels_unseen, seed=0):
    """Figures of models on the test images, and on `PAIRED_REPLICATES` redraws of them, the same for all models.

    Args: as `compare`, of M models.

    Returns:
      dict of T and AUSUC, and of U, S and H where all have a δ, to (M, 1 + replicates) in percent, the true images first.
    """
    rng = np.random.default_rng(seed)
    found = [
        [
            _figures(model, metrics.image_weights(labels_seen)[np.newaxis], metrics.image_weights(labels_unseen)[np.newaxis])
            for model in models
        ]
    ]
    for _ in range(-(-PAIRED_REPLICATES // CHUNK)):
        drawn = _drawn(labels_seen, rng), _drawn(labels_unseen, rng)
        found.append([_figures(model, *drawn) for model in models])
    names = [name for name in found[0][0] if all(name in figures for figures in found[0])]
    return {name: np.concatenate([[figures[name] for figures in chunk] for chunk in found], axis=1) for name in names}


def interval(values):
    """The mean over seeds, with Student's interval.

    Its variance is the sum of two: that of the seeds' values over their number, and that of the mean when the images of each class
    are drawn again. Its degrees of freedom are Satterthwaite's. One seed says nothing of others: its interval is over images alone.

    Args:
      values: (seeds, 1 + replicates), as of `replicate`, or differences of such.

    Returns:
      {"difference": the mean, "low", "high": the ends at a level of `CONFIDENCE`, "p": the two-sided p-value that it is 0, None
      where nothing varies}.
    """
    seeds, mean = len(values), values.mean(axis=0)
    difference = float(mean[0])
    of_seeds = np.var(values[:, 0], ddof=1) / seeds if seeds > 1 else 0.0
    variance = of_seeds + np.var(mean[1:])
    if variance < ROUNDING:
        return {"difference": difference, "low": difference, "high": difference, "p": None}
    quantile, below = special.ndtri, special.ndtr
    if of_seeds > 0:
        degrees = (variance / of_seeds) ** 2 * (seeds - 1)
        quantile, below = functools.partial(special.stdtrit, degrees), functools.partial(special.stdtr, degrees)
    low, high = difference + np.sqrt(variance) * quantile((1 + CONFIDENCE) / 2) * np.array([-1, 1])
    p = 2 * below(-abs(difference) / np.sqrt(variance))
    return {"difference": difference, "low": float(low), "high": float(high), "p": float(p)}


def _figures(found, seen, unseen):
    """Figure to (replicates,) percent of a `metrics.Decisions`, whose images weigh `seen` and `unseen`, (replicates, images)."""
    lost, at = seen[:, found.seen_right], found.seen_margin[found.seen_right]
    order = np.flatnonzero(found.unseen_right)[np.argsort(found.unseen_margin[found.unseen_right])]
    won = np.concatenate([np.zeros([len(unseen), 1]), np.cumsum(unseen[:, order], axis=1)], axis=1)  # U with the first 0, 1, … of them
    before, after = (np.searchsorted(found.unseen_margin[order], at, side) for side in ("left", "right"))
    figures = {"T": won[:, -1], "AUSUC": np.sum(lost * (won[:, before] + won[:, after]), axis=1) / 200}
    if found.delta is not None:
        figures["U"] = won[:, np.searchsorted(found.unseen_margin[order], found.delta)]
        figures["S"] = np.sum(lost * (at > found.delta), axis=1)
        figures["H"] = metrics.harmonic_mean(figures["U"], figures["S"])
    return figures


def _drawn(labels, rng):
    """(CHUNK, images) weight of every image, in percent, when as many are drawn of each class as there are."""
    weights = np.empty([CHUNK, len(labels)])
    classes = np.unique(labels)
    for c in classes:
        images = np.flatnonzero(labels == c)
        times = rng.multinomial(len(images), np.full(len(images), 1 / len(images)), size=CHUNK)
        weights[:, images] = times * (100 / (len(classes) * len(images)))
    return weights
