"""Any backbone cut in two computes what it computed whole."""

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.model.layers import Standardization
from tests.conftest import shared_data

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
SQUEEZENET = "backbones/squeezenet1_1_imagenet_notop.h5"


def whole_and_cut(name, monkeypatch):
    """Pooled features of the uncut backbone and of trunk + tail with the same random weights, and the two parts."""
    wholes = []
    split = backbone.split

    def remembering(model, *args):
        wholes.append(model)
        return split(model, *args)

    monkeypatch.setattr(backbone, "split", remembering)
    trunk, tail = backbone.build(name, "none", 64)
    for layer in wholes[0].layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.moving_mean.assign(tf.random.stateless_normal(layer.moving_mean.shape, [0, 1]) * 0.1)
    trunk, tail = split(wholes[0], trunk.preprocess)
    whole = wholes[0](trunk.preprocess(tf.constant(IMAGES)), training=False).numpy()
    return whole, tail(trunk(IMAGES)).numpy(), trunk, tail


@pytest.mark.parametrize(
    "name, cut, readers",
    [
        ("ResNet50", "conv4_block6_out", {"conv5_block1_1_conv", "conv5_block1_0_conv"}),
        pytest.param("ResNet101", "conv4_block23_out", {"conv5_block1_1_conv", "conv5_block1_0_conv"}, marks=pytest.mark.long),
        pytest.param("ResNet152", "conv4_block36_out", {"conv5_block1_1_conv", "conv5_block1_0_conv"}, marks=pytest.mark.long),
        ("EfficientNetV2B0", None, None),
        ("MobileNetV2", "block_13_project_BN", {"block_14_expand"}),
        ("small", None, None),
    ],
)
def test_trunk_and_tail_compute_the_whole(name, cut, readers, monkeypatch):
    whole, parts, trunk, tail = whole_and_cut(name, monkeypatch)
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)
    convolutions = [layer.name for layer in tail.graph.layers if isinstance(layer, backbone.CONVOLUTIONS)]
    assert len(convolutions) >= backbone.TAIL_CONVOLUTIONS
    if cut:
        assert trunk.graph.layers[-1].name == cut
        assert readers <= set(convolutions)


def test_resnet101_hands_on_only_what_the_tail_reads():
    trunk, tail = backbone.build("ResNet101", "none", 64)
    main = [f"conv5_block{b}_{c}_conv" for b in (1, 2, 3) for c in (1, 2, 3)]
    convolutions = [layer.name for layer in tail.graph.layers if isinstance(layer, backbone.CONVOLUTIONS)]
    assert sorted(convolutions) == sorted([*main, "conv5_block1_0_conv"])
    assert trunk.stride == 2
    assert trunk(IMAGES).shape == (2, 2, 2, 1024)  # conv4's own output is 4×4
    assert tail(trunk(IMAGES)).shape == (2, 2048)


def test_the_named_split_layer_is_the_trunks_last():
    trunk, tail = backbone.build("ResNet50", "none", 64, split_layer="conv5_block1_out")
    assert trunk.graph.layers[-1].name == "conv5_block1_out"
    assert tail(trunk(IMAGES)).shape == (2, 2048)


def count_convolutions(part):
    return sum(isinstance(layer, backbone.CONVOLUTIONS) for layer in part.graph.layers)


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_the_tail_has_its_share_of_the_convolutions_and_no_more_than_the_next_cut_leaves(share):
    whole = backbone.split(
        tf.keras.applications.MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=(64, 64, 3)), tf.identity
    )
    trunk, tail = backbone.build("MobileNetV2", "none", 64, tail_share=share)
    total, found = (count_convolutions(whole[0]) + count_convolutions(whole[1]), count_convolutions(tail))
    assert share * total <= found < share * total + 6  # two blocks of three convolutions
    assert tail(trunk(IMAGES)).shape == (2, 1280)


