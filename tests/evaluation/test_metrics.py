"""Checks the accuracies against scikit-learn and the curve against a direct argmax at every δ."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score

from bgsnet_tf.evaluation import metrics

SEEN, UNSEEN = np.array([5, 0, 3, 1]), np.array([2, 6, 4])


def random_case(seed, levels=None, images=40):
    """Arguments of `seen_unseen_curve`; `levels` makes ties by rounding the scores to few values."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(2 * images, 7))
    if levels:
        scores = np.round(scores * levels) / levels
    return scores[:images], rng.choice(SEEN, images), scores[images:], rng.choice(UNSEEN, images), SEEN, UNSEEN


def direct_accuracy(scores, labels, seen, unseen, delta):
    """Per-class accuracy by the definition: one image and one class at a time, the first maximum wins."""
    hits = {c: [] for c in labels}
    for row, label in zip(scores, labels):
        shifted = {c: row[c] - delta if c in seen else row[c] for c in sorted([*seen, *unseen])}
        hits[label].append(max(shifted, key=shifted.get) == label)
    return 100 * np.mean([np.mean(h) for h in hits.values()])


def direct_curve(scores_seen, labels_seen, scores_unseen, labels_unseen, seen, unseen):
    """(U, S) between all switch points and beyond the outermost ones."""
    rows = np.concatenate([scores_seen, scores_unseen])
    switches = np.unique([row[seen].max() - row[unseen].max() for row in rows])
    deltas = [switches[0] - 1, *(switches[:-1] + switches[1:]) / 2, switches[-1] + 1]
    unseen_accuracy = [direct_accuracy(scores_unseen, labels_unseen, seen, unseen, delta) for delta in deltas]
    seen_accuracy = [direct_accuracy(scores_seen, labels_seen, seen, unseen, delta) for delta in deltas]
    return np.array(unseen_accuracy), np.array(seen_accuracy)


def direct_area(*case):
    u, s = direct_curve(*case)
    return sum((s[i] - s[i + 1]) * (u[i] + u[i + 1]) / 2 for i in range(len(u) - 1)) / 100


def block(right, wrong, labels):
    scores = np.full((len(labels), 7), wrong, float)
    scores[np.arange(len(labels)), labels] = right
    return scores


def test_per_class_accuracy_is_macro_recall():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 9, 200), rng.integers(0, 12, 200)
    expected = 100 * recall_score(labels, predictions, labels=np.unique(labels), average="macro")
    assert metrics.per_class_accuracy(labels, predictions) == pytest.approx(expected, abs=1e-9)


def test_classes_weigh_the_same_and_absent_ones_nothing():
    classes, images, accuracies = metrics.class_accuracies([7, 7, 7, 2], [7, 7, 2, 9])
    np.testing.assert_array_equal(classes, [2, 7])
    np.testing.assert_array_equal(images, [1, 3])
    np.testing.assert_allclose(accuracies, [0, 200 / 3])
    assert metrics.per_class_accuracy([7, 7, 7, 2], [7, 7, 2, 9]) == pytest.approx(100 / 3)


@pytest.mark.parametrize("delta", [-1.5, 0, 0.4, 2.0])
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_t_u_s_h_against_scikit_learn(delta):
    scores_seen, labels_seen, scores_unseen, labels_unseen, seen, unseen = random_case(1)
    result = metrics.evaluate_gzsl(scores_seen, labels_seen, scores_unseen, labels_unseen, seen, unseen, delta)
    shift = delta * np.isin(np.arange(7), seen)
    u = 100 * balanced_accuracy_score(labels_unseen, np.argmax(scores_unseen - shift, axis=1))
    s = 100 * balanced_accuracy_score(labels_seen, np.argmax(scores_seen - shift, axis=1))
    t = 100 * balanced_accuracy_score(labels_unseen, unseen[np.argmax(scores_unseen[:, unseen], axis=1)])
    expected = {"T": t, "U": u, "S": s, "H": 2 * u * s / (u + s)}
    assert {name: result[name] for name in expected} == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [1, 2, 4])
