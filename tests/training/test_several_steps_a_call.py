"""Several training steps in one call (--steps_per_execution): the same numbers, exact positions, no host in between."""

import os
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import Interrupted, UserError
from bgsnet_tf.model.grouped import GroupedModel
from bgsnet_tf.training import callbacks, stages
from bgsnet_tf.training.checkpoints import Position
from bgsnet_tf.training.run import Run
from tests.training.conftest import attributes, logged, train
from tests.training.test_stages import assert_equal, without_stages

START = Position(0)


class Line(GroupedModel):
    """One weight, whose loss is the input times it."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(1.0)

    def parameter_groups(self):
        return {"all": [self.weight]}

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = self.weight * tf.reduce_sum(data)
        self.apply_gradients(tape, loss)
        return {"loss": loss}


def fit(numbers, steps_per_execution, *more, position=START, steps=5, epochs=1):
    model = Line()
    model.compile({"all": tf.keras.optimizers.SGD(0.0)}, steps_per_execution=steps_per_execution)
    data = tf.data.Dataset.from_tensor_slices(tf.constant(numbers, tf.float32)).batch(1).repeat()
    watch = [callbacks.RequireFinite(position, steps), *more]
    model.fit(data, initial_epoch=position.epoch, epochs=epochs, steps_per_epoch=steps - position.step, verbose=0, callbacks=watch)


class Seen(callbacks._Located):
    """Keeps what Keras hands over after every call."""

    def __init__(self, *position):
        super().__init__(*position)
        self.logs, self.positions = [], []

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch)
        self.logs.append(logs)
        self.positions.append(tuple(self.position))


def test_numbers_stay_on_the_device_and_positions_are_exact():
    seen = Seen(START, 5)
    fit([1, 2, 3, 4, 5], 2, seen, epochs=2)
    assert all(tf.is_tensor(logs["loss"]) for logs in seen.logs)
    assert seen.positions == [(0, 2), (0, 4), (1, 0), (1, 2), (1, 4), (2, 0)]
    inside = Seen(Position(3, 1), 5)
    fit([1, 2, 3, 4, 5], 3, inside, position=Position(3, 1), epochs=4)
    assert inside.positions == [(3, 4), (4, 0)]


@pytest.mark.parametrize("steps_per_execution", [1, 2, 100])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_first_step_whose_loss_is_not_finite_is_named_wherever_it_is_in_a_call(steps_per_execution, bad):
    with pytest.raises(callbacks.NotFinite, match="the loss is not finite") as failure:
        fit([1, 2, 3, 4, 5, 6, 7, bad], steps_per_execution, epochs=2)
    assert failure.value.position == Position(1, 2)
    with pytest.raises(callbacks.NotFinite) as failure:
        fit([1, bad, 3, 4], steps_per_execution, position=Position(4, 2), epochs=5)
    assert failure.value.position == Position(4, 3)


@pytest.mark.parametrize("steps_per_execution", [2, pytest.param(100, marks=pytest.mark.long)])
def test_a_run_is_the_same_for_any_number_of_steps_a_call(trained, copied, steps_per_execution):
    config = without_stages(copied, "finetune", "meta", "bsnet").replace(steps_per_execution=steps_per_execution)
    assert_equal(attributes(train(config), config), attributes(train(trained[0]), config))
    found, expected = logged(config.run.run_dir), logged(trained[0].run.run_dir)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=str(name))


# Calls of finetune (2 epochs of 3 steps), 2 a call: steps 1-2 and 3 of each epoch.
@pytest.mark.parametrize("calls, position", [(3, "000000-000002"), pytest.param(4, "000001-000000", marks=pytest.mark.long)])
def test_a_signal_is_heard_after_a_call_and_the_run_continues_with_any_other_number(trained, tmp_path, signal_after, calls, position):
    config = trained[0].replace(run_dir=str(tmp_path / "run"), steps_per_execution=2)
    signal_after(calls)
    with pytest.raises(Interrupted):
        train(config)
    assert sorted(os.listdir(pathlib.Path(config.run.run_dir, "checkpoints", "finetune", "all")))[-1] == position
    continued = config.replace(steps_per_execution=1)
    assert_equal(attributes(train(continued), continued), attributes(train(trained[0]), continued))


def test_what_is_not_finite_is_never_saved_and_named_as_with_single_steps(copied):
    without_stages(copied, "bsnet")
    told = []
    for steps_per_execution in (1, 100):
        broken = copied.replace(tail_lr=1e30, bsnet_lr=1e30, checkpoint_every=0.0, steps_per_execution=steps_per_execution)
        with pytest.raises(UserError) as failure:
            train(broken)
        told.append(str(failure.value))
        if steps_per_execution == 100:
            assert os.listdir(pathlib.Path(broken.run.run_dir, "checkpoints", "bsnet", "gates")) == ["000000-000000"]
        without_stages(copied, "bsnet")
    steps = [re.search(r"at (step \d of epoch 1); the first tensor that is not finite is", text)[1] for text in told]
    assert steps[0] == steps[1]


def test_a_device_that_gets_its_batches_ahead_trains_as_any(trained, copied):
    """As a GPU would: under OneDeviceStrategy."""
    config = without_stages(copied, "finetune", "meta", "bsnet")
    run = Run(config, load_benchmark(config.data), True, tf.distribute.OneDeviceStrategy("CPU:0"))
    assert_equal(attributes(stages.build_bgsnet(run), config), attributes(train(trained[0]), config))
