"""The losses against autodiff, the paper's gradients (Eqs. 6-10) and a direct reading of Eq. 5 in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.model import losses

B, K = 3, 4


def random_weights(modules, seed=0):
    return np.random.default_rng(seed).uniform(0.05, 0.95, (B, modules, K)).astype(np.float64)


def loss_by_definition(weights, margin):
    """Eq. 5 with its double sum over sub-modules, O(N²)."""
    modules = weights.shape[1]
    total = 0.0
    for i in range(modules):
        others = np.max(np.delete(weights, i, axis=1), axis=1)
        total += np.sum(weights[:, i] * others - margin * (weights[:, i] + others))
    return total / len(weights)


def margin_by_definition(weights, epoch):
    mean, largest = weights.mean(axis=1), weights.max(axis=1)
    lower = np.where(mean + 1e-6 < largest, mean + 1e-6, mean)
    return np.maximum(lower, (1 - 1 / (1 + epoch)) * largest)


@pytest.mark.parametrize("modules", [2, 3, 5, 10])
@pytest.mark.parametrize("epoch", [1, 7])
def test_diversity_loss_is_equation_5(modules, epoch):
    weights = random_weights(modules)
    expected = loss_by_definition(weights, margin_by_definition(weights, epoch))
    np.testing.assert_allclose(losses.diversity_loss(tf.constant(weights), epoch), expected, rtol=1e-12)


@pytest.mark.parametrize("modules", [2, 3, 5, 10])
@pytest.mark.parametrize("epoch", [1, 7])
def test_gradients_are_equations_8_to_10(modules, epoch):
    weights = tf.constant(random_weights(modules))
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = losses.diversity_loss(weights, epoch)
    gradients = tape.gradient(loss, weights).numpy() * B  # undo the mean over images

    margin = margin_by_definition(weights.numpy(), epoch)
    order = np.argsort(weights.numpy(), axis=1)
    ordered = np.take_along_axis(weights.numpy(), order, axis=1)
    gradients = np.take_along_axis(gradients, order, axis=1)
    largest, second = ordered[:, -1], ordered[:, -2]
    for i in range(modules - 2):
        np.testing.assert_allclose(gradients[:, i], largest - margin, rtol=1e-9, atol=1e-12)  # Eq. 8
    np.testing.assert_allclose(gradients[:, -2], 2 * (largest - margin), rtol=1e-9, atol=1e-12)  # Eq. 9
    np.testing.assert_allclose(gradients[:, -1], ordered[:, :-1].sum(axis=1) + second - modules * margin, rtol=1e-9, atol=1e-12)  # Eq. 10


def test_one_pair_has_the_gradients_of_equations_6_and_7():
    weights = tf.constant(random_weights(2))
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = losses.diversity_loss(weights, 3) / 2  # with N = 2 both terms of the sum are the same pair
    gradients = tape.gradient(loss, weights).numpy() * B
    margin = margin_by_definition(weights.numpy(), 3)
    np.testing.assert_allclose(gradients[:, 0], weights[:, 1] - margin, rtol=1e-9)
    np.testing.assert_allclose(gradients[:, 1], weights[:, 0] - margin, rtol=1e-9)


def test_no_gradient_flows_through_the_margin():
    weights = tf.constant(random_weights(3))
    with tf.GradientTape() as tape:
        tape.watch(weights)
        margin = tf.reduce_sum(losses.diversity_margin(weights, 2))
    assert tape.gradient(margin, weights) is None


@pytest.mark.parametrize("epoch", [1, 2, 50])
def test_margin_lies_between_mean_and_maximum(epoch):
    weights = random_weights(5)
    margin = losses.diversity_margin(tf.constant(weights), epoch).numpy()
    np.testing.assert_allclose(margin, margin_by_definition(weights, epoch), rtol=1e-12)
    assert np.all(margin > weights.mean(axis=1)) and np.all(margin < weights.max(axis=1))


def test_margin_adds_epsilon_only_where_it_stays_below_the_maximum():
    weights = tf.constant([[[0.5, 0.5], [0.5, 0.5 + 1e-7]]], tf.float64)
    np.testing.assert_allclose(losses.diversity_margin(weights, 1), [[0.5, 0.5 + 0.5e-7]], rtol=1e-12)


@pytest.mark.parametrize("modules", [1, 2, 5])
def test_equal_weights_give_a_finite_loss_and_no_gradient(modules):
    weights = tf.fill([B, modules, K], 0.5)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = losses.diversity_loss(weights, 1)
    gradients = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    assert np.isfinite(loss)
    np.testing.assert_allclose(gradients, 0, atol=1e-7)


def test_the_lowest_index_wins_a_tie_at_the_top():
    weights = tf.constant([[[0.9], [0.9], [0.1]]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = losses.diversity_loss(weights, 1)
    gradients = tape.gradient(loss, weights).numpy()[0, :, 0]
    margin = (0.9 + 0.9 + 0.1) / 3 + 1e-6
    np.testing.assert_allclose(gradients, [0.9 + 0.1 + 0.9 - 3 * margin, 2 * (0.9 - margin), 0.9 - margin], rtol=1e-9)


def test_cross_entropy_is_equation_1():
    rng = np.random.default_rng(1)
    attributes, phi, labels = rng.normal(size=(6, 5)), rng.normal(size=(4, 5)), np.array([0, 1, 2, 3, 3, 0])
    compatibility = np.exp(attributes @ phi.T)
    expected = -np.mean(np.log(compatibility[np.arange(6), labels] / compatibility.sum(axis=1)))
    np.testing.assert_allclose(losses.attribute_cross_entropy(attributes, labels, phi), expected, rtol=1e-12)


def test_cross_entropy_takes_classes_of_each_task():
    rng = np.random.default_rng(2)
    attributes, phi, labels = rng.normal(size=(2, 6, 5)), rng.normal(size=(2, 4, 5)), rng.integers(4, size=(2, 6))
    each = [losses.attribute_cross_entropy(attributes[t], labels[t], phi[t]) for t in range(2)]
    np.testing.assert_allclose(losses.attribute_cross_entropy(attributes, labels, phi), np.mean(each), rtol=1e-12)


def test_the_sparsity_penalty_is_what_a_channels_weights_sum_up_to_beyond_one():
    weights = np.array([[[0.5, 0.1], [0.75, 0.2]], [[0.5, 0.5], [0.5, 1.0]]])
    assert losses.sparsity_loss(tf.constant(weights), 1).numpy() == pytest.approx((0.25 + 0.5) / 2)
