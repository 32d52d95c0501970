"""How far T, U, S and H would move with other test images of the same classes: bootstrap intervals.

They hold for one trained network at one δ; what another seed or another choice of classes would change is not in them.
"""

import numpy as np

from bgsnet_tf.evaluation import metrics

REPLICATES = 10000
CONFIDENCE = 0.95


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
