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


def noisy(rng, signal, seen=90, unseen=80):
    """Scores of 3 seen and 3 unseen classes that know the truth by `signal`, as arguments of `metrics.decisions`."""
    labels_seen, labels_unseen = np.resize([0, 1, 2], seen), np.resize([3, 4, 5], unseen)
    scores = rng.normal(size=(seen + unseen, 6))
    scores[np.arange(seen + unseen), np.concatenate([labels_seen, labels_unseen])] += signal
    return scores[:seen], labels_seen, scores[seen:], labels_unseen, np.arange(3), np.arange(3, 6)


def test_a_difference_is_that_of_the_metrics():
    rng = np.random.default_rng(0)
    one, other = noisy(rng, 1.5), noisy(rng, 0.5)
    found = bootstrap.compare([metrics.decisions(*one, 0.3)], [metrics.decisions(*other, -0.2)], one[1], one[3])
    expected = metrics.evaluate_gzsl(*one, 0.3), metrics.evaluate_gzsl(*other, -0.2)
    assert {name: of["difference"] for name, of in found.items()} == pytest.approx(
        {name: expected[0][name] - expected[1][name] for name in found}
    )
    assert set(found) == {"T", "U", "S", "H", "AUSUC"} and found["T"]["low"] > 0 and found["T"]["p"] < 0.01
    without = bootstrap.compare([metrics.decisions(*one)], [metrics.decisions(*other)], one[1], one[3])
    assert without == {name: found[name] for name in ("T", "AUSUC")}


def test_a_paired_interval_agrees_with_resampled_images():
    rng = np.random.default_rng(1)
    one = noisy(rng, 1.5)
    other = (one[0] + rng.normal(size=one[0].shape) * 0.7, one[1], one[2] + rng.normal(size=one[2].shape) * 0.7, *one[3:])  # much alike
    found = bootstrap.compare([metrics.decisions(*one, 0.1)], [metrics.decisions(*other, 0.1)], one[1], one[3])
    replicates = []
    for _ in range(1500):
        seen, unseen = (
            np.concatenate([rng.choice(np.flatnonzero(of == c), np.sum(of == c)) for c in np.unique(of)]) for of in (one[1], one[3])
        )
        figures = [metrics.evaluate_gzsl(s[seen], one[1][seen], u[unseen], one[3][unseen], *one[4:], 0.1) for s, _, u, *_ in (one, other)]
        replicates.append({name: figures[0][name] - figures[1][name] for name in found})
    for name, interval in found.items():
        expected = np.quantile([replicate[name] for replicate in replicates], [0.025, 0.975])
        np.testing.assert_allclose([interval["low"], interval["high"]], expected, atol=1.2)


def certain(right):
    """A model of 5 seen and 5 unseen classes of which it knows the first `right` unseen ones and all seen ones, without doubt."""
    labels = np.repeat(np.arange(10), 4)
    scores = np.eye(10)[np.where((labels >= 5) & (labels >= 5 + right), 5 + (labels + 1) % 5, labels)]
    return metrics.decisions(scores[:20], labels[:20], scores[20:], labels[20:], np.arange(5), np.arange(5, 10)), labels


def test_where_images_do_not_matter_the_interval_is_students_over_seeds():
    models, others = [certain(right)[0] for right in (2, 3, 5)], [certain(1)[0]] * 3
    labels = certain(1)[1]
    found = bootstrap.compare(models, others, labels[:20], labels[20:])["T"]
    differences = np.array([20.0, 40.0, 80.0])
    expected = scipy.stats.ttest_1samp(differences, 0)
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found["p"] == pytest.approx(expected.pvalue)
    same = bootstrap.compare(models, models, labels[:20], labels[20:])["T"]
    assert same == {"difference": 0, "low": 0, "high": 0, "p": None}


def test_seeds_widen_an_interval_of_images():
    rng = np.random.default_rng(2)
    other, *models = noisy(rng, 1.0), noisy(rng, 0.8), noisy(rng, 2.0)
    decide = [metrics.decisions(*model) for model in models]
    against = [metrics.decisions(*other)]
    labels = other[1], other[3]
    two = bootstrap.compare(decide, against * 2, *labels)["T"]
    of_images = [bootstrap.compare([one], against, *labels)["T"] for one in decide]
    assert two["difference"] == pytest.approx(np.mean([one["difference"] for one in of_images]))
    assert two["high"] - two["low"] > max(one["high"] - one["low"] for one in of_images)
