"""What a run starts from beside random weights, through a whole run: constants of e, least squares, f_s from f_g, centred φ."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import bgsnet_tf
from bgsnet_tf import commands
from bgsnet_tf.data import images
from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import eszsl
from bgsnet_tf.training import stages
from tests.conftest import tiny_config_below

STARTS = {
    "standardize": True,
    "center_attributes": True,
    "batch_norm": "hold",
    "g_hidden": 0,
    "g_start": "least_squares",
    "s_hidden": 0,
    "b_start": "open",
    "s_start": "general",
    "eta_per_weight": True,
}
# Steps too small to leave the start by more than rounding.
STILL = {name: 1e-12 for name in ("finetune_lr", "finetune_backbone_lr", "meta_lr", "bsnet_lr", "tail_lr", "gate_lr")}


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """(settings, `Run`, network) of a run that stands still at its start."""
    config = tiny_config_below(tmp_path_factory.mktemp("started")).replace(**STARTS, **STILL, finetune_weight_decay=0.0)
    run, bgsnet = commands.fit(config)
    return config, run, bgsnet


def embeddings(run, bgsnet, rows):
    batches = images.image_batches(run.benchmark, images.items_of(rows), run.views, 8)
    return np.concatenate([bgsnet.general_tail(bgsnet.trunk(batch)) for batch in batches])


def test_e_is_standardised_over_the_training_images_for_every_branch(started):
    _, run, bgsnet = started
    e = embeddings(run, bgsnet, run.benchmark.train)
    varies = bgsnet.general_tail.standardization.deviation.numpy() > 1e-3
    np.testing.assert_allclose(e.mean(axis=0)[varies], 0, atol=1e-2)
    np.testing.assert_allclose(e.std(axis=0)[varies], 1, atol=1e-2)
    assert all(tail.standardization is bgsnet.general_tail.standardization for tail in bgsnet.bsnet.tails)


def test_f_g_is_the_closed_form_and_f_s_a_share_of_it_for_every_sub_module(started):
    _, run, bgsnet = started
    expected = eszsl.classifier_start(embeddings(run, bgsnet, run.benchmark.train), run.labels, run.class_attributes)
    kernel, bias = bgsnet.general_predictor.get_weights()
    np.testing.assert_allclose(kernel, expected, rtol=1e-2, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_allclose(bias, 0, atol=1e-6)
    gates = bgsnet.bsnet.gate.gates(1 / bgsnet.bsnet.s_max).numpy()  # s of the first epoch
    for share in np.split(bgsnet.bsnet.predictor.get_weights()[0], len(gates)):
        np.testing.assert_allclose(share, kernel / gates.sum(), atol=1e-5)


def test_instance_weights_start_near_one_and_differ(started):
    _, run, bgsnet = started
    batch = next(iter(images.image_batches(run.benchmark, images.items_of(run.benchmark.train[:8]), run.views, 8)))
    features = bgsnet.trunk(batch)
    weights = bgsnet.bsnet.balanced(features, bgsnet.general_tail(features))[0].numpy()
    assert weights.min() > 0.9 and weights.max() < 1
    assert np.mean(np.ptp(weights, axis=1) > 0) > 0.99  # but where rounding makes them equal


def test_batch_norms_keep_the_statistics_they_came_with(started):
    _, run, bgsnet = started
    fresh = stages.build_backbone(run, "none")
    for layer in (*bgsnet.trunk.graph.layers, *bgsnet.bsnet.tails[0].graph.layers):
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            np.testing.assert_array_equal(layer.moving_mean, np.zeros(layer.moving_mean.shape))
    assert fresh[0].hold_batch_norm and fresh[1].hold_batch_norm


def test_such_a_run_is_read_scored_and_served_alike(started):
    config, run, bgsnet = started
    commands.train(config)  # finished: it is restored and exported
    restored = stages.build_bgsnet(commands.open_run(config))
    rows = run.benchmark.test_unseen
    np.testing.assert_array_equal(embeddings(run, restored, rows), embeddings(run, bgsnet, rows))
    results = commands.evaluate(config, html=False)
    assert 0 <= results["fused"]["T"] <= 100
    files = [pathlib.Path(path).read_bytes() for path in run.benchmark.paths[rows]]
    unseen = run.benchmark.unseen_classes
    given = np.tile(run.benchmark.attributes[unseen], (len(files), 1, 1))
    model = tf.saved_model.load(os.path.join(run.directory, "export", "1"))
    served = model.signatures["zero_shot"](image_bytes=tf.constant(files), class_attributes=tf.constant(given))["scores"]
    pixels = next(iter(images.image_batches(run.benchmark, images.items_of(rows), run.views, len(rows))))
    expected = bgsnet(pixels)["fused"].numpy() @ run.benchmark.phi.T
    np.testing.assert_allclose(served, expected[:, unseen], rtol=1e-4, atol=1e-4)
    opened = bgsnet_tf.load(os.path.join(run.directory, "export", "1"))
    np.testing.assert_allclose(opened.description.attribute_origin, run.benchmark.attribute_origin)
    classes = {run.benchmark.class_names[c]: run.benchmark.attributes[c] for c in unseen}
    scores = [answer["scores"] for answer in opened.ask(files, opened.choice(classes))]
    np.testing.assert_allclose(scores, expected[:, unseen], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("flags", [{"g_start": "least_squares", "g_hidden": 8}, {"s_start": "general", "g_hidden": 0, "s_hidden": 8}])
def test_a_start_of_one_layer_is_refused_for_two(tiny_config, flags):
    with pytest.raises(UserError, match="one dense layer"):
        tiny_config.replace(**flags)