def test_more_convolutions_than_the_backbone_has_after_a_cut_are_refused():
    with pytest.raises(UserError, match="backbone small has no cut with 25 convolutions after it"):
        backbone.build("small", "none", 64, tail_share=1.0)


def test_a_copied_tail_starts_equal_and_trains_alone():
    trunk, tail = backbone.build("small", "none", 64)
    features = trunk(IMAGES)
    tail.trainable = False
    copy = tail.copy()
    np.testing.assert_array_equal(copy(features), tail(features))
    assert copy.trainable_weights and not tail.trainable_weights
    before = tail(features).numpy()
    copy.set_weights([w + 1 for w in copy.get_weights()])
    np.testing.assert_array_equal(tail(features), before)


def test_the_users_model_file_is_cut_after_fire6():
    path = str(shared_data(SQUEEZENET))
    trunk, tail = backbone.build(path, "none", 224, preprocessing="caffe")
    assert trunk.graph.layers[-1].name == "fire6/concat"
    assert sum(isinstance(layer, tf.keras.layers.Conv2D) for layer in tail.graph.layers) == 9
    images = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    whole = tf.keras.models.load_model(path, compile=False)
    bgr = images[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    np.testing.assert_allclose(tail(trunk(images)), whole(bgr).numpy().mean(axis=(1, 2)), rtol=1e-4, atol=1e-4)


def test_a_convolutional_model_file_takes_images_of_any_size(tmp_path):
    source = tf.keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    path = str(tmp_path / "model.h5")
    source.save(path)
    trunk, tail = backbone.build(path, "none", 64, preprocessing="none")
    free = tf.keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3))
    free.set_weights(source.get_weights())
    np.testing.assert_allclose(tail(trunk(IMAGES)), free(IMAGES).numpy().mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)


def test_held_batch_norms_compute_in_training_as_at_inference_and_keep_their_statistics():
    trunk, tail = backbone.build("small", "none", 64)
    expected = tail(trunk(IMAGES))
    before = [w.numpy() for w in trunk.non_trainable_weights + tail.non_trainable_weights]
    trunk.hold_batch_norm = tail.hold_batch_norm = True
    np.testing.assert_array_equal(tail(trunk(IMAGES, training=True), training=True), expected)
    copy = tail.copy()
    np.testing.assert_allclose(copy(trunk(IMAGES), training=True), expected, rtol=1e-4, atol=1e-5)
    after = [w.numpy() for w in trunk.non_trainable_weights + tail.non_trainable_weights]
    for old, new in zip(before, after):
        np.testing.assert_array_equal(old, new)
    trunk.hold_batch_norm = False
    assert np.abs(trunk(IMAGES, training=True) - trunk(IMAGES)).max() > 1e-3  # so that holding makes a difference here


