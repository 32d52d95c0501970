"""A pruned network against the whole one with closed gates, its costs, and the export command."""

import os
import types

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf import commands
from bgsnet_tf.commands import exporting
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import metrics
from bgsnet_tf.model.bgsnet import BGSNet
from bgsnet_tf.scoring import cost, pruning
from tests.exports import untrained_bgsnet
from tests.programs import run

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def bgsnet(exported):
    return untrained_bgsnet(exported.benchmark, 32)


def pruned(bgsnet, kept):
    return BGSNet(bgsnet.trunk, bgsnet.general_tail, bgsnet.general_predictor, bgsnet.bsnet.pruned(kept))


@pytest.mark.parametrize("kept", [[0], [0, 2], [1, 2], [0, 1, 2]])
def test_a_pruned_network_equals_the_whole_with_gates_at_0(bgsnet, kept):
    small = pruned(bgsnet, kept)(IMAGES)
    gate = bgsnet.bsnet.gate.w
    before = gate.numpy()
    gate.assign(np.where(np.isin(np.arange(3), kept), before, -1e9))
    whole = bgsnet(IMAGES)
    gate.assign(before)
    for name in whole:
        np.testing.assert_allclose(small[name], whole[name], rtol=1e-5, atol=1e-6)
    assert len(kept) == 3 or np.abs(small["fused"] - bgsnet(IMAGES)["fused"]).max() > 1e-3


def test_the_gates_decide_what_is_kept(bgsnet):
    # the gates are sigmoid(5 * (.3, -.4, .1)): .82, .12, .62
    assert pruning.prune(bgsnet, 0.5, 0).bsnet.gates().numpy() == pytest.approx([0.818, 0.622], abs=1e-3)
    assert pruning.prune(bgsnet, 0.0, 1).bsnet.gates().numpy() == pytest.approx([0.818], abs=1e-3)
    assert pruning.prune(bgsnet, 0.7, 2).bsnet.gates().numpy() == pytest.approx([0.818], abs=1e-3)


def test_pruning_that_leaves_nothing_or_has_no_gates_is_refused(bgsnet):
    with pytest.raises(UserError, match="closes all 3 gates; the widest is 0.818"):
        pruning.prune(bgsnet, 0.9, 0)
    with pytest.raises(UserError, match="no gates"):
        pruning.prune(BGSNet(bgsnet.trunk, bgsnet.general_tail, bgsnet.general_predictor), 0.5, 0)


def test_a_run_on_features_is_not_exported(monkeypatch, tiny_config):
    run = types.SimpleNamespace(benchmark=types.SimpleNamespace(features=np.zeros((1, 1))))
    monkeypatch.setattr(exporting, "open_run", lambda config: run)
    with pytest.raises(UserError, match="nothing to serve"):
        commands.export(tiny_config)


def test_multiply_adds_of_known_layers(monkeypatch):
    monkeypatch.setattr(cost, "MEASURED_SECONDS", 0.01)
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Conv2D(5, 3, strides=2, padding="same"),  # 4·4·5 outputs of 3·3·3
            tf.keras.layers.DepthwiseConv2D(3, padding="same"),  # 4·4·5 outputs of 3·3
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(7),  # 7 outputs of 80
        ]
    )
    model.build((None, 8, 8, 3))
    costs = cost.measure(model.call, 8, 2)
    assert costs["million multiply-adds"] * 1e6 == pytest.approx(80 * 27 + 80 * 9 + 7 * 80)
    assert costs["MB"] * 1e6 == 4 * model.count_params()
    assert costs["images/s"] > 0


def test_a_pruned_network_costs_less(bgsnet, monkeypatch):
    monkeypatch.setattr(cost, "MEASURED_SECONDS", 0.01)
    whole, small = (cost.measure(network.call, 32, 4) for network in (bgsnet, pruned(bgsnet, [0])))
    assert small["MB"] < 0.75 * whole["MB"] and small["million multiply-adds"] < 0.75 * whole["million multiply-adds"]
    lines = cost.table({"whole": whole, "pruned": small}).splitlines()
    assert len(lines) == 3 and "MB" in lines[0] and f"{small['MB']:.1f}" in lines[2]


def test_a_run_without_test_rows_can_be_pruned(tiny_config, tiny_dir, capsys, monkeypatch):
    monkeypatch.setattr(cost, "MEASURED_SECONDS", 0.01)
    table = tiny_dir / "images.csv"
    table.write_text("\n".join(line for line in table.read_text().splitlines() if "test_" not in line) + "\n")
    config = tiny_config.replace(finetune_epochs=0, meta=False, training_style="parallel", eph_max=1)
    commands.train(config)
    commands.export(config, prune_to=1)
    whole, small = (line.split() for line in capsys.readouterr().out.splitlines() if line.strip().startswith(("whole", "pruned")))
    assert whole[:6] == ["whole", "2", "-", "-", "-", "-"] and small[:6] == ["pruned", "1", "-", "-", "-", "-"]


def zero_shot_accuracy(config, version):
    """T in percent of a run's unseen classes, which the export gets as attributes of the request alone."""
    benchmark = load_benchmark(config.data)
    rows, unseen = benchmark.test_unseen, benchmark.unseen_classes
    files = tf.stack([tf.io.read_file(path) for path in benchmark.paths[rows].astype(str)])
    classes = tf.constant(np.tile(benchmark.attributes[unseen], (len(rows), 1, 1)), tf.float32)
    answer = tf.saved_model.load(version).signatures["zero_shot"](image_bytes=files, class_attributes=classes)
    return metrics.per_class_accuracy(benchmark.labels[rows], unseen[answer["class_index"].numpy()])


@pytest.mark.long
def test_the_command_exports_a_finished_run_again(tiny_config):
    config = tiny_config.replace(finetune_epochs=0, meta=False, training_style="parallel", eph_max=1)
    commands.train(config)
    commands.train(config)  # nothing changed, so no other version is written
    assert "2" not in os.listdir(os.path.join(config.run.run_dir, "export"))
    result = run("-m", "bgsnet_tf.export", f"--run_dir={config.run.run_dir}", "--prune_to=1")
    assert result.returncode == 0, result.stderr
    directory = os.path.join(config.run.run_dir, "export")
    assert f"exported to {directory}/2" in result.stdout and "images/s" in result.stdout
    sizes = [os.path.getsize(f"{directory}/{version}/variables/variables.data-00000-of-00001") for version in (1, 2)]
    assert sizes[1] < 0.8 * sizes[0]
    whole = commands.evaluate(config, html=False)["fused"]
    assert commands.evaluate_export(config, f"{directory}/1") == pytest.approx(whole, abs=1e-3)
    assert zero_shot_accuracy(config, f"{directory}/1") == pytest.approx(whole["T"], abs=1e-3)
    refused = run("-m", "bgsnet_tf.export", f"--run_dir={directory}")
    assert refused.returncode == 1 and "holds no run" in refused.stderr
