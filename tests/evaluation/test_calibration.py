"""Checks that no other δ is better than the chosen one, and where within its plateau it lies."""

import numpy as np
import pytest

from bgsnet_tf.evaluation import calibration, metrics


def random_case(seed, levels=None):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(80, 7))
    labels = np.concatenate([rng.integers(0, 4, 40), rng.integers(4, 7, 40)])
    scores[np.arange(80), labels] += 1
    if levels:
        scores = np.round(scores * levels) / levels
    return scores[:40], labels[:40], scores[40:], labels[40:], np.arange(4), np.arange(4, 7)


def margins_case(seen_margins, unseen_margins):
    """One seen class, one unseen class, and an image of each for every margin: the switches are the margins."""
    scores_seen = np.array([[margin, 0.0] for margin in seen_margins])
    scores_unseen = np.array([[margin, 0.0] for margin in unseen_margins])
    return scores_seen, np.zeros(len(scores_seen), int), scores_unseen, np.ones(len(scores_unseen), int), [0], [1]


@pytest.mark.parametrize("seed, levels", [(0, None), (1, None), (2, None), (3, 1), (4, 2), (5, 4)])
def test_no_delta_of_a_fine_grid_is_better(seed, levels):
    case = random_case(seed, levels)
    best = calibration.best_delta(*case)
    grid = [metrics.evaluate_gzsl(*case, delta)["H"] for delta in np.linspace(-5, 5, 502)]
    assert 0 < max(grid) <= best.H + 1e-9


@pytest.mark.parametrize("seed, levels", [(0, None), (3, 1)])
def test_reported_accuracies_are_those_at_delta(seed, levels):
    case = random_case(seed, levels)
    best = calibration.best_delta(*case)
    there = metrics.evaluate_gzsl(*case, best.delta)
    assert best == calibration.Calibration(best.delta, there["U"], there["S"], there["H"])


def test_delta_is_the_middle_of_the_best_plateau():
    assert calibration.best_delta(*margins_case([3.0, 5.0], [-4.0, 1.0])) == calibration.Calibration(2.0, U=100, S=100, H=100)


def test_images_that_stay_wrong_do_not_narrow_a_plateau():
    scores_seen, labels_seen, scores_unseen, labels_unseen = margins_case([3.0], [1.0])[:4]
    scores_seen, scores_unseen = (np.insert(scores, 2, -9.0, axis=1) for scores in (scores_seen, scores_unseen))
    scores_seen, labels_seen = np.append(scores_seen, [[1.5, 0.0, -9.0]], axis=0), np.append(labels_seen, 2)
    assert calibration.best_delta(scores_seen, labels_seen, scores_unseen, labels_unseen, [0, 2], [1]).delta == 2.0


def test_of_equal_plateaus_the_nearest_to_zero_wins():
    # H is the same between -9 and -7 (U 50, S 100) and between -1 and 3 (U 100, S 50).
    case = margins_case([-1.0, 3.0], [-9.0, -1.0])
    assert calibration.best_delta(*case).delta == 1.0
    mirrored = margins_case([9.0, 1.0], [1.0, -3.0])
    assert calibration.best_delta(*mirrored).delta == -1.0


def test_of_plateaus_equally_near_the_lower_wins():
    assert calibration.best_delta(*margins_case([0.0, 4.0], [-4.0, 0.0])).delta == -2.0


@pytest.mark.parametrize("margin", [-3.0, 0.0, 1e20])
def test_delta_is_finite_when_h_is_always_zero(margin):
    scores_seen, labels_seen, scores_unseen, labels_unseen, seen, unseen = margins_case([margin], [margin])
    best = calibration.best_delta(scores_seen, labels_seen, scores_unseen, labels_unseen, seen, unseen)
    assert np.isfinite(best.delta) and best.delta != margin
    assert best.H == 0


def test_delta_is_zero_when_nothing_depends_on_it():
    scores = np.array([[0.0, 1.0, 0.0, 1.0]])
    assert calibration.best_delta(scores, [0], scores, [2], [0, 1], [2, 3]) == calibration.Calibration(0.0, U=0, S=0, H=0)


def test_a_plateau_without_a_float_inside_is_not_chosen():
    # H is 100 only between 1 and the next float; between 0 and 1 it is 200 / 3.
    above_one = np.nextafter(1.0, 2.0)
    assert calibration.best_delta(*margins_case([above_one, above_one], [1.0, 0.0])).delta == 0.5


def test_errors_are_those_of_the_metrics():
    with pytest.raises(ValueError, match="scores_seen is empty"):
        calibration.best_delta(np.zeros((0, 2)), np.zeros(0, int), np.zeros((1, 2)), [1], [0], [1])
