"""Trains a tiny run on several replicas, in a process of its own: python -m tests.training.machines.distributed REPLICAS flags…

The replicas are logical CPUs, which must be made before TensorFlow starts. Writes the weights of all networks in the
order of a restored run to <run_dir>/weights.npz.
"""

import os
import sys

import numpy as np
import tensorflow as tf

from bgsnet_tf import cli, config


def main(replicas):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    from bgsnet_tf import commands

    settings = config.from_flags()
    run, _ = commands.fit(settings)
    if run.worker.is_chief:
        np.savez(os.path.join(run.directory, "weights.npz"), *restored_weights(settings))


def restored_weights(settings):
    """All weights of a finished run, as one device restores them from its checkpoints."""
    from bgsnet_tf import commands
    from bgsnet_tf.training import stages

    bgsnet = stages.build_bgsnet(commands.open_run(settings))
    metrics = [module for module in bgsnet.submodules if isinstance(module, tf.keras.metrics.Metric)]
    of_metrics = {id(variable) for metric in metrics for variable in metric.variables}
    return [weight.numpy() for weight in bgsnet.weights if id(weight) not in of_metrics]


if __name__ == "__main__":
    count = int(sys.argv.pop(1))
    cli.run(lambda: main(count))
