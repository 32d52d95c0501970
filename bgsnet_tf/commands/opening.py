"""The run that flags describe, opened for training or for reading; and the validation run below it, with what that chooses."""

import contextlib
import os

import numpy as np
import tensorflow as tf

from bgsnet_tf.data import checksums, images
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.training import strategy
from bgsnet_tf.training.run import Run

DELTA_FLAGS = {"fused": "delta", "general": "delta_general", "special": "delta_special"}


def open_run(config, training=False):
    """The `Run` of these settings: for reading, or for training on their devices."""
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16" if config.run.precision == "bfloat16" else "float32")
    devices = strategy.make(config.run.strategy if training else "one_device")
    checksums.recall(checksums_file(config))
    return Run(config, load_benchmark(config.data), training, devices)


def checksums_file(config):
    """Where a run keeps the checksums of the images that it was trained on."""
    return os.path.join(config.run.run_dir, "cache", "checksums.json")


def validation_run(config):
    """Settings of the run that chooses δ for `config`: the same flags on the validation split, in a folder below the run's."""
    return config.replace(split="validation", calibrate=False, run_dir=os.path.join(config.run.run_dir, "validation"))


def with_choices(config, results):
    """`config` with all that its validation run chose as its flags: the δ of every branch, in thousandths.

    Args:
      config: of the final split.
      results: the content of the `results.json` of `validation_run`.
    """
    deltas = {DELTA_FLAGS[name]: round(delta, 3) for name, delta in results["deltas"].items() if name in DELTA_FLAGS}
    return config.replace(calibrate=False, **deltas)


@contextlib.contextmanager
def naming_bad_images(run):
    """Turns TensorFlow's error about some image into one that names its file."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.PermissionDeniedError):
        images.find_undecodable(run.benchmark, np.concatenate([run.benchmark.train, run.test_rows]))
        raise
    except tf.errors.ResourceExhaustedError as error:
        raise UserError(f"out of memory ({str(error).splitlines()[0][:200]}); lower the batch size, --dry_run says what fits") from error
