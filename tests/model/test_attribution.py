"""Heat maps add up to the attributes that the network computes by itself, on every kind of backbone that has them."""

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.model.attribution import Attribution
from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.model.bgsnet import BGSNet
from bgsnet_tf.model.bsnet import BSNet, phases
from bgsnet_tf.model.folding import folded
from bgsnet_tf.model.layers import Predictor, Standardization
from tests.conftest import shared_data
from tests.tiny import BACKBONE, CUT

layers = tf.keras.layers
ATTRIBUTES, SUBMODULES = 7, 2


def network(trunk, tail, size, hidden, style="parallel"):
    """A BGSNet with everything at random: weights, biases, gates, statistics of batch norms behind the pooling."""
    rng = np.random.default_rng(0)
    tf.keras.utils.set_random_seed(0)
    phi = np.eye(ATTRIBUTES, dtype=np.float32)
    bsnet = BSNet([tail.copy(f"tail_{i}") for i in range(SUBMODULES)], phi, phases(style, 1, 1)[-1], b_hidden=4, s_hidden=hidden)
    bgsnet = BGSNet(trunk, tail, Predictor(ATTRIBUTES, hidden), bsnet)
    bgsnet(tf.zeros([1, size, size, 3]))
    for weights in [*bgsnet.general_predictor.weights, *bsnet.predictor.weights, *bsnet.balance.weights, *bsnet.gate.weights]:
        weights.assign(weights + rng.normal(0, 0.1, weights.shape))
    for part in bsnet.tails:
        for weights in part.trainable_weights[-6:]:
            weights.assign(weights * rng.uniform(0.7, 1.3, weights.shape))
    return bgsnet


def images(size):
    return np.random.default_rng(1).uniform(0, 255, (2, size, size, 3)).astype(np.float32)


def summed(decomposition):
    return (tf.reduce_sum(decomposition.maps, [-3, -2]) + decomposition.constants).numpy()


def assert_adds_up(bgsnet, size, tolerance=1e-4):
    """Every branch, and the sub-modules, against the network's own outputs for the same images."""
    found, expected = Attribution(bgsnet)(images(size)), bgsnet(images(size))
    assert set(found) == {*expected, "submodules"}
    for branch, attributes in expected.items():
        assert found[branch].maps.shape[-1] == ATTRIBUTES
        np.testing.assert_allclose(summed(found[branch]), attributes, atol=tolerance)
        assert np.ptp(attributes, axis=0).min() > tolerance, "two images differ in every attribute"
    np.testing.assert_allclose(tf.reduce_sum(found["submodules"].maps, axis=1), found["special"].maps, atol=tolerance)


@pytest.mark.parametrize("hidden", [0, 6])
def test_maps_of_the_small_network(hidden):
    trunk, tail = backbone.build("small", "none", 64)
    assert_adds_up(network(trunk, tail, 64, hidden), 64)


def test_maps_of_a_folded_network():
    trunk, tail = backbone.build("small", "none", 64)
    assert_adds_up(folded(network(trunk, tail, 64, 6)), 64)


@pytest.mark.parametrize("hidden", [0, 6])
@pytest.mark.parametrize("file, scaling", [("squeezenet1_1", "caffe"), ("efficientnet_lite0", "torch")])
def test_maps_of_pretrained_backbones(file, scaling, hidden):
    path = shared_data("backbones") / f"{file}_imagenet_notop.h5"
    trunk, tail = backbone.build(str(path), "none", 224, scaling)
    assert_adds_up(network(trunk, tail, 224, hidden), 224)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [0, 6])
def test_maps_of_resnet101(hidden):
    trunk, tail = backbone.build("ResNet101", "none", 224)
    assert_adds_up(network(trunk, tail, 224, hidden), 224)


def behind_pooling(*after):
    """(Trunk, Tail) of two convolutions, average pooling and more layers."""
    tf.keras.utils.set_random_seed(1)  # of others two images may be too alike
    inputs = tf.keras.Input([16, 16, 3])
    outputs = layers.Conv2D(5, 3, activation="relu", name="last")(layers.Conv2D(4, 3, name="cut")(inputs))
    outputs = layers.GlobalAveragePooling2D(keepdims=True)(outputs)
    for layer in after:
        outputs = layer(outputs)
    return backbone.split(tf.keras.Model(inputs, layers.Flatten()(outputs)), lambda pixels: pixels / 255, "cut")


