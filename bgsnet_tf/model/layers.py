"""The layers that BGSNet adds to a backbone: predictors, instance-level balance, dataset-level balance.

Letters: B images, T tasks, N sub-modules, K channels, A attributes. All compute in float32: under mixed precision
only backbone and tails are narrower.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

layers = tf.keras.layers


class Dense(NamedTuple):
    """What a dense layer computes with given weights: (..., out) of (..., in)."""

    kernel: tf.Tensor
    bias: tf.Tensor

    def __call__(self, inputs):
        return tf.matmul(inputs, self.kernel) + self.bias


def feed_forward(inputs, dense):
    """What dense layers, or functions in their place, make of `inputs` one after another, with ReLU between."""
    for i, layer in enumerate(dense):
        inputs = layer(tf.nn.relu(inputs) if i else inputs)
    return inputs


class Predictor(layers.Layer):
    """f_g or f_s: one or two dense layers from visual to semantic embedding, with ReLU between.

    Args:
      attributes: A, the width of the output.
      hidden: units of the first of two layers; 0 for one layer.
    """

    def __init__(self, attributes, hidden=0, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.widths = [hidden, attributes] if hidden else [attributes]

    def build(self, shape):
        inputs = shape[-1]
        for i, units in enumerate(self.widths):
            self.add_weight(f"kernel_{i}", (inputs, units), initializer="glorot_uniform")
            self.add_weight(f"bias_{i}", (units,), initializer="zeros")
            inputs = units
        super().build(shape)

    @property
    def dense(self):
        """The `Dense` layers, first to last."""
        return [Dense(*weights) for weights in zip(self.weights[::2], self.weights[1::2])]

    def call(self, embeddings):
        """Attributes (..., A) of embeddings (..., K)."""
        return feed_forward(embeddings, self.dense)


class Standardization(layers.Layer):
    """e (..., K) to (e - mean) / deviation, channel by channel: constants, the statistics of e on the training photos.

    The channels of a pretrained backbone differ in scale by orders of magnitude, and with them how fast the weights behind them
    learn. Not in the paper; a linear map, so whatever it feeds can learn the same function. Starts as the identity.
    """

    LEAST_DEVIATION = 1e-6  # of a channel that never varies, so that it becomes 0 and not infinite

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", **kwargs)

    def build(self, shape):
        self.mean = self.add_weight("mean", shape[-1:], initializer="zeros", trainable=False)
        self.deviation = self.add_weight("deviation", shape[-1:], initializer="ones", trainable=False)
        super().build(shape)

    def call(self, embeddings):
        return (embeddings - self.mean) / self.deviation

    def adapt(self, embeddings):
        """Takes mean and deviation of embeddings (rows, K), an array, and returns them standardised."""
        self.mean.assign(embeddings.mean(axis=0))
        self.deviation.assign(np.maximum(embeddings.std(axis=0), self.LEAST_DEVIATION))
        return self(embeddings).numpy()


class InstanceBalance(layers.Layer):
    """f_b,i of all sub-modules: w_i^t = sigmoid(f_b,i([e_l,i ; e_g])), Eq. 4.

    The f_b,i are one or two dense layers each; their kernels are stacked along N. They start from different random
    values, since equal weights have no margin to grow from (text at Eq. 13).

    Args:
      hidden: units of the first of two layers; 0 for one layer.
    """

    def __init__(self, hidden=0, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.hidden = hidden

    def build(self, shapes):
        special, general = shapes
        modules, channels = special[-2], special[-1]
        inputs = channels + general[-1]
        self.kernels, self.biases = [], []
        for i, units in enumerate([self.hidden, channels] if self.hidden else [channels]):
            # Glorot's bound of one f_b: the initializer's own would take the axis N for part of the fan.
            bound = math.sqrt(6 / (inputs + units))
            initializer = tf.keras.initializers.RandomUniform(-bound, bound)
            self.kernels.append(self.add_weight(f"kernel_{i}", (modules, inputs, units), initializer=initializer))
            self.biases.append(self.add_weight(f"bias_{i}", (modules, 1, units), initializer="zeros"))
            inputs = units
        super().build(shapes)

    def call(self, inputs):
        """w^t (B, N, K) of e_l (B, N, K) and e_g (B, K)."""
        special, general = inputs
        by_module = tf.transpose(special, [1, 0, 2])
        general = tf.broadcast_to(general, [tf.shape(by_module)[0], tf.shape(general)[0], general.shape[-1]])
        outputs = feed_forward(tf.concat([by_module, general], axis=-1), map(Dense, self.kernels, self.biases))
        return tf.transpose(tf.sigmoid(outputs), [1, 0, 2])


class FixedPartition(layers.Layer):
    """A control in the place of `InstanceBalance`: every channel belongs to one sub-module, drawn at random, whatever the image."""

    def __init__(self, hidden=0, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.hidden = hidden

    def build(self, shapes):
        modules, channels = shapes[0][-2:]
        self.owner = self.add_weight("owner", (modules, channels), initializer=self._deal, trainable=False)
        super().build(shapes)

    def call(self, inputs):
        """w^t (B, N, K), 0 or 1, of e_l (B, N, K) and e_g (B, K)."""
        return tf.broadcast_to(self.owner, tf.shape(inputs[0]))

    @staticmethod
    def _deal(shape, dtype):
        return tf.one_hot(tf.random.shuffle(tf.range(shape[1]) % shape[0]), shape[0], axis=0, dtype=dtype)


class AnnealedGate(layers.Layer):
    """Dataset-level balance: one gate sigmoid(s w_i^d) a sub-module, Eq. 15.

    Args:
      s_max: the final sharpness, for the gradient compensation.
      init_std: standard deviation of the initial w^d around 0.
      compensate: undo the slope that the schedule gives to the gradient of w^d, as HAT does (Serra et al. 2018,
        §2.5). The paper does not mention it.
    """

    COSH_CLIP = 50.0  # HAT's bound on the argument of cosh

    def __init__(self, s_max=5.0, init_std=0.5, compensate=False, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.s_max, self.init_std, self.compensate = s_max, init_std, compensate

    def build(self, shape):
        initializer = tf.keras.initializers.RandomNormal(stddev=self.init_std)
        self.w = self.add_weight("w", (shape[-2],), initializer=initializer)
        super().build(shape)

    def gates(self, scale):
        """(N,) gates in (0, 1) at sharpness s = `scale`."""
        w = self._compensated(self.w, scale) if self.compensate else self.w
        return tf.sigmoid(scale * w)

    def call(self, embeddings, scale):
        """e^d (B, N, K): embeddings e^t (B, N, K), each sub-module times its gate."""
        return embeddings * self.gates(scale)[:, tf.newaxis]

    def _compensated(self, w, scale):
        @tf.custom_gradient
        def identity(w):
            def gradient(upstream):
                slope = (tf.cosh(tf.clip_by_value(scale * w, -self.COSH_CLIP, self.COSH_CLIP)) + 1) / (tf.cosh(w) + 1)
                return upstream * slope * self.s_max / scale

            return tf.identity(w), gradient

        return identity(w)
