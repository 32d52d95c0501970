"""Checks confusions, attribute quality, decisions and weight figures against scikit-learn and hand-made cases."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix

from bgsnet_tf.evaluation import analysis


def test_confusion_is_scikit_learns():
    rng = np.random.default_rng(0)
    classes = np.array([2, 5, 9])
    labels, predictions = rng.choice(classes, 50), rng.choice(classes, 50)
    np.testing.assert_array_equal(analysis.confusion(labels, predictions, classes), confusion_matrix(labels, predictions, labels=classes))


def test_most_confused_pairs_leave_out_the_diagonal_and_empty_cells():
    counts = np.array([[9, 2, 0], [4, 9, 2], [0, 0, 9]])
    assert analysis.most_confused(counts, 2) == [(1, 0, 4), (0, 1, 2)]
    assert analysis.most_confused(counts, 9) == [(1, 0, 4), (0, 1, 2), (1, 2, 2)]
    assert analysis.most_confused(np.eye(3, dtype=int), 9) == []


@pytest.mark.parametrize("levels", [None, 3, 0.1])
def test_average_precision_is_scikit_learns_with_and_without_ties(levels):
    rng = np.random.default_rng(1)
    scores, positive = rng.normal(size=200), rng.random(200) < 0.2
    if levels:
        scores = np.round(scores * levels) / levels
    assert analysis.average_precision(scores, positive) == pytest.approx(average_precision_score(positive, scores), abs=1e-12)


def test_attribute_quality():
    class_attributes = np.array([[1, 0, 0.5], [0, 0.2, 0.5], [0, 1, 0.5]], np.float32)
    labels = np.array([0, 0, 1, 2])
    attributes = np.array([[3, 1, 9], [2, 0, 8], [1, 2, 7], [0, 0.5, 6]], np.float32)
    quality = analysis.attribute_quality(attributes, labels, class_attributes)
    assert quality.correlation[0] == pytest.approx(np.corrcoef([3, 2, 1, 0], [1, 1, 0, 0])[0, 1])
    assert quality.correlation[1] == pytest.approx(np.corrcoef([1, 0, 2, 0.5], [0, 0, 0.2, 1])[0, 1], abs=1e-6)
    np.testing.assert_allclose(quality.average_precision, [1, 1 / 3, np.nan])
    np.testing.assert_allclose(quality.positives, [0.5, 0.25, np.nan])
    assert np.isnan(quality.correlation[2])


def test_a_decision_names_the_attributes_that_made_it():
    class_attributes = np.array([[9, 9, 9, 9], [1, 0, 0.5, 0], [0, 1, 0.5, 0.1]])
    decision = analysis.decide(4, np.array([3.0, 1.0, 8.0, -1.0]), 2, class_attributes, np.array([1, 2]), 2)
    assert (decision.image, decision.label, decision.chosen, decision.rival) == (4, 2, 1, 2)
    np.testing.assert_array_equal(decision.attributes, [0, 1])
    np.testing.assert_allclose(decision.contributions, [3, -1])
    assert decision.margin == pytest.approx((3 + 4) - (1 + 4 - 0.1))


def test_typical_images_span_the_margins():
    margins = np.array([5.0, 1.0, 4.0, 9.0, 2.0, 3.0])
    np.testing.assert_array_equal(analysis.typical(margins, np.array([0, 1, 2, 4, 5]), 3), [0, 5, 1])
    np.testing.assert_array_equal(analysis.typical(margins, np.array([1, 0]), 3), [0, 1])
    assert len(analysis.typical(margins, np.array([], int), 3)) == 0


def test_weights_that_are_binary_diverse_and_fixed():
    weights = np.tile(np.eye(4)[None], (5, 1, 1))
    shares = {"fixed": 1, "per_image": 0, "joint": 0}
    assert analysis.weight_figures(weights) == {"near_zero": 0.75, "near_one": 0.25, "alone": 1, "effective_modules": 1, **shares}


def test_weights_that_only_depend_on_the_image():
    weights = np.broadcast_to(np.linspace(0.2, 0.8, 5)[:, None, None], (5, 4, 3))
    figures = analysis.weight_figures(weights)
    assert figures["effective_modules"] == pytest.approx(4) and figures["fixed"] == pytest.approx(0, abs=1e-12)
    assert figures["per_image"] == pytest.approx(1) and figures["joint"] == pytest.approx(0, abs=1e-12)
    assert figures["near_zero"] == figures["near_one"] == figures["alone"] == 0


def test_sub_modules_that_answer_images_in_turn_interact():
    weights = 0.5 + np.array([[0.2, -0.2], [-0.2, 0.2]])[:, :, None]
    figures = analysis.weight_figures(weights)
    assert [figures[name] for name in ("fixed", "per_image", "joint")] == pytest.approx([0, 0, 1], abs=1e-12)


def test_weights_that_are_all_equal_have_no_variance_to_split():
    assert analysis.weight_figures(np.full((2, 3, 4), 0.5))["fixed"] == 1


def test_spread_takes_both_ends_and_keeps_the_order():
    np.testing.assert_array_equal(analysis.spread(np.array([5, 3, 8, 1, 9]), 3), [5, 8, 9])
    np.testing.assert_array_equal(analysis.spread(np.array([5, 3]), 7), [5, 3])


def test_gates_are_counted_on_either_side_of_the_thresholds():
    assert analysis.gate_figures([0.1, 0.05, 0.5, 0.51, 0.9, 0.91]) == {"near_zero": 1, "near_one": 1, "over_half": 3}


def test_errors_are_one_less_the_probability_of_the_right_class():
    attributes = np.array([[[2.0, 0.0], [0.0, 0.0]]])
    np.testing.assert_allclose(analysis.class_errors(attributes, [0], np.eye(2)), [[1 / (1 + np.exp(2)), 0.5]])


def test_correlation_of_errors_is_the_mean_over_pairs_that_vary():
    rng = np.random.default_rng(0)
    errors = rng.random((40, 3))
    pairs = [np.corrcoef(errors[:, i], errors[:, j])[0, 1] for i, j in ((0, 1), (0, 2), (1, 2))]
    assert analysis.error_correlation(errors) == pytest.approx(np.mean(pairs))
    assert analysis.error_correlation(np.column_stack([errors[:, :2], np.ones(40)])) == pytest.approx(pairs[0])
    assert analysis.error_correlation(np.column_stack([errors[:, 0], np.ones(40)])) is None


def test_rank_correlation_asks_for_the_order_alone():
    assert analysis.rank_correlation([1, 2, 3, 4], np.exp([1, 2, 3, 9])) == pytest.approx(1)
    assert analysis.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert analysis.rank_correlation([1, 1, 1], [3, 2, 1]) is None