def norm():
    """A batch norm with statistics and parameters as after training."""
    random = tf.keras.initializers.RandomUniform(0.5, 1.5, seed=0)
    return layers.BatchNormalization(
        beta_initializer=random, gamma_initializer=random, moving_mean_initializer=random, moving_variance_initializer=random
    )


@pytest.mark.parametrize("hidden", [0, 6])
def test_what_scales_and_shifts_each_channel_behind_the_pooling_is_part_of_the_maps(hidden):
    trunk, tail = behind_pooling(norm(), layers.Dropout(0.5))
    assert_adds_up(network(trunk, tail, 16, hidden), 16)


@pytest.mark.parametrize("hidden", [0, 6])
def test_what_a_tail_does_behind_its_graph_is_part_of_the_maps(hidden):
    trunk, tail = behind_pooling()
    tail.standardization = Standardization()
    tail(trunk(tf.zeros([1, 16, 16, 3])))  # builds it
    tail.standardization.adapt(np.random.default_rng(0).normal(0.3, 2, (40, tail.graph.output_shape[-1])).astype(np.float32))
    assert_adds_up(network(trunk, tail, 16, hidden), 16)


@pytest.mark.parametrize("layer", [layers.ReLU(name="culprit"), layers.Dense(5, name="culprit"), layers.Conv2D(5, 1, name="culprit")])
def test_what_mixes_or_bends_channels_behind_the_pooling_is_refused_by_name(layer):
    trunk, tail = behind_pooling(layer)
    with pytest.raises(UserError, match=f"layer culprit \\({type(layer).__name__}\\)"):
        Attribution(BGSNet(trunk, tail, Predictor(ATTRIBUTES)))


def test_a_backbone_without_average_pooling_is_refused_by_name():
    inputs = tf.keras.Input([16, 16, 3])
    outputs = layers.GlobalMaxPooling2D(name="largest")(layers.Conv2D(5, 3)(layers.Conv2D(4, 3, name="cut")(inputs)))
    trunk, tail = backbone.split(tf.keras.Model(inputs, outputs), tf.identity, "cut")
    with pytest.raises(UserError, match="layer largest"):
        Attribution(BGSNet(trunk, tail, Predictor(ATTRIBUTES)))
    with pytest.raises(UserError, match="no heat maps"):
        Attribution(BGSNet(*backbone.identity(8), Predictor(ATTRIBUTES)))


@pytest.mark.parametrize("branch", ["general", "special"])
def test_maps_of_one_branch_alone(branch):
    trunk, tail = backbone.build(str(BACKBONE), "none", 32, "tf", CUT)
    whole = network(trunk, tail, 32, 0)
    alone = BGSNet(trunk, tail, whole.general_predictor if branch == "general" else None, whole.bsnet if branch == "special" else None)
    found = Attribution(alone)(images(32))
    assert set(found) == ({"fused", "general"} if branch == "general" else {"fused", "special", "submodules"})
    np.testing.assert_allclose(summed(found["fused"]), alone(images(32))["fused"], atol=1e-4)


def test_a_map_shows_where_the_evidence_is():
    """An image whose left half alone excites the last layer has its evidence there."""
    inputs = tf.keras.Input([16, 16, 3])
    outputs = layers.Conv2D(5, 1, activation="relu", use_bias=False)(layers.Conv2D(4, 1, use_bias=False, name="cut")(inputs))
    trunk, tail = backbone.split(tf.keras.Model(inputs, layers.GlobalAveragePooling2D()(outputs)), tf.identity, "cut")
    bgsnet = BGSNet(trunk, tail, Predictor(ATTRIBUTES))
    half = images(16)
    half[:, :, 8:] = 0
    bgsnet(half)
    maps = Attribution(bgsnet)(half)["general"].maps.numpy()
    assert np.abs(maps[:, :, :8]).max() > 0
    np.testing.assert_array_equal(maps[:, :, 8:], 0)
