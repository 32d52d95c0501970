"""Multiply-adds and memory of graphs small enough to count by hand."""

import tensorflow as tf

from bgsnet_tf.model import graph_costs

SIZE = 1000
BYTES = 4 * SIZE


def graph_of(function, *shapes):
    return tf.function(function).get_concrete_function(*[tf.TensorSpec(shape) for shape in shapes]).graph


def test_gradients_have_the_multiply_adds_of_their_layers():
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Conv2D(5, 3, strides=2, padding="same"),
            tf.keras.layers.DepthwiseConv2D(3, padding="same"),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(7),
        ]
    )
    model.build((2, 8, 8, 3))

    def gradients(images):
        with tf.GradientTape() as tape:
            outputs = model(images)
        return tape.gradient(outputs, model.trainable_weights)

    convolution, depthwise, dense = 2 * 80 * 27, 2 * 80 * 9, 2 * 80 * 7
    assert graph_costs.multiply_adds(graph_of(model, [2, 8, 8, 3])) == convolution + depthwise + dense
    # Each layer's kernel has a gradient, and each layer's input but the images.
    assert graph_costs.multiply_adds(graph_of(gradients, [2, 8, 8, 3])) == 2 * convolution + 3 * depthwise + 2 * dense


def test_what_nothing_depends_on_does_not_run():
    def with_dead_end(matrix):
        tf.matmul(matrix, matrix)
        return tf.sin(matrix)

    graph = graph_of(with_dead_end, [10, 10])
    assert graph_costs.multiply_adds(graph) == 0
    assert graph_costs.peak_bytes(graph) == 400


def test_a_chain_holds_two_tensors_at_a_time():
    def chain(x):
        for _ in range(5):
            x = tf.reshape(tf.sin(x), [SIZE])  # reshaping takes no memory
        return x

    assert graph_costs.peak_bytes(graph_of(chain, [SIZE])) == 2 * BYTES


def test_a_gradient_holds_the_whole_chain():
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in range(5):
                y = tf.exp(y)  # its gradient reads its output
        return tape.gradient(y, x)

    peak = graph_costs.peak_bytes(graph_of(gradient, [SIZE]))
    assert 6 * BYTES <= peak <= 8 * BYTES  # five outputs, and the gradients that flow back


def test_variables_are_counted_elsewhere():
    variable = tf.Variable(tf.zeros([SIZE]))

    def assign():
        variable.assign_add(2.0 * variable)

    assert graph_costs.peak_bytes(graph_of(assign)) == BYTES
