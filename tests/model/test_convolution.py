"""Convolutions as matrix products against Keras's own, and whole tails of them against a loop of plain tails."""

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.model.backbones import convolution
from bgsnet_tf.model.backbones.backbone import Tail
from bgsnet_tf.model.backbones.convolution import MatrixConv2D, for_training

layers = tf.keras.layers
C, D = 128, 130


def inputs_of(height, width, channels=C):
    return np.random.default_rng(0).normal(size=(3, height, width, channels)).astype(np.float32)


def with_gradients(layer, inputs):
    """Outputs in training, and the gradients of a random loss for inputs and weights."""
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        loss = tf.reduce_sum(outputs * np.random.default_rng(1).normal(size=outputs.shape))
    return outputs, *tape.gradient(loss, [inputs, *layer.trainable_weights])


def assert_close(one, other, tolerance):
    for a, b in zip(one, other):
        assert np.max(np.abs(a - b)) <= tolerance * np.max(np.abs(b))


def pair(layer, inputs):
    """A layer and its form for training, with the same weights."""
    layer(tf.keras.Input(inputs.shape[1:]))
    other = for_training(layer)
    other(inputs)
    other.set_weights(layer.get_weights())
    assert type(other) is MatrixConv2D and other.name == layer.name
    return layer, other


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("height, width", [(7, 7), (4, 4), (8, 5), (3, 13)])
def test_outputs_and_gradients_are_the_direct_sums(kernel, height, width):
    inputs = inputs_of(height, width)
    one, other = pair(layers.Conv2D(D, kernel, padding="same", activation="softplus", bias_initializer="uniform"), inputs)
    assert_close(with_gradients(other, inputs), with_gradients(one, inputs), 1e-5)


def test_bfloat16_rounds_little_more_than_the_direct_sum():
    inputs = inputs_of(7, 7)
    exact = layers.Conv2D(D, 3, padding="same", use_bias=False)
    direct, products = pair(layers.Conv2D(D, 3, padding="same", use_bias=False, dtype="mixed_bfloat16"), inputs)
    exact(inputs)
    exact.set_weights(direct.get_weights())
    expected = with_gradients(exact, inputs)
    for truth, near, far in zip(expected, with_gradients(direct, inputs), with_gradients(products, inputs)):
        rounding = np.std(tf.cast(near, tf.float32) - truth)
        assert 0 < rounding < 0.01 * np.std(truth)
        assert np.std(tf.cast(far, tf.float32) - truth) < 2.5 * rounding


def test_inference_is_the_direct_sum_itself():
    inputs = inputs_of(7, 7)
    one, other = pair(layers.Conv2D(D, 3, padding="same"), inputs)
    np.testing.assert_array_equal(other(inputs), one(inputs))


@pytest.mark.parametrize(
    "options, channels, size",
    [
        ({"kernel_size": 3, "padding": "valid"}, C, 7),
        ({"kernel_size": 3, "padding": "same", "strides": 2}, C, 7),
        ({"kernel_size": 3, "padding": "same", "dilation_rate": 2}, C, 7),
        ({"kernel_size": 3, "padding": "same", "dtype": "float64"}, C, 7),
        ({"kernel_size": 3, "padding": "same"}, C, 2),
        ({"kernel_size": 3, "padding": "same"}, 64, 7),
        ({"kernel_size": 3, "padding": "same"}, C, None),
        ({"kernel_size": 5, "padding": "same"}, C, 7),
        ({"kernel_size": 1, "strides": 2}, C, 7),
    ],
)
def test_what_does_not_suit_stays(options, channels, size):
    layer = layers.Conv2D(D, **options)
    layer(tf.keras.Input([size, size, channels]))
    assert type(for_training(layer)) is layers.Conv2D


def test_grouped_convolutions_and_other_layers_stay():
    grouped = layers.Conv2D(D, 1, groups=2)
    grouped(tf.keras.Input([7, 7, C]))
    assert type(for_training(grouped)) is layers.Conv2D
    assert type(for_training(layers.DepthwiseConv2D(1))) is layers.DepthwiseConv2D


def test_a_gpu_keeps_its_own_convolutions(monkeypatch):
    monkeypatch.setattr(convolution.tf.config, "list_physical_devices", lambda kind: [kind])
    layer = layers.Conv2D(D, 1)
    layer(tf.keras.Input([7, 7, C]))
    assert type(for_training(layer)) is layers.Conv2D


def test_a_copied_tail_trains_as_the_plain_one():
    """Without a kink: a ReLU turns rounding into jumps of the gradient."""
    features = outputs = tf.keras.Input([7, 7, 64])
    for kernel in (1, 3, 3, 1):
        outputs = layers.Conv2D(C, kernel, padding="same", use_bias=False)(outputs)
        outputs = layers.Activation("swish")(layers.BatchNormalization(momentum=0.9)(outputs))
    graph = tf.keras.Model(features, layers.GlobalAveragePooling2D()(outputs))
    tail = Tail(graph)
    copy = tail.copy()
    assert sum(isinstance(layer, MatrixConv2D) for layer in copy.graph.layers) == 4
    assert [w.name for w in copy.graph.weights] == [w.name for w in tail.graph.weights]
    inputs = inputs_of(7, 7, 64)
    assert_close(with_gradients(copy, inputs), with_gradients(tail, inputs), 1e-5)
    assert_close(copy.get_weights(), tail.get_weights(), 1e-5)  # the moving statistics among them