def test_u_and_s_at_ties_are_those_of_argmax(seed, levels):
    scores_seen, labels_seen, scores_unseen, labels_unseen, seen, unseen = case = random_case(seed, levels)
    for delta in np.arange(-2, 2.25, 0.25):
        result = metrics.evaluate_gzsl(*case, delta)
        assert result["U"] == pytest.approx(direct_accuracy(scores_unseen, labels_unseen, seen, unseen, delta), abs=1e-9)
        assert result["S"] == pytest.approx(direct_accuracy(scores_seen, labels_seen, seen, unseen, delta), abs=1e-9)


def test_a_tie_goes_to_the_lowest_index_whether_seen_or_unseen():
    scores = np.array([[1.0, 0.5, 0.0, 0.0]])
    assert metrics.predict_gzsl(scores, [0, 2], [1, 3], 0.5) == [0]
    assert metrics.predict_gzsl(scores[:, [1, 0, 2, 3]], [1, 2], [0, 3], 0.5) == [0]


@pytest.mark.parametrize("delta", [-0.3, 0.0, 0.5])
def test_the_unseen_split_alone_gives_t_and_u(delta):
    case = random_case(3, levels=4)
    whole = metrics.evaluate_gzsl(*case, delta)
    assert metrics.evaluate_unseen(*case[2:], delta) == {"T": whole["T"], "U": whole["U"]}


def test_classes_outside_both_sets_are_never_predicted():
    scores_seen, labels_seen, scores_unseen, labels_unseen, seen, unseen = random_case(2)
    wide_seen, wide_unseen = (np.insert(scores, 3, 99.0, axis=1) for scores in (scores_seen, scores_unseen))
    moved = [array + (array >= 3) for array in (labels_seen, labels_unseen, seen, unseen)]
    narrow = metrics.evaluate_gzsl(scores_seen, labels_seen, scores_unseen, labels_unseen, seen, unseen, 0.3)
    assert metrics.evaluate_gzsl(wide_seen, moved[0], wide_unseen, moved[1], moved[2], moved[3], 0.3) == narrow


def adversarial_cases():
    labels_seen, labels_unseen = np.repeat(SEEN, 3), np.repeat(UNSEEN, 4)
    perfect = (block(1, 0, labels_seen), labels_seen, block(1, 0, labels_unseen), labels_unseen, SEEN, UNSEEN)
    constant = (np.ones((12, 7)), labels_seen, np.ones((12, 7)), labels_unseen, SEEN, UNSEEN)
    hopeless = (block(-1, 0, labels_seen), labels_seen, block(-1, 0, labels_unseen), labels_unseen, SEEN, UNSEEN)
    scores_seen, _, scores_unseen, _, _, _ = random_case(3)
    empty_class = (scores_seen, np.resize([0, 5, 5], 40), scores_unseen, np.resize([2, 4, 4], 40), SEEN, UNSEEN)
    one_each = (scores_seen[:, :2], np.zeros(40, int), scores_unseen[:, :2], np.ones(40, int), np.array([0]), np.array([1]))
    one_image = (scores_seen[:1], np.array([1]), scores_unseen[:1], np.array([6]), SEEN, UNSEEN)
    return {
        "perfect": perfect,
        "constant": constant,
        "hopeless": hopeless,
        "empty class": empty_class,
        "one each": one_each,
        "one image": one_image,
        **{f"random {seed}": random_case(seed) for seed in range(4)},
        **{f"ties {levels}": random_case(4, levels) for levels in (1, 2, 4)},
    }


@pytest.mark.parametrize("name", adversarial_cases())
def test_curve_and_area_against_direct_argmax_at_every_plateau(name):
    case = adversarial_cases()[name]
    curve = metrics.seen_unseen_curve(*case)
    assert metrics.evaluate_gzsl(*case, 0)["AUSUC"] == curve.area == pytest.approx(direct_area(*case), abs=1e-9)
    points = np.unique(np.round(np.stack(direct_curve(*case), axis=1), 9), axis=0)
    np.testing.assert_allclose(np.stack([curve.U, curve.S], axis=1), points[np.lexsort((-points[:, 1], points[:, 0]))], atol=1e-8)
    assert np.all(np.diff(curve.switches) > 0)


def test_ends_of_the_scale():
    cases = adversarial_cases()
    everything = {"T": 100, "U": 100, "S": 100, "H": 100, "AUSUC": 100}
    assert metrics.evaluate_gzsl(*cases["perfect"], 0) == pytest.approx(everything, abs=1e-9)
    assert metrics.evaluate_gzsl(*cases["hopeless"], 0) == dict.fromkeys(everything, 0.0)