def test_tails_and_their_copies_share_constants_that_standardise_e():
    trunk, tail = backbone.build("small", "none", 64)
    plain = tail(trunk(IMAGES)).numpy()
    tail.standardization = Standardization()
    np.testing.assert_array_equal(tail(trunk(IMAGES)), plain)  # the identity, until adapted
    rows = np.random.default_rng(0).normal(3, 2, (50, plain.shape[1])).astype(np.float32)
    standardised = tail.standardization.adapt(rows)
    np.testing.assert_allclose(standardised, (rows - rows.mean(0)) / rows.std(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tail.copy()(trunk(IMAGES)), (plain - rows.mean(0)) / rows.std(0), rtol=1e-4, atol=1e-4)
    assert len(tail.trainable_weights) == len(tail.graph.trainable_weights)


def test_weights_of_a_named_backbone_come_from_a_file(tmp_path):
    source = tf.keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3))
    source.save_weights(str(tmp_path / "weights.h5"))
    trunk, tail = backbone.build("MobileNetV2", str(tmp_path / "weights.h5"), 64)
    expected = source(tf.keras.applications.mobilenet_v2.preprocess_input(IMAGES.copy())).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(tail(trunk(IMAGES)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name, weights, options, message",
    [
        ("ResNet99", "none", {}, "--backbone=ResNet99 is neither"),
        ("preprocess_input", "none", {}, "--backbone=preprocess_input is neither"),
        ("ResNet50", "nowhere.h5", {}, "--backbone_weights=nowhere.h5: no such file"),
        ("ResNet50", "none", {"split_layer": "conv9_out"}, "is no layer of the backbone; possible ones"),
        ("ResNet50", "none", {"split_layer": "conv5_block3_2_conv"}, "is not a point that all paths pass"),
        ("setup.txt", "none", {"preprocessing": "tf"}, "cannot be read as a Keras 2 model"),
        ("model.h5", "none", {}, "--preprocessing is missing"),
        ("model.h5", "none", {"preprocessing": "tf"}, "takes images of 32×32 alone; give --image_size=32"),
    ],
)
def test_what_cannot_be_built_is_explained(name, weights, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.txt").write_text("no model")
    if name == "model.h5":
        inputs = tf.keras.Input((32, 32, 3))
        features = tf.keras.layers.Conv2D(4, 3)(inputs)
        tf.keras.Model(inputs, tf.keras.layers.Dense(5)(tf.keras.layers.Flatten()(features))).save("model.h5")
    with pytest.raises(UserError, match=message):
        backbone.build(name, weights, 64, **options)


def test_imagenet_weights_that_cannot_be_downloaded_say_how_to_pass_a_file(monkeypatch):
    def offline(weights, **_):
        raise Exception("URL fetch failure on https://…: None -- [Errno -2] Name or service not known")

    monkeypatch.setattr(tf.keras.applications, "ResNet50", offline)
    with pytest.raises(UserError, match="--backbone_weights=PATH"):
        backbone.build("ResNet50", "imagenet", 64)


def test_weights_of_another_architecture_are_refused(tmp_path):
    tf.keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3)).save_weights(str(tmp_path / "w.h5"))
    with pytest.raises(UserError, match="do not fit ResNet50"):
        backbone.build("ResNet50", str(tmp_path / "w.h5"), 64)


def norms_of(graph):
    return [layer for layer in graph.submodules if isinstance(layer, tf.keras.layers.BatchNormalization)]


def test_synchronized_batch_norms_are_everywhere():
    trunk, tail = backbone.build("small", "none", 64, sync_batch_norm=True)
    for graph in (trunk.graph, tail.graph, tail.copy().graph):
        assert norms_of(graph) and all(norm.synchronized for norm in norms_of(graph))


def test_a_model_inside_a_model_is_synchronized_too():
    inner = tf.keras.Sequential([tf.keras.Input((8, 8, 3)), tf.keras.layers.Conv2D(4, 1), tf.keras.layers.BatchNormalization()])
    inputs = tf.keras.Input((8, 8, 3))
    model = tf.keras.Model(inputs, tf.keras.layers.BatchNormalization()(inner(inputs)))
    model.set_weights([np.full(w.shape, i + 1.0) for i, w in enumerate(model.get_weights())])
    found = backbone.with_synchronized_batch_norms(model)
    assert [norm.synchronized for norm in norms_of(found)] == [True, True]
    np.testing.assert_allclose(found(np.ones((1, 8, 8, 3))), model(np.ones((1, 8, 8, 3))), rtol=1e-5)


def test_synchronizing_draws_no_random_numbers():
    """Else what is initialised after the backbone would depend on the number of devices."""

    def drawn_after(sync_batch_norm):
        tf.keras.utils.set_random_seed(0)
        trunk, _ = backbone.build("small", "none", 64, sync_batch_norm=sync_batch_norm)
        return trunk.get_weights()[0], tf.keras.initializers.GlorotUniform()((2, 2)).numpy()

    for one, other in zip(drawn_after(False), drawn_after(True)):
        np.testing.assert_array_equal(one, other)
