"""Predictors, instance balance and gates against a few lines of NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.model.layers import AnnealedGate, InstanceBalance, Predictor

B, N, K, A = 3, 4, 5, 2


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("hidden", [0, 6])
def test_predictor_is_one_or_two_dense_layers(hidden):
    predictor, x = Predictor(A, hidden), normal(B, K)
    outputs = predictor(x).numpy()
    weights = [w.numpy() for w in predictor.trainable_weights]
    assert len(weights) == (4 if hidden else 2)
    expected = x @ weights[0] + weights[1]
    if hidden:
        expected = np.maximum(expected, 0) @ weights[2] + weights[3]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


def test_a_frozen_predictor_predicts_as_before():
    predictor, x = Predictor(A, 6), normal(B, K)
    before = predictor(x).numpy()
    predictor.trainable = False
    np.testing.assert_array_equal(predictor(x), before)


@pytest.mark.parametrize("hidden", [0, 6])
def test_instance_balance_is_equation_4(hidden):
    balance, special, general = InstanceBalance(hidden), normal(B, N, K), normal(B, K, seed=1)
    weights = balance([special, general]).numpy()
    assert weights.shape == (B, N, K)
    for i in range(N):
        x = np.concatenate([special[:, i], general], axis=1)
        x = x @ balance.kernels[0][i].numpy() + balance.biases[0][i].numpy()
        if hidden:
            x = np.maximum(x, 0) @ balance.kernels[1][i].numpy() + balance.biases[1][i].numpy()
        np.testing.assert_allclose(weights[:, i], sigmoid(x), rtol=1e-5, atol=1e-6)


def test_sub_modules_start_with_different_weights():
    balance = InstanceBalance()
    same = np.repeat(normal(B, 1, K), N, axis=1)
    weights = balance([same, normal(B, K)]).numpy()
    assert np.all(np.ptp(weights, axis=1) > 0)


def test_gate_is_equation_15():
    gate, embeddings = AnnealedGate(), normal(B, N, K)
    outputs = gate(embeddings, scale=3.0)
    assert gate.w.shape == (N,)
    np.testing.assert_allclose(outputs, embeddings * sigmoid(3 * gate.w.numpy())[:, None], rtol=1e-5)


def gate_gradient(compensate, scale):
    gate = AnnealedGate(s_max=5.0, compensate=compensate)
    gate.build([B, N, K])
    gate.w.assign([-2.0, -0.5, 0.5, 2.0])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(gate.gates(scale))
    return tape.gradient(loss, gate.w).numpy(), gate.w.numpy()


def test_gradient_compensation_gives_s_max_times_the_unscaled_sigmoids_slope():
    gradient, w = gate_gradient(True, 3.0)
    # s σ'(s w) · (cosh(s w)+1)/(cosh(w)+1) · s_max/s = s_max σ'(w), since σ'(x) = 1 / (2 cosh(x) + 2)
    np.testing.assert_allclose(gradient, 5.0 * sigmoid(w) * (1 - sigmoid(w)), rtol=1e-4)


def test_without_compensation_the_gradient_is_the_sigmoids():
    gradient, w = gate_gradient(False, 3.0)
    np.testing.assert_allclose(gradient, 3.0 * sigmoid(3 * w) * (1 - sigmoid(3 * w)), rtol=1e-4)
