"""How far accuracies, and differences between two models, would move with other test images of the same classes, and other seeds.

What another choice of classes would change is in none of these intervals. Replicates are stratified by class.
"""

import numpy as np
import scipy.stats

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

    The difference is the mean over pairs of runs, one pair a seed. Its variance is the sum of two: that of the pairs' differences
    over the number of pairs, and that of the mean difference when the images of each class are drawn again (bootstrap, the same
    images for all runs). The interval is Student's with Satterthwaite's degrees of freedom. A single pair says nothing of seeds:
    its interval is over images alone.

    Args:
      models, others: sequences of `metrics.Decisions`, one a seed, in the same order.
      labels_seen, labels_unseen: (images,) classes of the images that they are about.
      seed: equal calls give equal intervals.

    Returns:
      dict of T and AUSUC, and of U, S and H where all have a δ, to {"difference", "low", "high", "p"}: percent, the ends of the
      interval at a level of `CONFIDENCE`, and the two-sided p-value, None where nothing varies.
    """
    rng = np.random.default_rng(seed)
    each = metrics.image_weights(labels_seen)[np.newaxis], metrics.image_weights(labels_unseen)[np.newaxis]
    between = [_differences(*pair, *each) for pair in zip(models, others)]
    found = []
    for _ in range(-(-PAIRED_REPLICATES // CHUNK)):
        drawn = _drawn(labels_seen, rng), _drawn(labels_unseen, rng)
        found.append([_differences(*pair, *drawn) for pair in zip(models, others)])
    return {
        name: _interval(
            np.concatenate([of_pair[name] for of_pair in between]),
            np.concatenate([np.mean([of_pair[name] for of_pair in of_chunk], axis=0) for of_chunk in found]),
        )
        for name in between[0]
    }


def _differences(model, other, *weights):
    figures = [_figures(found, *weights) for found in (model, other)]
    return {name: figures[0][name] - figures[1][name] for name in figures[0] if name in figures[1]}


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


def _interval(between, replicates):
    """The interval of a mean of (pairs,) differences; `replicates` of that mean are of other images."""
    difference, pairs = float(np.mean(between)), len(between)
    of_seeds = np.var(between, ddof=1) / pairs if pairs > 1 else 0.0
    variance = of_seeds + np.var(replicates)
    if variance < ROUNDING:
        return {"difference": difference, "low": difference, "high": difference, "p": None}
    student = scipy.stats.t((variance / of_seeds) ** 2 * (pairs - 1)) if of_seeds > 0 else scipy.stats.norm()
    low, high = difference + np.sqrt(variance) * np.array(student.interval(CONFIDENCE))
    return {
        "difference": difference,
        "low": float(low),
        "high": float(high),
        "p": float(2 * student.sf(abs(difference) / np.sqrt(variance))),
    }
