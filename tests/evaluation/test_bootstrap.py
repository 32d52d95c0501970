"""Checks the intervals against the binomial distribution and against images that are really resampled."""

import numpy as np
import pytest
import scipy.stats

from bgsnet_tf.evaluation import bootstrap, metrics


def case(right_seen, right_unseen):
    """Two seen and two unseen classes; of each class the given (right, all) images. A wrong image looks like its sister class."""
    scores, labels = [], []
    for c, (right, images) in enumerate([*right_seen, *right_unseen]):
        sister = c ^ 1
        scores += [np.eye(4)[c]] * right + [np.eye(4)[sister]] * (images - right)
        labels += [c] * images
    labels = np.array(labels)
    seen = labels < 2
    scores = np.array(scores)
    return scores[seen], labels[seen], scores[~seen], labels[~seen], np.array([0, 1]), np.array([2, 3])


def test_one_uncertain_class_follows_the_binomial_distribution():
    arguments = case([(30, 40), (0, 7)], [(90, 90), (70, 100)])
    intervals = bootstrap.confidence_intervals(*arguments, 0.0)
    ends = scipy.stats.binom.ppf([0.025, 0.975], 100, 0.7) / 100
    assert intervals["T"] == pytest.approx((100 + 100 * ends) / 2, abs=0.51)  # one image of one of two classes moves T by .5
    ends = scipy.stats.binom.ppf([0.025, 0.975], 40, 0.75) / 40
    assert intervals["S"] == pytest.approx(50 * ends, abs=1.26)


def test_several_classes_agree_with_resampled_images():
    rng = np.random.default_rng(1)
    labels_seen, labels_unseen = rng.integers(0, 3, 60), rng.integers(3, 6, 80)
    scores = rng.normal(size=(140, 6))
    scores[np.arange(140), np.concatenate([labels_seen, labels_unseen])] += 1.5
    arguments = scores[:60], labels_seen, scores[60:], labels_unseen, np.arange(3), np.arange(3, 6)
    replicates = []
    for _ in range(2000):
        drawn = []
        for labels in (labels_seen, labels_unseen):
            rows = [rng.choice(np.flatnonzero(labels == c), np.sum(labels == c)) for c in np.unique(labels)]
            drawn.append(np.concatenate(rows))
        seen, unseen = drawn
        resampled = scores[:60][seen], labels_seen[seen], scores[60:][unseen], labels_unseen[unseen], *arguments[4:]
        replicates.append(metrics.evaluate_gzsl(*resampled, 0.3))
    for name, interval in bootstrap.confidence_intervals(*arguments, 0.3).items():
        expected = np.quantile([replicate[name] for replicate in replicates], [0.025, 0.975])
        np.testing.assert_allclose(interval, expected, atol=1.5)


def test_the_seed_decides():
    arguments = case([(30, 40), (5, 7)], [(80, 90), (70, 100)])
    first = bootstrap.confidence_intervals(*arguments, 0.0, seed=3)
    assert first == bootstrap.confidence_intervals(*arguments, 0.0, seed=3)
    assert first != bootstrap.confidence_intervals(*arguments, 0.0, seed=4)


def test_the_interval_holds_the_accuracy_and_certainty_has_no_width():
    arguments = case([(40, 40), (7, 7)], [(45, 90), (70, 100)])
    accuracies = metrics.evaluate_gzsl(*arguments, 0.0)
    intervals = bootstrap.confidence_intervals(*arguments, 0.0)
    assert intervals["S"] == [100, 100]
    for name in ("T", "U", "H"):
        low, high = intervals[name]
        assert low < accuracies[name] < high
