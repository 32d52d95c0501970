"""The run that flags describe, opened for training or for reading."""

import contextlib
import os

import numpy as np
import tensorflow as tf

from bgsnet_tf.data import checksums, images
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.training.machines import devices, memory, strategy
from bgsnet_tf.training.run import Run


def open_run(config, training=False, benchmark=None):
    """The `Run` of these settings: for reading, or for training on their devices; `benchmark` is theirs, where somebody has loaded it."""
    devices.set_arithmetic(config.run)
    spread = strategy.make(config.run.strategy) if training else tf.distribute.get_strategy()
    checksums.recall(checksums_file(config))
    return Run(config, benchmark or load_benchmark(config.data), training, spread)


def checksums_file(config):
    """Where a run keeps the checksums of the images that it was trained on."""
    return os.path.join(config.run.run_dir, "cache", "checksums.json")


@contextlib.contextmanager
def naming_bad_images(run):
    """Turns TensorFlow's error about some image into one that names its file, and one about memory into one that names a flag."""
    try:
        with memory.naming_shortage("inference", run.config, "eval_batch_size"):
            yield
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.PermissionDeniedError):
        images.find_unusable(run.benchmark, np.concatenate([run.benchmark.train, run.test_rows]))
        raise
