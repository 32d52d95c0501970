"""BSNet's forward pass, phases and updates, on a small tail."""

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.model.bgsnet import BGSNet
from bgsnet_tf.model.bsnet import BalancePhase, BSNet, phases
from bgsnet_tf.model.layers import Predictor
from bgsnet_tf.model.losses import attribute_cross_entropy, diversity_loss
from tests.tiny import BACKBONE, CUT

N, C, A, B = 3, 5, 4, 6


@pytest.fixture
def parts():
    tf.keras.utils.set_random_seed(0)
    trunk, tail = backbone.build(str(BACKBONE), "none", 32, "tf", CUT)
    images = np.random.default_rng(0).uniform(0, 255, (B, 32, 32, 3)).astype(np.float32)
    features = trunk(images)
    phi = np.random.default_rng(1).normal(size=(C, A)).astype(np.float32)
    return trunk, tail, images, features, tail(features), phi


def make(parts, phase, **options):
    _, tail, _, features, general, phi = parts
    bsnet = BSNet([tail.copy() for _ in range(N)], phi, phase, b_hidden=8, **options)
    bsnet((features, general))
    groups = {name: tf.keras.optimizers.SGD(0.1) for name in bsnet.parameter_groups()}
    bsnet.compile(groups)
    return bsnet


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_forward_pass_is_equations_4_and_15(parts):
    bsnet = make(parts, BalancePhase("parallel", 4, True, 0.0, True, True))
    _, _, _, features, general, _ = parts
    special = np.stack([tail(features) for tail in bsnet.tails], axis=1)
    weights = bsnet.balance([special, general]).numpy()
    gates = sigmoid(5.0 * bsnet.gate.w.numpy())  # s = s_max at inference
    flat = (weights * special * gates[:, None]).reshape(B, -1)
    np.testing.assert_allclose(bsnet((features, general)), bsnet.predictor(flat), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "phase, options, training, expected",
    [
        (BalancePhase("gates", 4, False, 0.0, True, True), {}, True, 1 / 5 + (5 - 1 / 5) * 2 / 3),
        (BalancePhase("gates", 4, False, 0.0, True, True), {}, False, 5.0),
        (BalancePhase("instance", 4, True, 0.0, False, False), {}, True, 5.0),
        (BalancePhase("instance", 4, True, 0.0, True, False), {}, True, 5.0),
        (BalancePhase("gates", 4, False, 0.0, True, True), {"annealing": False}, True, 1.0),
        (BalancePhase("gates", 4, False, 0.0, True, True), {"annealing": False}, False, 1.0),
    ],
)
def test_scale_of_the_gates(parts, phase, options, training, expected):
    bsnet = make(parts, phase, **options)
    bsnet.epoch.assign(3)
    np.testing.assert_allclose(bsnet.scale(training), expected, rtol=1e-6)


def changed_by_a_step(bsnet, parts):
    _, _, _, features, general, _ = parts
    bsnet.epoch.assign(2)
    before = {w.name + str(i): w.numpy() for i, w in enumerate(bsnet.weights)}
    bsnet.train_on_batch((features, general), np.arange(B) % C)
    after = {w.name + str(i): w.numpy() for i, w in enumerate(bsnet.weights)}
    return {name for name in before if np.any(before[name] != after[name])}


def test_the_gates_phase_trains_tails_gates_and_predictor_only(parts):
    bsnet = make(parts, BalancePhase("gates", 4, False, 0.0, True, True))
    changed = changed_by_a_step(bsnet, parts)
    assert any("gate/w" in name for name in changed) and any("conv" in name for name in changed)
    assert any("f_s" in name for name in changed) and not any("instance_balance" in name for name in changed)


def test_the_instance_phase_leaves_the_gates(parts):
    changed = changed_by_a_step(make(parts, BalancePhase("instance", 4, True, 0.01, False, False)), parts)
    assert any("instance_balance" in name for name in changed) and not any("gate/w" in name for name in changed)


def test_the_loss_is_equation_17(parts):
    _, _, _, features, general, phi = parts
    bsnet = make(parts, BalancePhase("parallel", 4, True, 0.01, True, True))
    bsnet.epoch.assign(3)
    labels = np.arange(B) % C
    weights, attributes = bsnet.weights_and_attributes(features, general, training=True)
    expected = attribute_cross_entropy(attributes, labels, phi) + 0.01 * diversity_loss(weights, 3)
    logs = bsnet.train_on_batch((features, general), labels, return_dict=True)
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-4)


