"""The tails of BSNet as one network with weights stacked along N: a form that the product does not use.

Letters: B images, P = H·W positions, N sub-modules, C and D channels in and out.
"""

import tensorflow as tf

from bgsnet_tf.model.backbones.convolution import _transforms


class StackedTails(tf.keras.layers.Layer):
    """Trunk features (B, H, W, C) to e_l (B, N, K), by the graph of the tails, whose layers it computes for all N at once.

    Tensors lie as (N, B·P, C), so that a 1×1 convolution is one batched product, those that read the features are one
    product for all N, a 3×3 convolution is Winograd's with a batch of N·n² products, and a batch norm of N·C channels is
    that of the C channels of each.
    """

    def __init__(self, tails, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.graph, self.modules = tails[0].graph, len(tails)
        self.graph.trainable = False  # the stacks train instead
        self.stacks = {
            layer.name: [
                tf.Variable(tf.stack(weights), trainable="moving" not in weight.name)
                for weight, weights in zip(layer.weights, zip(*(tail.graph.layers[i].get_weights() for tail in tails)))
            ]
            for i, layer in enumerate(self.graph.layers)
        }

    def call(self, features, training=False):
        height, width, channels = features.shape[1:]
        tensors = {self.graph.input.ref(): tf.reshape(features, [1, -1, channels])}
        for layer in self.graph.layers[1:]:
            inputs = [tensors[tensor.ref()] for tensor in tf.nest.flatten(layer.input)]
            tensors[layer.output.ref()] = self._compute(layer, inputs, height, width)
        return tensors[self.graph.output.ref()]

    def _compute(self, layer, inputs, height, width):
        kinds = tf.keras.layers
        if isinstance(layer, kinds.Conv2D):
            kernel, bias = self.stacks[layer.name]
            outputs = self._winograd(inputs[0], kernel, height, width) if layer.kernel_size == (3, 3) else self._product(inputs[0], kernel)
            return outputs + bias[:, tf.newaxis]
        if isinstance(layer, kinds.BatchNormalization):
            gamma, beta, mean, variance = self.stacks[layer.name]
            batch_mean, batch_variance = tf.nn.moments(inputs[0], axes=[1])
            for statistic, now in ((mean, batch_mean), (variance, batch_variance)):
                statistic.assign_sub((1 - layer.momentum) * (statistic - now))
            factor = gamma * tf.math.rsqrt(batch_variance + layer.epsilon)
            return inputs[0] * factor[:, tf.newaxis] + (beta - batch_mean * factor)[:, tf.newaxis]
        if isinstance(layer, kinds.GlobalAveragePooling2D):
            by_image = tf.reshape(inputs[0], [self.modules, -1, height * width, inputs[0].shape[-1]])
            return tf.transpose(tf.reduce_mean(by_image, axis=2), [1, 0, 2])
        return tf.nn.relu(inputs[0]) if isinstance(layer, kinds.ReLU) else tf.add_n(inputs)

    def _product(self, inputs, kernel):
        kernel = kernel[:, 0, 0]
        if inputs.shape[0] == self.modules:
            return tf.matmul(inputs, kernel)
        joined = tf.reshape(tf.transpose(kernel, [1, 0, 2]), [kernel.shape[1], -1])
        return tf.transpose(tf.reshape(tf.matmul(inputs[0], joined), [-1, self.modules, kernel.shape[2]]), [1, 0, 2])

    def _winograd(self, inputs, kernel, height, width):
        n, channels, filters = self.modules, inputs.shape[-1], kernel.shape[-1]
        of_inputs, of_kernel, to_outputs = (tf.constant(matrix, tf.float32) for matrix in _transforms(height, width, "float32"))
        points, positions = of_kernel.shape[0], height * width
        first = tf.reshape(tf.transpose(tf.reshape(inputs, [n, -1, positions, channels]), [0, 2, 1, 3]), [n, positions, -1])
        tiles = tf.reshape(tf.matmul(of_inputs, first), [n, points, -1, channels])
        kernels = tf.reshape(tf.matmul(of_kernel, tf.reshape(kernel, [n, 9, -1])), [n, points, channels, filters])
        outputs = tf.matmul(to_outputs, tf.reshape(tf.matmul(tiles, kernels), [n, to_outputs.shape[1], -1]))
        return tf.reshape(tf.transpose(tf.reshape(outputs, [n, positions, -1, filters]), [0, 2, 1, 3]), [n, -1, filters])
