"""Batch norms over two replicas compute what one device computes from the whole batch."""

import concurrent.futures

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.model.backbones import backbone
from tests.programs import FORKED

REPLICAS = 2
IMAGES = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype(np.float32)
TARGETS = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32)


def build(sync_batch_norm):
    """Trunk, tail and the tail's copy of a network without a kink: a ReLU turns rounding into jumps of the gradient."""
    inputs = outputs = tf.keras.Input((16, 16, 3))
    for i, channels in enumerate((4, 6, 8)):
        outputs = tf.keras.layers.Conv2D(channels, 3, padding="same", use_bias=False)(outputs)
        outputs = tf.keras.layers.BatchNormalization(momentum=0.9)(outputs)
        outputs = tf.keras.layers.Activation("swish", name=f"activation_{i}")(outputs)
    pooled = tf.keras.layers.GlobalAveragePooling2D()(outputs)
    network = tf.keras.Model(inputs, pooled)
    if sync_batch_norm:
        network = backbone.with_synchronized_batch_norms(network)
    trunk, tail = backbone.split(network, tf.identity, "activation_1")
    return trunk, tail, tail.copy("copy")


def random_weights():
    """Of every part: kernels around 0, all others positive, as variances must be."""
    rng = np.random.default_rng(2)
    return [[rng.uniform(0.5, 1.5, w.shape) - (w.ndim > 1) for w in part.get_weights()] for part in build(sync_batch_norm=False)]


def step(parts, images, targets):
    """Outputs in training, the moving statistics after it, and gradients of a loss that is summed over images."""
    trunk, tail, copy = parts
    with tf.GradientTape() as tape:
        features = trunk(images, training=True)
        outputs = tf.stack([tail(features, training=True), copy(features, training=True)], axis=1)
        loss = tf.reduce_sum(outputs * targets[:, tf.newaxis])
    return outputs, tape.gradient(loss, [w for part in parts for w in part.trainable_weights])


def on_one_device(values, sync_batch_norm):
    parts = build(sync_batch_norm)
    for part, of_part in zip(parts, values):
        part.set_weights(of_part)
    outputs, gradients = step(parts, IMAGES, TARGETS)
    return outputs.numpy(), [g.numpy() for g in gradients], [w for part in parts for w in part.get_weights()]


def on_two_replicas(values):
    """The same without and with synchronization, each half of the batch on a logical device of its own.

    Needs a process in which TensorFlow has not begun.
    """
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * REPLICAS
    )
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(REPLICAS)])
    return [_on_strategy(strategy, values, sync_batch_norm) for sync_batch_norm in (False, True)]


def _on_strategy(strategy, values, sync_batch_norm):
    with strategy.scope():
        parts = build(sync_batch_norm)
        for part, of_part in zip(parts, values):
            part.set_weights(of_part)

    @tf.function
    def replica_step(images, targets):
        outputs, gradients = step(parts, images, targets)
        return outputs, tf.distribute.get_replica_context().all_reduce("SUM", gradients)

    halves = [
        strategy.experimental_distribute_values_from_function(
            lambda context, array=array: tf.constant(np.split(array, REPLICAS)[context.replica_id_in_sync_group])
        )
        for array in (IMAGES, TARGETS)
    ]
    outputs, gradients = strategy.run(replica_step, halves)
    outputs = np.concatenate([output.numpy() for output in strategy.experimental_local_results(outputs)])
    gradients = [strategy.experimental_local_results(gradient)[0].numpy() for gradient in gradients]
    return outputs, gradients, [w for part in parts for w in part.get_weights()]


def differences(one, other):
    """Largest difference of every array, relative to the largest value of all."""
    largest = max(np.max(np.abs(b)) for b in other)
    return [np.max(np.abs(a - b)) / largest for a, b in zip(one, other)]


@pytest.fixture(scope="module")
def results():
    """(outputs, gradients, weights after) of two replicas, without and with synchronization, and of one device."""
    values = random_weights()
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=FORKED) as pool:
        replicas = pool.submit(on_two_replicas, values).result()
    return replicas, on_one_device(values, sync_batch_norm=False)


def test_two_synchronized_replicas_are_one_device(results):
    """The one device has Keras's plain batch norms."""
    (_, replicas), device = results
    assert max(differences(replicas[:1], device[:1])) < 1e-5
    assert max(differences(replicas[1], device[1])) < 1e-5
    assert max(differences(replicas[2], device[2])) < 1e-5


def test_without_synchronization_replicas_see_their_own_images_only(results):
    (replicas, _), device = results
    assert np.max(np.abs(replicas[0] - device[0])) > 1e-2
