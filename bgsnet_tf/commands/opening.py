"""The run that flags describe, opened for training or for reading."""

import contextlib
import os

import numpy as np
import tensorflow as tf

from bgsnet_tf.data import checksums, images
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.training import strategy
from bgsnet_tf.training.run import Run


def open_run(config, training=False):
    """The `Run` of these settings: for reading, or for training on their devices."""
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16" if config.run.precision == "bfloat16" else "float32")
    devices = strategy.make(config.run.strategy if training else "one_device")
    checksums.recall(checksums_file(config))
    return Run(config, load_benchmark(config.data), training, devices)


def checksums_file(config):
    """Where a run keeps the checksums of the images that it was trained on."""
    return os.path.join(config.run.run_dir, "cache", "checksums.json")


@contextlib.contextmanager
def naming_bad_images(run):
    """Turns TensorFlow's error about some image into one that names its file."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.PermissionDeniedError):
        images.find_unusable(run.benchmark, np.concatenate([run.benchmark.train, run.test_rows]))
        raise
    except tf.errors.ResourceExhaustedError as error:
        raise UserError(f"out of memory ({str(error).splitlines()[0][:200]}); lower the batch size, --dry_run says what fits") from error
