"""What a network costs to serve: megabytes of weights, multiply-adds of an image, images a second on this machine."""

import time

import tensorflow as tf

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
        "million multiply-adds": multiply_adds(one.graph) / 1e6,
        "images/s": images_per_second(call, size, batch_size),
    }


def multiply_adds(graph):
    """Multiply-adds in the convolutions and matrix products of a graph whose shapes are all known."""
    return sum(_multiply_adds_of(operation) for operation in graph.get_operations())


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


def format_table(networks):
    """A text table of a dict from a network's name to a dict of its numbers (or texts), which all have the same names."""
    columns = list(next(iter(networks.values())))
    lines = [["", *columns]]
    lines += [
        [name, *(f"{v}" if isinstance(v, (int, str)) else f"{v:.1f}" for v in numbers.values())] for name, numbers in networks.items()
    ]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines)


def _multiply_adds_of(operation):
    if operation.type not in ("Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2"):
        return 0
    left, right = (tensor.shape for tensor in operation.inputs[:2])
    outputs = operation.outputs[0].shape.num_elements()
    if operation.type == "Conv2D":
        return outputs * right[:3].num_elements()  # kernel: height, width, inputs, outputs
    if operation.type == "DepthwiseConv2dNative":
        return outputs * right[:2].num_elements()
    transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    return outputs * left[-2 if transposed else -1]
