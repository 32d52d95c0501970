"""What a network costs to serve: megabytes of weights, multiply-adds of an image, images a second on this machine."""

import time

import tensorflow as tf

from bgsnet_tf.model import graph_costs
from bgsnet_tf.text_table import format_table

MEASURED_SECONDS = 2.0


def measure(call, size, batch_size):
    """The costs of a network, each under the name it is printed with.

    Args:
      call: function from images (B, size, size, 3) float32 to any outputs.
      size: height and width of an image in pixels.
      batch_size: B while the speed is measured.
    """
    one = tf.function(call).get_concrete_function(tf.TensorSpec([1, size, size, 3]))
    return {
        "MB": sum(variable.numpy().nbytes for variable in one.variables) / 1e6,
        "million multiply-adds": graph_costs.multiply_adds(one.graph) / 1e6,
        "images/s": images_per_second(call, size, batch_size),
    }


def images_per_second(call, size, batch_size):
    """Throughput over some seconds, after one batch that is not counted."""
    function = tf.function(call)
    images = tf.zeros([batch_size, size, size, 3])
    tf.nest.map_structure(lambda output: output.numpy(), function(images))
    batches, start = 0, time.perf_counter()
    while time.perf_counter() - start < MEASURED_SECONDS:
        tf.nest.map_structure(lambda output: output.numpy(), function(images))
        batches += 1
    return batches * batch_size / (time.perf_counter() - start)


def table(networks):
    """A text table of a dict from a network's name to a dict of its numbers, or texts, which all have the same names."""
    rows = [[name, *(f"{v:.1f}" if isinstance(v, float) else f"{v}" for v in numbers.values())] for name, numbers in networks.items()]
    return format_table([["", *next(iter(networks.values()))], *rows])
