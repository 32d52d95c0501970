"""What BSNet's training shows in TensorBoard, from a network that has not trained."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.model import backbone
from bgsnet_tf.model.bsnet import BSNet, phases
from bgsnet_tf.training.callbacks import BalanceSummary

GATES, INSTANCE = phases("sequential", 4, 2, eta=0.1)


def summaries(directory, phase, epoch, writes=True):
    """The network, and tag to value of what is written after an epoch."""
    _, tail = backbone.build("small", "none", 32)
    bsnet = BSNet([tail.copy(f"tail_{i}") for i in range(2)], np.eye(3, dtype=np.float32), phase, b_hidden=4)
    bsnet.epoch.assign(epoch)
    callback = BalanceSummary(str(directory), [tf.ones([2, *tail.graph.input_shape[1:]]), tf.ones([2, 256])], None, writes)
    callback.set_model(bsnet)
    callback.on_train_begin()
    callback.on_epoch_end(0, {"loss_div": 0.5})
    callback.on_train_end()
    files = [str(path) for path in pathlib.Path(directory).rglob("events*")]
    events = [event for file in files for event in tf.compat.v1.train.summary_iterator(file)]
    return bsnet, {value.tag: tf.make_ndarray(value.tensor) for event in events for value in event.summary.value}


def test_gates_are_shown_at_the_scale_of_training_and_no_weights_before_there_are_any(tmp_path):
    bsnet, shown = summaries(tmp_path, GATES, epoch=1)
    assert shown["balance/scale_s"] == pytest.approx(0.2)
    assert shown["gates/0"] == pytest.approx(1 / (1 + np.exp(-0.2 * bsnet.gate.w[0].numpy())))
    assert not {"balance/margin", "balance/margin_mean", "balance/instance_weights", "balance/loss_div_per_weight"} & set(shown)


def test_margins_and_weights_are_shown_with_instance_balance(tmp_path):
    bsnet, shown = summaries(tmp_path, INSTANCE, epoch=1)
    assert shown["balance/scale_s"] == 5 and shown["gates/0"] == pytest.approx(bsnet.gates()[0])
    assert {"balance/margin", "balance/margin_mean", "balance/instance_weights", "balance/loss_div_per_weight"} <= set(shown)


def test_other_workers_than_the_chief_write_nothing(tmp_path):
    assert summaries(tmp_path, INSTANCE, epoch=1, writes=False)[1] == {} and not list(tmp_path.iterdir())