def test_logs_hold_the_norm_of_the_gradient_of_every_active_group(parts):
    _, _, _, features, general, phi = parts
    bsnet = make(parts, BalancePhase("gates", 4, False, 0.0, True, True))
    with tf.GradientTape() as tape:
        loss = attribute_cross_entropy(bsnet((features, general), training=True), np.arange(B) % C, phi)
    groups = bsnet.parameter_groups()
    gradients = tape.gradient(loss, groups)
    logs = bsnet.train_on_batch((features, general), np.arange(B) % C, return_dict=True)
    assert {name for name in logs if "gradient" in name} == {f"gradient_{name}" for name in groups}
    for name, of_group in gradients.items():
        np.testing.assert_allclose(logs[f"gradient_{name}"], tf.linalg.global_norm(of_group), rtol=1e-3)
    stands = make(parts, BalancePhase("instance", 4, True, 0.01, False, False))
    logs = stands.train_on_batch((features, general), np.arange(B) % C, return_dict=True)
    assert {name for name in logs if "gradient" in name} == {"gradient_tails", "gradient_heads"}


def test_a_sub_module_alone_is_the_network_with_all_other_embeddings_at_0(parts):
    bsnet = make(parts, BalancePhase("parallel", 4, True, 0.0, True, True))
    _, balanced = bsnet.balanced(parts[3], parts[4])
    alone = bsnet.attributes_alone(balanced)
    kept = balanced.numpy() * np.array([0, 1, 0])[:, None]
    np.testing.assert_allclose(alone[:, 1], bsnet.attributes(kept), rtol=1e-4, atol=1e-5)


def test_a_partition_gives_every_channel_to_one_sub_module_whatever_the_image(parts):
    bsnet = make(parts, BalancePhase("instance", 4, True, 0.0, False, False), control="partition")
    weights, _ = bsnet.balanced(parts[3], parts[4])
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(np.sum(weights, axis=1), np.ones([B, 16]))
    assert set(np.sum(weights[0], axis=1)) == {5.0, 6.0}
    assert "instance_balance" not in " ".join(w.name for w in bsnet.trainable_weights)
    np.testing.assert_array_equal(bsnet.pruned([2]).balance.owner[0], weights[0, 2])


@pytest.mark.parametrize("options", [{"dataset_balance": False}])
def test_without_dataset_balance_every_gate_is_one(parts, options):
    phase = BalancePhase("instance", 2, False, 0.0, False, False)
    bsnet = make(parts, phase, **options)
    _, _, _, features, general, _ = parts
    np.testing.assert_array_equal(bsnet.gates(), np.ones(N))
    flat = np.concatenate([tail(features) for tail in bsnet.tails], axis=1)
    np.testing.assert_allclose(bsnet((features, general)), bsnet.predictor(flat), rtol=1e-4, atol=1e-5)


def test_phases_of_the_training_styles():
    assert phases("sequential", 100, 20, True, 0.1, True) == [
        BalancePhase("gates", 100, False, 0.0, True, True),
        BalancePhase("instance", 20, True, 0.1, False, False),
    ]
    assert phases("parallel", 100, 20, True, 0.1, True) == [BalancePhase("parallel", 100, True, 0.1, True, True)]
    assert all(phase.eta == 0 and not phase.instance_balance for phase in phases("sequential", 9, 9, False, 0.1))
    _, second = phases("sequential", 100, 20, True, 0.1, gates_go_on=True)
    assert second.train_gates and not second.anneal
    assert not phases("sequential", 100, 20, dataset_balance=False, gates_go_on=True)[1].train_gates


def test_second_phase_keeps_the_first_ones_gates_in_the_prediction(parts):
    bsnet = make(parts, BalancePhase("gates", 4, False, 0.0, True, True))
    _, _, _, features, general, _ = parts
    before = bsnet((features, general))
    bsnet.enter(BalancePhase("instance", 4, False, 0.0, False, False))
    np.testing.assert_array_equal(bsnet((features, general)), before)


def test_fusion_is_the_sum_of_both_branches(parts):
    trunk, tail, images, _, _, phi = parts
    general, bsnet = Predictor(A), make(parts, BalancePhase("instance", 4, True, 0.0, False, False))
    outputs = BGSNet(trunk, tail, general, bsnet)(images)
    np.testing.assert_allclose(outputs["fused"], outputs["general"] + outputs["special"], rtol=1e-5, atol=1e-6)
    alone = BGSNet(trunk, tail, general)(images)
    assert set(alone) == {"fused", "general"}
    np.testing.assert_array_equal(alone["fused"], alone["general"])
    np.testing.assert_array_equal(alone["general"], outputs["general"])


def test_a_checkpoint_needs_nothing_that_those_of_older_versions_lack(parts, tmp_path):
    """What a network watches may grow; what its checkpoints must hold to be read may not."""
    bsnet = make(parts, BalancePhase("parallel", 4, True, 0.0, True, True))
    tf.train.Checkpoint(model=bsnet).write(str(tmp_path / "checkpoint"))
    held = {name.split("/")[1] for name, _ in tf.train.list_variables(str(tmp_path / "checkpoint")) if name.startswith("model/")}
    assert held - {"group_optimizers", "optimizer"} == {"accuracy", "balance", "epoch", "gate", "loss_metrics", "predictor", "tails"}
    assert {"gradient_tails", "gradient_heads", "gradient_gates"} <= {metric.name for metric in bsnet.metrics}
