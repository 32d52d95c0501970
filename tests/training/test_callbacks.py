"""What BSNet's training shows in TensorBoard, from a network that has not trained."""

import pathlib

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.model.bsnet import BSNet, phases
from bgsnet_tf.training.balance_summary import BalanceSummary
from tests.tiny import BACKBONE, CUT

GATES, INSTANCE = phases("sequential", 4, 2, eta=0.1)


LOGS = {"loss_s": 2.0, "loss_div": -0.5, "gradient_tails": 0.25}


def summaries(directory, phase, epoch, writes=True, finished=0):
    """The network, and tag to value of what is written after an epoch, when so many were finished before."""
    _, tail = backbone.build(str(BACKBONE), "none", 32, "tf", CUT)
    bsnet = BSNet([tail.copy(f"tail_{i}") for i in range(2)], np.eye(3, dtype=np.float32), phase, b_hidden=4)
    bsnet.epoch.assign(epoch)
    rng = np.random.default_rng(0)
    batch = [tf.constant(rng.normal(size=(2, *shape)), tf.float32) for shape in (tail.graph.input_shape[1:], [16])]
    bsnet(batch)
    bsnet.gates_at_start = -bsnet.gate.w.numpy()
    callback = BalanceSummary(str(directory), str(directory / "balance.csv"), batch, np.array([0, 2]), None, writes)
    callback.set_model(bsnet)
    callback.on_train_begin()
    callback.on_epoch_end(finished, LOGS)
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


def test_figures_are_shown_and_kept_for_the_report(tmp_path):
    bsnet, shown = summaries(tmp_path, INSTANCE, epoch=1)
    (row,) = pd.read_csv(tmp_path / "balance.csv").to_dict("records")
    assert (row["phase"], row["gate_order_kept"], row["loss_s"], row["gradient_tails"]) == ("instance", -1, 2.0, 0.25)
    assert row["eta_loss_div"] == pytest.approx(0.05)  # of η = .1
    assert row["weights_fixed"] + row["weights_per_image"] + row["weights_joint"] == pytest.approx(1)
    for name in ("gate_order_kept", "error_correlation", "weights_joint", "eta_loss_div", "gradient_tails", "margin_mean"):
        assert shown[f"balance/{name}"] == pytest.approx(row[name], rel=1e-5)
    assert np.isnan(row["gradient_gates"]) and "balance/gradient_gates" not in shown  # they stand in this phase


def test_a_continued_run_makes_rows_of_later_epochs_again(tmp_path):
    for finished in (0, 1, 2, 1):
        summaries(tmp_path, GATES, epoch=1, finished=finished)
    assert pd.read_csv(tmp_path / "balance.csv")["epoch"].tolist() == [0, 1]


def test_other_workers_than_the_chief_write_nothing(tmp_path):
    assert summaries(tmp_path, INSTANCE, epoch=1, writes=False)[1] == {} and not list(tmp_path.iterdir())
