"""The one pass over the test rows against the network's own calls, and its pruned attributes and costs against networks really pruned."""

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.model.bgsnet import BGSNet
from bgsnet_tf.scoring import cost, inference, pruning
from bgsnet_tf.training.run import Run
from tests.conftest import tiny_config_below
from tests.exports import untrained_bgsnet


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = tiny_config_below(tmp_path_factory.mktemp("inference")).replace(eval_batch_size=5)  # the last batch is smaller
    return Run(config, load_benchmark(config.data), training=False)


@pytest.fixture(scope="module")
def bgsnet(run):
    return untrained_bgsnet(run.benchmark, 32)


@pytest.fixture(scope="module")
def inferred(run, bgsnet):
    return inference.infer(run, bgsnet)


@pytest.fixture(scope="module")
def pixels(run):
    load = inference.images.row_images(run.benchmark)
    return np.stack([run.views(load(tf.constant(row))) for row in run.test_rows])


def test_attributes_are_the_networks_own(bgsnet, inferred, pixels):
    for name, attributes in bgsnet(pixels).items():
        np.testing.assert_allclose(inferred.attributes[name], attributes, rtol=1e-4, atol=1e-5)


def test_pruned_attributes_are_those_of_pruned_networks(bgsnet, inferred, pixels):
    for k, kept in enumerate(([0], [0, 2], [0, 1, 2])):  # the gates are .82, .12, .62
        pruned = BGSNet(bgsnet.trunk, bgsnet.general_tail, bgsnet.general_predictor, bgsnet.bsnet.pruned(kept))
        np.testing.assert_allclose(inferred.pruned[:, k], pruned(pixels)["fused"], rtol=1e-4, atol=1e-5)


def test_weights_and_thumbnails_are_those_of_the_sampled_images(bgsnet, inferred, pixels, monkeypatch, run):
    monkeypatch.setattr(inference, "SAMPLED_UNSEEN", 3)
    monkeypatch.setattr(inference, "SAMPLED_SEEN", 4)
    monkeypatch.setattr(inference, "SAMPLED_SEEN_CLASSES", 2)
    few = inference.infer(run, bgsnet)
    seen = len(run.benchmark.test_seen)
    assert len(few.sampled) == 7 and np.sum(few.sampled < seen) == 4 and np.all(np.diff(few.sampled) > 0)
    assert len(set(run.benchmark.labels[run.test_rows[few.sampled]])) == 4
    features = bgsnet.trunk(pixels[few.sampled])
    weights, _ = bgsnet.bsnet.weights_and_attributes(features, bgsnet.general_tail(features))
    np.testing.assert_allclose(few.weights, weights, rtol=1e-4, atol=1e-5)
    assert few.thumbnails.shape == (7, inference.THUMBNAIL, inference.THUMBNAIL, 3)
    np.testing.assert_allclose(few.thumbnails.mean(axis=(1, 2)), pixels[few.sampled].mean(axis=(1, 2)), atol=2)


def test_costs_are_those_of_pruned_networks(run, bgsnet, inferred, monkeypatch):
    monkeypatch.setattr(cost, "MEASURED_SECONDS", 0.01)
    table = pruning.table(run, bgsnet, inferred.pruned, delta=0.0)
    for k, row in table.iterrows():
        small = BGSNet(bgsnet.trunk, bgsnet.general_tail, bgsnet.general_predictor, bgsnet.bsnet.pruned(range(k + 1)))
        measured = cost.measure(small.call, 32, 1)
        assert row["multiply_adds"] / 1e6 == pytest.approx(measured["million multiply-adds"])
        assert 4 * row["parameters"] / 1e6 == pytest.approx(measured["MB"])
    np.testing.assert_allclose(table["threshold"], [0.818, 0.622, 0.119], atol=1e-3)


def test_delta_of_the_table_is_the_one_given(run, bgsnet, inferred):
    one = pruning.table(run, bgsnet, inferred.pruned, delta=1e6)
    assert np.all(one["S"] == 0) and np.allclose(one["U"], one["T"])
