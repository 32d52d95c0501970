"""Two replicas compute what one does, in one process and in two, and a process that is lost ends the others."""

import concurrent.futures
import json
import os
import pathlib
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.model.grouped import FiniteSteps
from bgsnet_tf.training.machines import strategy
from bgsnet_tf.training.machines.local_workers import free_addresses
from tests.programs import FORKED, Program
from tests.whole_runs import tiny_config_below

# At least 20 steps of every stage. Adam would make jumps of the sign of a gradient that is 0 but for rounding, and so
# would a ReLU of an activation.
STEPS = {
    "split_layer": "activation_1",
    "batch_norm": "train",  # which a model file would hold: statistics over replicas are tested too
    "preprocessing": "tf",
    "finetune_head_epochs": 0,
    "finetune_epochs": 7,
    "meta_epochs": 4,
    "meta_steps": 5,
    "training_style": "parallel",
    "eph_max": 7,
    "cache_dtype": "float32",
    "finetune_optimizer": "SGD",
    "meta_optimizer": "SGD",
    "bsnet_optimizer": "SGD",
}


LOST_SECONDS = 120  # for a process to notice that another is gone


def arguments(settings):
    return [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in settings.values().items()]


def start(settings, replicas=1, task=None, addresses=()):
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    if addresses:
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": task}})
    return Program("-m", "tests.training.machines.distributed", replicas, *arguments(settings), **environment)


def finish(*processes):
    for process in processes:
        result = process.wait(600)
        assert result.returncode == 0, result.stdout + result.stderr


def smooth_backbone():
    tf.keras.utils.set_random_seed(0)
    inputs = outputs = tf.keras.Input((32, 32, 3))
    for i, channels in enumerate((6, 8, 10)):
        outputs = tf.keras.layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(outputs)
        outputs = tf.keras.layers.BatchNormalization(momentum=0.9)(outputs)
        outputs = tf.keras.layers.Activation("swish", name=f"activation_{i}")(outputs)
    return tf.keras.Model(inputs, tf.keras.layers.GlobalAveragePooling2D()(outputs))


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """(settings, weights) of the run on one device."""
    root = tmp_path_factory.mktemp("one")
    smooth_backbone().save(root / "backbone.keras")
    settings = tiny_config_below(root).replace(**STEPS, strategy="one_device", backbone=str(root / "backbone.keras"))
    finish(start(settings))
    return settings, weights(settings)


def weights(settings):
    with np.load(pathlib.Path(settings.run.run_dir, "weights.npz")) as file:
        return [file[name] for name in file.files]


@pytest.mark.long
def test_the_weights_move_far_more_than_the_tolerance(one):
    """Of the trunk in stage 1, and of the tails, which start as one, in stage 3."""
    settings, trained = one
    before = tf.keras.models.load_model(settings.backbone.backbone).get_weights()
    (trunk,) = (array for array in trained if array.shape == before[0].shape)
    general, *tails = (array for array in trained if array.shape == before[-5].shape)
    assert len(tails) == 2
    for one_kernel, other in ((trunk, before[0]), (tails[0], general), (tails[1], general), (tails[0], tails[1])):
        assert np.max(np.abs(one_kernel - other)) > 1e-3


def assert_close(found, expected):
    assert [array.shape for array in found] == [array.shape for array in expected]
    for array, reference in zip(found, expected):
        np.testing.assert_allclose(array, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.long
def test_two_replicas_in_one_process_equal_one(one, tmp_path):
    settings = one[0].replace(strategy="mirrored", run_dir=str(tmp_path / "run"), steps_per_execution=2)
    finish(start(settings, replicas=2))
    assert_close(weights(settings), one[1])


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"bsnet_batch_size": 7}, "--bsnet_batch_size"),
        ({"meta_tasks": 3}, "--meta_tasks"),
        ({"xla": True}, "--xla compiles for one device or for GPUs, not for 2 CPUs"),
    ],
)
def test_what_several_replicas_cannot_do_is_said_before_the_first_step(tmp_path, flags, message):
    settings = tiny_config_below(tmp_path).replace(strategy="mirrored", **flags)
    result = start(settings, replicas=2).wait(600)
    assert result.returncode == 1 and message in result.stderr and "Traceback" not in result.stderr, result.stderr
    assert not pathlib.Path(settings.run.run_dir).exists()


