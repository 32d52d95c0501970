"""ESZSL against its closed form, and on data where the right answer is known."""

import numpy as np
import pytest

from bgsnet_tf.evaluation import eszsl


def gaussian(rng, classes, attributes, features, rows, noise):
    """Rows scattered around a linear image of their class's attributes."""
    s = rng.normal(size=(classes, attributes))
    mixing = rng.normal(size=(attributes, features))
    labels = np.repeat(np.arange(classes), rows)
    return s, s[labels] @ mixing + noise * rng.normal(size=(len(labels), features)), labels


@pytest.mark.parametrize("gamma, lam", [(1e-3, 1e3), (1.0, 1.0), (100.0, 0.1)])
def test_agrees_with_the_closed_form(gamma, lam):
    s, x, labels = gaussian(np.random.default_rng(0), classes=7, attributes=5, features=11, rows=6, noise=1.0)
    y = 2.0 * (labels[:, None] == np.arange(7)) - 1
    expected = np.linalg.inv(x.T @ x + gamma * np.eye(11)) @ x.T @ y @ s @ np.linalg.inv(s.T @ s + lam * np.eye(5))
    np.testing.assert_allclose(eszsl.Eszsl(x, labels, s).weights(gamma, lam), expected, rtol=1e-6, atol=1e-12)


def test_is_the_minimum_of_its_objective():
    rng = np.random.default_rng(1)
    s, x, labels = gaussian(rng, classes=6, attributes=4, features=5, rows=5, noise=1.0)
    y = 2.0 * (labels[:, None] == np.arange(6)) - 1
    gamma, lam = 0.7, 0.3

    def objective(v):
        return sum(weight * np.sum(term**2) for weight, term in ((1, x @ v @ s.T - y), (gamma, v @ s.T), (lam, x @ v), (gamma * lam, v)))

    best = eszsl.Eszsl(x, labels, s).weights(gamma, lam)
    for _ in range(20):
        assert objective(best + 1e-3 * rng.normal(size=best.shape)) > objective(best)


def test_recognises_unseen_classes_of_a_linear_world():
    s, x, labels = gaussian(np.random.default_rng(2), classes=40, attributes=6, features=30, rows=20, noise=0.1)
    s /= np.linalg.norm(s, axis=1, keepdims=True)
    seen, unseen = labels < 30, labels >= 30
    gamma, lam = eszsl.choose(x[seen], labels[seen], s[:30], x[unseen], labels[unseen] - 30, s[30:])
    scores = x[unseen] @ eszsl.Eszsl(x[seen], labels[seen], s[:30]).weights(gamma, lam) @ s[30:].T
    assert np.mean(np.argmax(scores, axis=1) == labels[unseen] - 30) > 0.8


def test_choice_is_the_best_of_the_grid():
    rng = np.random.default_rng(3)
    s, x, labels = gaussian(rng, classes=20, attributes=6, features=15, rows=5, noise=3.0)
    seen, unseen = labels < 14, labels >= 14
    model = eszsl.Eszsl(x[seen], labels[seen], s[:14])

    def accuracy(gamma, lam):
        return np.mean(np.argmax(x[unseen] @ model.weights(gamma, lam) @ s[14:].T, axis=1) == labels[unseen] - 14)

    chosen = eszsl.choose(x[seen], labels[seen], s[:14], x[unseen], labels[unseen] - 14, s[14:])
    grid = [accuracy(10.0**g, 10.0**a) for g in range(-3, 4) for a in range(-3, 4)]
    assert accuracy(*chosen) == max(grid) and min(grid) < max(grid)


def test_the_start_of_a_classifier_is_the_closed_form_at_the_scale_of_least_held_out_cross_entropy():
    s, x, labels = gaussian(np.random.default_rng(4), classes=12, attributes=5, features=20, rows=15, noise=4.0)
    s /= np.linalg.norm(s, axis=1, keepdims=True)
    order = np.random.default_rng(5).permutation(len(x))
    x, labels = x[order], labels[order]
    start = eszsl.classifier_start(x, labels, s)
    closed_form = eszsl.Eszsl(x, labels, s).weights(len(x), 1.0)
    scale = np.sum(start * closed_form) / np.sum(closed_form**2)
    np.testing.assert_allclose(start, scale * closed_form, rtol=1e-9)
    held = np.arange(len(x)) % 5 == 0
    logits = x[held] @ eszsl.Eszsl(x[~held], labels[~held], s).weights(np.sum(~held), 1.0) @ s.T

    def cross_entropy(factor):
        shifted = factor * logits - (factor * logits).max(axis=1, keepdims=True)
        return np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(shifted)), labels[held]])

    assert cross_entropy(scale) < min(cross_entropy(0.9 * scale), cross_entropy(1.1 * scale))