def test_one_unseen_class_is_always_right_among_unseen_ones():
    case = adversarial_cases()["one each"]
    assert metrics.evaluate_gzsl(*case, 0)["T"] == 100


def test_images_that_switch_together_are_joined_linearly():
    scores_seen = scores_unseen = np.array([[1.0, 0.0]])
    assert metrics.seen_unseen_curve(scores_seen, [0], scores_unseen, [1], [0], [1]).area == 50


def test_area_ignores_delta_and_a_shift_of_the_seen_scores():
    scores_seen, labels_seen, scores_unseen, labels_unseen, seen, unseen = random_case(5, levels=8)
    shift = 4.0 * np.isin(np.arange(7), seen)
    moved = scores_seen + shift, labels_seen, scores_unseen + shift, labels_unseen, seen, unseen
    there = metrics.evaluate_gzsl(scores_seen, labels_seen, scores_unseen, labels_unseen, seen, unseen, 0.5)
    assert metrics.evaluate_gzsl(*moved, 4.5) == there


def test_float32_scores_are_compared_in_float64():
    scores = np.array([[2.0**24, -1.0]], np.float32)
    assert metrics.seen_unseen_curve(scores, [0], scores, [1], [0], [1]).switches == [2.0**24 + 1]
    assert metrics.predict_gzsl(scores, [0], [1], 2.0**24 + 1.5) == [1]


def test_branches_are_evaluated_one_by_one():
    scores_seen, labels_seen, scores_unseen, labels_unseen, seen, unseen = random_case(6)
    scores = {"fused": (scores_seen, scores_unseen), "general": (-scores_seen, -scores_unseen)}
    result = metrics.evaluate_branches(scores, labels_seen, labels_unseen, seen, unseen, {"fused": 0.2, "general": -0.1})
    assert list(result) == ["fused", "general"]
    for branch, pair in scores.items():
        delta = {"fused": 0.2, "general": -0.1}[branch]
        assert result[branch] == metrics.evaluate_gzsl(pair[0], labels_seen, pair[1], labels_unseen, seen, unseen, delta)


def with_value(scores, value):
    scores = scores.copy()
    scores[3, 2] = value
    return scores


@pytest.mark.parametrize(
    "position, change, message",
    [
        (0, lambda scores: with_value(scores, np.nan), r"scores_seen\[3, 2\] is nan"),
        (2, lambda scores: with_value(scores, -np.inf), r"scores_unseen\[3, 2\] is -inf"),
        (0, lambda scores: scores[0], r"scores_seen must be \(images, classes\)"),
        (2, lambda scores: scores[:, :6], "scores_seen has 7 classes, scores_unseen 6"),
        (2, lambda scores: scores[:0], "scores_unseen is empty"),
        (1, lambda labels: labels[1:], "labels_seen must be integers"),
        (3, lambda labels: labels.astype(float), "labels_unseen must be integers"),
        (1, lambda labels: np.append(labels[1:], 2), "labels_seen holds class 2"),
        (3, lambda labels: np.append(labels[1:], 0), "labels_unseen holds class 0"),
        (4, lambda classes: np.append(classes, 6), "class 6 is in seen_classes and in unseen_classes"),
        (4, lambda classes: np.append(classes, 7), "seen_classes holds indices from 0 to 7"),
        (5, lambda classes: np.append(classes, -1), "unseen_classes holds indices from -1 to 6"),
        (5, lambda classes: classes[:0], "unseen_classes must be a non-empty integer array"),
        (4, lambda classes: np.isin(np.arange(7), classes), "seen_classes must be a non-empty integer array"),
        (6, lambda delta: np.nan, "delta must be finite"),
    ],
)
def test_programming_errors_are_named(position, change, message):
    arguments = [*random_case(7), 0.0]
    arguments[position] = change(arguments[position])
    with pytest.raises(ValueError, match=message):
        metrics.evaluate_gzsl(*arguments)


@pytest.mark.parametrize("labels, predictions, message", [([], [], "no labels"), ([1, 2], [1], "not"), ([[1]], [[1]], "not")])
def test_accuracy_needs_one_prediction_per_label(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        metrics.per_class_accuracy(labels, predictions)