def two_cpus():
    """Needs a process in which TensorFlow has not begun."""
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def averages():
    """(before, after) `settle`: the moving mean of a batch norm on each of two replicas that have seen other images, and as a whole."""
    devices = two_cpus()
    with devices.scope():
        norm, counted = tf.keras.layers.BatchNormalization(momentum=0.5), tf.keras.metrics.Sum()
        norm.build([None, 1])
        devices.run(lambda: counted.update_state(1.5))
        images = devices.experimental_distribute_values_from_function(
            lambda context: tf.fill([2, 1], 4.0 * context.replica_id_in_sync_group)
        )
        devices.run(lambda batch: norm(batch, training=True), args=(images,))
        found = []
        for _ in range(2):
            apart = [float(value[0]) for value in devices.experimental_local_results(norm.moving_mean)]
            found.append((*apart, float(norm.moving_mean.read_value()[0]), float(counted.result())))
            strategy.settle(devices, [*norm.variables, *counted.variables])
    return found


def test_replicas_settle_on_the_mean_of_their_averages():
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=FORKED) as pool:
        before, after = pool.submit(averages).result()
    assert before == (0.0, 2.0, 1.0, 3.0) and after == (1.0, 1.0, 1.0, 3.0)


def counted():
    """`before_failure` after each of four steps, the third of which has a loss that is not finite on one replica of two."""
    devices, found = two_cpus(), []
    with devices.scope():
        finite_steps = FiniteSteps()
        for bad in (0, 0, 1, 0):
            losses = [1.0, float("nan") if bad else 1.0]
            values = devices.experimental_distribute_values_from_function(
                lambda context, losses=losses: tf.constant(losses[context.replica_id_in_sync_group])
            )
            devices.run(tf.function(finite_steps.note), args=(values,))
            found.append(finite_steps.before_failure())
        finite_steps.reset()
        return [*found, finite_steps.before_failure()]


def test_a_loss_that_is_not_finite_on_one_replica_counts_for_all():
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=FORKED) as pool:
        assert pool.submit(counted).result() == [None, None, 2, 2, None]


@pytest.mark.long
def test_two_processes_equal_one(one, tmp_path):
    settings = one[0].replace(strategy="multi_worker", run_dir=str(tmp_path / "run"), steps_per_execution=2)
    addresses = free_addresses(2)
    finish(*(start(settings, 1, task, addresses) for task in range(2)))
    assert_close(weights(settings), one[1])


@pytest.mark.long
def test_a_lost_process_ends_the_other_and_both_continue(one, tmp_path):
    settings = one[0].replace(strategy="multi_worker", run_dir=str(tmp_path / "run"), checkpoint_every=0.0)
    addresses = free_addresses(2)
    chief, lost = (start(settings, 1, task, addresses) for task in range(2))
    checkpoints = pathlib.Path(settings.run.run_dir, "checkpoints", "finetune", "all")
    until = time.monotonic() + 120
    while not list(checkpoints.glob("000001-*")) and time.monotonic() < until:
        time.sleep(0.1)
    os.kill(lost.pid, signal.SIGKILL)
    result = chief.wait(LOST_SECONDS)
    assert lost.wait().returncode == -signal.SIGKILL
    assert result.returncode == 1 and "another process of this run is gone" in result.stderr, result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    settings = settings.replace(checkpoint_every=one[0].run.checkpoint_every)  # one a step took most of the time of this test
    finish(*(start(settings, 1, task, addresses) for task in range(2)))
    assert_close(weights(settings), one[1])
