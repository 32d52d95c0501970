"""The episodic update against finite differences and a NumPy reading of Eqs. 2-3."""

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.data import episodes
from bgsnet_tf.model.gnet import MetaGNet, outputs_at_virtual
from bgsnet_tf.model.layers import Dense, Predictor
from bgsnet_tf.model.losses import attribute_cross_entropy

K, A, C, ROWS, ALPHA = 4, 3, 6, 30, 0.7


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(C), ROWS // C)
    embeddings, phi = rng.normal(size=(ROWS, K)).astype(np.float32), rng.normal(size=(C, A)).astype(np.float32)
    return embeddings, phi, labels, episodes.sample(rng, labels, tasks=3, way=2, shot=3, query=2)


def softmax(x):
    x = np.exp(x - x.max(axis=1, keepdims=True))
    return x / x.sum(axis=1, keepdims=True)


def numpy_loss_and_gradient(theta, x, y, phi):
    """Eq. 1 of a linear f_g, and its gradient in closed form; `theta` is (K + 1, A) with the bias last."""
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    p = softmax(x @ theta @ phi.T)
    loss = -np.mean(np.log(p[np.arange(len(y)), y]))
    p[np.arange(len(y)), y] -= 1
    return loss, x.T @ p @ phi / len(y)


def numpy_meta_loss(theta, embeddings, phi, tasks):
    """Σ_j of Eq. 3 as a function of θ."""
    total = 0.0
    for t in range(len(tasks.support_rows)):
        support, query = tasks.support_rows[t].ravel(), tasks.query_rows[t].ravel()
        y_support = np.repeat(tasks.support_classes[t], tasks.support_rows.shape[2])
        y_query = np.repeat(tasks.query_classes[t], tasks.query_rows.shape[2])
        virtual = theta - ALPHA * numpy_loss_and_gradient(theta, embeddings[support], y_support, phi)[1]
        total += numpy_loss_and_gradient(virtual, embeddings[query], y_query, phi)[0]
    return total


def gradient_by_differences(function, theta, step=1e-5):
    gradient = np.zeros_like(theta)
    for index in np.ndindex(*theta.shape):
        shift = np.zeros_like(theta)
        shift[index] = step
        gradient[index] = (function(theta + shift) - function(theta - shift)) / (2 * step)
    return gradient


def meta_gradient(data, **options):
    embeddings, phi, _, tasks = data
    predictor = Predictor(A)
    predictor.build([None, K])
    predictor.set_weights([np.random.default_rng(5).normal(size=w.shape) for w in predictor.get_weights()])
    model = MetaGNet(predictor, embeddings, phi, ALPHA, **options)
    tasks = episodes.Episodes(*map(tf.constant, tasks))
    with tf.GradientTape() as tape:
        loss = model.task_losses(tasks)[1] * 3
    kernel, bias = tape.gradient(loss, predictor.trainable_weights)
    theta = np.concatenate([predictor.get_weights()[0], predictor.get_weights()[1][None]]).astype(np.float64)
    return loss.numpy(), np.concatenate([kernel, bias[None]]), theta


def test_meta_gradient_has_its_second_order_term(data):
    loss, gradient, theta = meta_gradient(data)
    embeddings, phi, _, tasks = data
    np.testing.assert_allclose(loss, numpy_meta_loss(theta, embeddings, phi, tasks), rtol=1e-5)
    expected = gradient_by_differences(lambda theta: numpy_meta_loss(theta, embeddings, phi, tasks), theta)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)


def test_first_order_leaves_the_second_order_term_out(data):
    _, gradient, theta = meta_gradient(data, first_order=True)
    embeddings, phi, _, tasks = data
    expected = np.zeros_like(theta)
    for t in range(3):
        y_support, y_query = np.repeat(tasks.support_classes[t], 3), np.repeat(tasks.query_classes[t], 2)
        virtual = theta - ALPHA * numpy_loss_and_gradient(theta, embeddings[tasks.support_rows[t].ravel()], y_support, phi)[1]
        expected += numpy_loss_and_gradient(virtual, embeddings[tasks.query_rows[t].ravel()], y_query, phi)[1]
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5)
    assert np.max(np.abs(gradient - meta_gradient(data)[1])) > 1e-2


@pytest.mark.parametrize("first_order", [False, True])
def test_two_layers_get_the_gradient_of_a_loop_over_tasks_with_virtual_weights(data, first_order):
    embeddings, phi, _, tasks = data
    predictor = Predictor(A, hidden=5)
    predictor.build([None, K])
    predictor.set_weights([np.random.default_rng(6).normal(size=w.shape) for w in predictor.get_weights()])
    model = MetaGNet(predictor, embeddings, phi, ALPHA, first_order=first_order)
    with tf.GradientTape() as tape:
        loss = model.task_losses(episodes.Episodes(*map(tf.constant, tasks)))[1] * 3
    gradients = tape.gradient(loss, predictor.trainable_weights)

    def task_loss(weights, rows, classes):
        hidden = tf.nn.relu(tf.matmul(embeddings[rows.ravel()], weights[0]) + weights[1])
        attributes = tf.matmul(hidden, weights[2]) + weights[3]
        return attribute_cross_entropy(attributes, np.repeat(classes, rows.shape[1]), phi)

    with tf.GradientTape() as outer:
        expected = 0.0
        for t in range(3):
            weights = [tf.identity(w) for w in predictor.trainable_weights]
            with tf.GradientTape() as inner:
                inner.watch(weights)
                support_loss = task_loss(weights, tasks.support_rows[t], tasks.support_classes[t])
            steps = inner.gradient(support_loss, weights)
            virtual = [w - ALPHA * (tf.stop_gradient(step) if first_order else step) for w, step in zip(weights, steps)]
            expected += task_loss(virtual, tasks.query_rows[t], tasks.query_classes[t])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for one, other in zip(gradients, outer.gradient(expected, predictor.trainable_weights)):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_outputs_at_virtual_parameters_are_those_of_parameters_that_are_formed():
    rng = np.random.default_rng(7)
    kernel, bias, trained, inputs = (rng.normal(size=shape).astype(np.float32) for shape in ((K, A), (A,), (2, 3, K), (2, 4, K)))
    gradients = rng.normal(size=(2, 3, A)).astype(np.float32)
    found = outputs_at_virtual(Dense(kernel, bias), ALPHA, trained, gradients, inputs.reshape(8, K)).numpy().reshape(2, 4, A)
    for t in range(2):
        virtual = kernel - ALPHA * trained[t].T @ gradients[t], bias - ALPHA * gradients[t].sum(axis=0)
        np.testing.assert_allclose(found[t], inputs[t] @ virtual[0] + virtual[1], rtol=1e-5, atol=1e-5)


def test_softmax_over_the_tasks_own_classes(data):
    loss, _, theta = meta_gradient(data, softmax_over_task=True)
    embeddings, phi, _, tasks = data
    expected = 0.0
    for t in range(3):
        y_support, y_query = np.repeat([0, 1], 3), np.repeat([0, 1], 2)
        support_phi, query_phi = phi[tasks.support_classes[t]], phi[tasks.query_classes[t]]
        step = numpy_loss_and_gradient(theta, embeddings[tasks.support_rows[t].ravel()], y_support, support_phi)[1]
        expected += numpy_loss_and_gradient(theta - ALPHA * step, embeddings[tasks.query_rows[t].ravel()], y_query, query_phi)[0]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
