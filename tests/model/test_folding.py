"""Folded networks infer what the whole ones do, with no batch norm left after a convolution."""

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.model.bgsnet import BGSNet
from bgsnet_tf.model.bsnet import BSNet, phases
from bgsnet_tf.model.folding import folded, folded_graph
from bgsnet_tf.model.layers import Predictor
from tests.tiny import BACKBONE, CUT

layers = tf.keras.layers


def stir(graph):
    """Gives batch norms statistics and parameters as after training."""
    rng = np.random.default_rng(0)
    for layer in graph.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])


def norms(graph):
    return sum(isinstance(layer, layers.BatchNormalization) for layer in graph.layers)


@pytest.mark.parametrize(
    "name, left", [("ResNet50", 0), ("MobileNetV2", 0), pytest.param("DenseNet121", 62, marks=pytest.mark.long), ("small", 0)]
)
def test_a_folded_backbone_computes_the_same(name, left):
    trunk, tail = backbone.build(name, "none", 64)
    remaining = 0
    for graph in (trunk.graph, tail.graph):
        stir(graph)
        small = folded_graph(graph)
        inputs = np.random.default_rng(1).uniform(-1, 1, (2, *graph.input_shape[1:])).astype(np.float32)
        expected = graph(inputs, training=False).numpy()
        np.testing.assert_allclose(small(inputs), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
        remaining += norms(small)
    assert remaining == left


def test_convolutions_that_others_read_or_that_are_not_linear_stay():
    inputs = tf.keras.Input([8, 8, 3])
    shared = layers.Conv2D(4, 1)(inputs)
    active = layers.Conv2D(4, 1, activation="relu")(inputs)
    outputs = layers.Add()([layers.BatchNormalization()(shared), shared, layers.BatchNormalization()(active)])
    graph = tf.keras.Model(inputs, outputs)
    stir(graph)
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(folded_graph(graph)(images), graph(images, training=False))


def test_a_folded_bgsnet_predicts_the_same_and_leaves_the_original_alone():
    trunk, tail = backbone.build(str(BACKBONE), "none", 32, "tf", CUT)
    phi = np.eye(3, dtype=np.float32)
    bsnet = BSNet([tail.copy(f"tail_{i}") for i in range(2)], phi, phases("parallel", 1, 1)[-1])
    bgsnet = BGSNet(trunk, tail, Predictor(3), bsnet)
    images = np.random.default_rng(1).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    bgsnet(images)
    for graph in (trunk.graph, tail.graph, *(tail.graph for tail in bsnet.tails)):
        stir(graph)
    expected = bgsnet(images)
    outputs = folded(bgsnet)(images)
    for name in expected:
        np.testing.assert_allclose(outputs[name], expected[name], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(bgsnet(images)[name], expected[name])
    assert norms(bsnet.tails[0].graph) and not norms(folded(bgsnet).bsnet.tails[0].graph)
