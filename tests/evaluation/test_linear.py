"""The linear map against Keras, step by step, and on data where the right answer is known."""

import itertools

import numpy as np
import tensorflow as tf

from bgsnet_tf.evaluation import linear
from bgsnet_tf.model.losses import attribute_cross_entropy
from tests.evaluation.test_eszsl import gaussian


def after(epochs, *arguments):
    return next(itertools.islice(linear.maps(*arguments), epochs - 1, None))


def test_its_steps_are_those_of_keras():
    phi, x, labels = gaussian(np.random.default_rng(0), classes=7, attributes=5, features=11, rows=30, noise=1.0)
    phi, x = phi.astype(np.float32), (3 + 10 * x).astype(np.float32)
    x[:, 4] = 2.5  # a channel that never varies
    dense = tf.keras.layers.Dense(5, kernel_initializer="zeros")
    deviation = np.where(np.arange(11) == 4, 1, x.std(axis=0))
    standardised = (x - x.mean(axis=0)) / deviation
    dense.build([None, 11])
    optimizer, rng = tf.keras.optimizers.Adam(linear.LEARNING_RATE), np.random.default_rng(3)
    for _ in range(2):
        for rows in np.array_split(rng.permutation(len(x)), len(x) // linear.BATCH_SIZE):
            with tf.GradientTape() as tape:
                loss = attribute_cross_entropy(dense(standardised[rows]), labels[rows], phi)
            optimizer.apply_gradients(zip(tape.gradient(loss, dense.weights), dense.weights))
    np.testing.assert_allclose(after(2, x, labels, phi, 3)(x), dense(standardised), atol=1e-4)


def test_recognises_unseen_classes_of_a_linear_world():
    phi, x, labels = gaussian(np.random.default_rng(2), classes=40, attributes=6, features=30, rows=20, noise=0.1)
    seen = labels < 30
    phi /= np.linalg.norm(phi, axis=1, keepdims=True)
    scores = after(200, x[seen], labels[seen], phi[:30], 0)(x[~seen]) @ phi[30:].T
    assert np.mean(np.argmax(scores, axis=1) == labels[~seen] - 30) > 0.8


def test_the_seed_decides():
    phi, x, labels = gaussian(np.random.default_rng(1), classes=4, attributes=3, features=5, rows=50, noise=1.0)
    one, same, other = (after(2, x, labels, phi, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.weights, same.weights)
    assert np.any(one.weights != other.weights)
