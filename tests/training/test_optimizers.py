"""Optimizers by name, on whichever stack is installed."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.model.grouped import GroupedModel
from bgsnet_tf.private_api import create_slots
from bgsnet_tf.training import optimizers
from bgsnet_tf.training.checkpoints import PhaseCheckpoints, Position

HAS_ADDONS = importlib.util.find_spec("tensorflow_addons") is not None
ADDONS = ["LAMB", "RectifiedAdam", "Lookahead:LAMB", "Lookahead:Adam"]


class Quadratic(GroupedModel):
    """Pulls a matrix and a vector to 1."""

    def __init__(self):
        super().__init__()
        self.matrix, self.vector = tf.Variable(tf.zeros([2, 2]), name="kernel"), tf.Variable(tf.zeros([2]), name="bias")

    def parameter_groups(self):
        return {"matrices": [self.matrix], "vectors": [self.vector]}

    def step(self):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((self.matrix - 1) ** 2) + tf.reduce_sum((self.vector - 1) ** 2)
        self.apply_gradients(tape, loss)
        return float(loss)


def compiled(name, **options):
    model = Quadratic()
    model.compile({group: optimizers.make(name, 0.1, steps=50, **options) for group in model.parameter_groups()})
    return model


def names():
    missing = pytest.mark.skipif(not HAS_ADDONS, reason="tensorflow-addons is not installed (it ends at Python 3.11)")
    return ["SGD", "AdamW", "adam", *(pytest.param(name, marks=missing) for name in ADDONS)]


def every_name():
    """Of all optimizers that the help admits; wrappers around each kind."""
    if not HAS_ADDONS:
        return sorted(optimizers.known())
    wrapped = [f"{outer}:{inner}" for outer in ("Lookahead", "MovingAverage", "SWA") for inner in ("LAMB", "AdamW", "SGDW", "SGD", "COCOB")]
    return sorted(set(optimizers.known()) - {"lookahead", "movingaverage", "swa"}) + wrapped


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
@pytest.mark.parametrize("name", every_name())
def test_every_optimizer_trains_a_step_and_spares_what_is_no_kernel(name, weight_decay):
    """The gradient is 0, so what moves a variable is decay alone."""
    kernel, bias = tf.Variable(tf.ones([3, 2]), name="f/kernel_1"), tf.Variable(tf.ones([3, 1, 2]), name="f/bias_1")
    options = {"steps": 10, "warmup": 0.2, "weight_decay": weight_decay, "variables": [kernel, bias]}
    try:
        optimizer = optimizers.make(name, 0.1, **options)
    except UserError as error:
        assert weight_decay and "no weight decay" in str(error)
        return
    create_slots(optimizer, [kernel, bias])
    optimizer.apply_gradients([(tf.zeros([3, 2]), kernel), (tf.zeros([3, 1, 2]), bias)])
    assert np.all(np.isfinite(kernel)) and np.all(np.isfinite(bias))
    if name.rpartition(":")[2].lower() in ("sgd", "adam", "adamw", "lamb", "sgdw"):
        np.testing.assert_array_equal(bias, 1)
        share = float(weight_decay > 0) if "lamb" in name.lower() else weight_decay  # LAMB's step is as long as the rate says
        np.testing.assert_allclose(kernel, 1 - 0.1 / 3 * share, rtol=1e-6)  # the first of two steps of warm-up


@pytest.mark.parametrize("name", names())
def test_every_optimizer_descends(name):
    model = compiled(name, schedule="cosine", warmup=0.1)
    losses = [model.step() for _ in range(50)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", names())
def test_a_restored_optimizer_goes_on_as_if_nothing_had_happened(name, tmp_path):
    whole = compiled(name, schedule="cosine")
    for _ in range(6):
        whole.step()
    first, second = compiled(name, schedule="cosine"), compiled(name, schedule="cosine")
    for _ in range(3):
        first.step()
    PhaseCheckpoints(str(tmp_path), first, first.group_optimizers).save(Position(1, 2))
    assert PhaseCheckpoints(str(tmp_path), second, second.group_optimizers).restore() == Position(1, 2)
    for _ in range(3):
        second.step()
    np.testing.assert_array_equal(second.matrix, whole.matrix)


def test_a_checkpoint_holds_the_optimizers_of_the_groups_alone(tmp_path):
    model = compiled("AdamW")
    PhaseCheckpoints(str(tmp_path), model, model.group_optimizers).save(Position(0))
    (checkpoint,) = tmp_path.iterdir()
    names = [name for name, _ in tf.train.list_variables(str(checkpoint / "checkpoint"))]
    assert names and not [name for name in names if name.startswith("model/optimizer/")]


def rates(schedule, warmup):
    rate = optimizers.make("SGD", 0.2, steps=100, schedule=schedule, warmup=warmup)._learning_rate
    return [float(rate(step)) for step in range(100)]


def test_cosine_rises_and_falls():
    values = rates("cosine", 0.1)
    assert values[:11] == pytest.approx([0.2 * (step + 1) / 11 for step in range(11)])
    assert values[55] == pytest.approx(0.1) and values[-1] < 0.001


def test_constant_stays_after_its_warm_up():
    values = rates("constant", 0.1)
    assert values[0] == pytest.approx(0.2 / 11) and values[10:] == pytest.approx([0.2] * 90)


def test_weight_decay_spares_vectors():
    matrix, vector = tf.Variable(tf.ones([2, 2]), name="kernel"), tf.Variable(tf.ones([2]), name="bias")
    optimizer = optimizers.make("AdamW", 0.1, steps=10, weight_decay=0.5, variables=[matrix, vector])
    optimizer.apply_gradients([(tf.zeros_like(matrix), matrix), (tf.zeros_like(vector), vector)])
    np.testing.assert_allclose(matrix, 0.95)
    np.testing.assert_array_equal(vector, 1)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match="Sgdd.*Adam"):
        optimizers.make("Sgdd", 0.1, steps=10)


@pytest.mark.skipif(HAS_ADDONS, reason="tensorflow-addons is installed")
def test_an_optimizer_of_addons_says_what_is_missing():
    with pytest.raises(UserError, match="LAMB.*tensorflow-addons.*Python 3.11"):
        optimizers.make("LAMB", 0.1, steps=10)


@pytest.mark.skipif(not HAS_ADDONS, reason="tensorflow-addons is not installed")
def test_a_wrapper_alone_asks_for_its_inner_optimizer():
    with pytest.raises(UserError, match="Lookahead:Adam"):
        optimizers.make("Lookahead", 0.1, steps=10)


@pytest.mark.skipif(not HAS_ADDONS, reason="only optimizers of tensorflow-addons lack weight decay")
def test_weight_decay_of_an_optimizer_without_it():
    with pytest.raises(UserError, match="no weight decay"):
        optimizers.make("COCOB", 0.1, steps=10, weight_decay=0.1)
