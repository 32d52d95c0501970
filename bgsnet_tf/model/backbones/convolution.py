"""Convolutions as matrix products: how tails train on CPUs.

What it is worth: with Keras's convolutions a step of ten ResNet101 tails takes 1.28 times as long in float32, 1.13 in bfloat16
(`python -m benchmarks.bsnet_step`). On tails of small convolutions it is worth nothing: of EfficientNet-Lite0, as photos.flags cuts it,
Keras takes 0.98 times as long, of SqueezeNet 0.94 (`python -m benchmarks.own_tails`). All on two cores, November 2026.

Letters: B images, C and D channels in and out, P = H·W positions, T tiles of m×m positions, n = m + 2.
"""

import math

import numpy as np
import tensorflow as tf

layers = tf.keras.layers

# Compute dtype to tile size m and the interpolation points beside ∞. Larger tiles multiply less and round worse; the
# points of m = 4 round least among those tried: 2.5 times as much as the direct sum, the textbook's (0, ±1, ±2) 3.2 times
# (benchmarks/convolutions.py).
WINOGRAD = {"float32": (4, (0, 1, -1, 2, -0.5)), "bfloat16": (2, (0, 1, -1))}
MAX_WORK = 2 / 3  # share of the direct sum's multiply-adds above which the transforms eat the gain
MIN_CHANNELS = 128  # below, products are too small to make up for the transforms


def for_training(layer):
    """A new layer of the same configuration, in the form that trains fastest here: a `clone_function` of Keras."""
    config = layer.get_config()
    return MatrixConv2D.from_config(config) if _suits(layer) and not tf.config.list_physical_devices("GPU") else layer.from_config(config)


def _suits(layer):
    if type(layer) is not layers.Conv2D or layer.groups != 1 or layer.data_format != "channels_last":
        return False
    if layer.strides != (1, 1) or layer.dilation_rate != (1, 1):
        return False
    if layer.kernel_size == (1, 1):
        return True
    height, width, channels = layer.input_shape[1:]
    if layer.kernel_size != (3, 3) or layer.padding != "same" or None in (height, width) or layer.compute_dtype not in WINOGRAD:
        return False
    m, _ = WINOGRAD[layer.compute_dtype]
    work = math.ceil(height / m) * math.ceil(width / m) * (m + 2) ** 2 / (9 * height * width)
    return work <= MAX_WORK and min(channels, layer.filters) >= MIN_CHANNELS


class MatrixConv2D(layers.Conv2D):
    """A `Conv2D` that computes its training passes, forward and backward, as matrix products.

    A 1×1 kernel is one product over all positions: its gradients then are products too, which run faster than the
    gradients of a convolution. A 3×3 kernel takes Winograd's minimal filtering (Lavin & Gray 2016, "Fast Algorithms for
    Convolutional Neural Networks"), whose gradients multiply as little as its forward pass. In inference it is its parent.
    """

    def call(self, inputs, training=False):
        if not training:
            return super().call(inputs)
        kernel = tf.cast(self.kernel, inputs.dtype)
        if self.kernel_size == (1, 1):
            outputs = tf.reshape(tf.matmul(tf.reshape(inputs, [-1, inputs.shape[-1]]), kernel[0, 0]), self._shape_of_outputs(inputs))
        else:
            outputs = winograd(inputs, kernel)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return self.activation(outputs)

    def _shape_of_outputs(self, inputs):
        return tf.concat([tf.shape(inputs)[:-1], [self.filters]], axis=0)


def winograd(inputs, kernel):
    """The convolution (B, H, W, D) of (B, H, W, C) with a 3×3 kernel (3, 3, C, D), stride 1, padding "same"."""
    height, width, channels = inputs.shape[1:]
    filters = kernel.shape[-1]
    of_inputs, of_kernel, to_outputs = (tf.constant(matrix, inputs.dtype) for matrix in _transforms(height, width, inputs.dtype.name))
    points = of_kernel.shape[0]
    positions_first = tf.reshape(tf.transpose(inputs, [1, 2, 0, 3]), [height * width, -1])  # (P, B·C)
    tiles = tf.reshape(tf.matmul(of_inputs, positions_first), [points, -1, channels])  # (n², T·B, C)
    kernels = tf.reshape(tf.matmul(of_kernel, tf.reshape(kernel, [9, -1])), [points, channels, filters])
    products = tf.reshape(tf.matmul(tiles, kernels), [to_outputs.shape[1], -1])  # (n²·T, B·D)
    outputs = tf.reshape(tf.matmul(to_outputs, products), [height, width, -1, filters])
    return tf.transpose(outputs, [2, 0, 1, 3])


def _transforms(height, width, dtype):
    """Matrices of the whole map: inputs (n²·T, P), kernel (n², 9) and outputs (P, n²·T)."""
    m, points = WINOGRAD[dtype]
    inputs, kernel, outputs = _minimal_filtering(m, points)
    (rows, rows_back), (columns, columns_back) = (_tiled(size, inputs, outputs) for size in (height, width))
    of_inputs = np.einsum("tpy,sqx->pqtsyx", rows, columns).reshape(-1, height * width)
    to_outputs = np.einsum("ytp,xsq->yxpqts", rows_back, columns_back).reshape(height * width, -1)
    return of_inputs, np.kron(kernel, kernel), to_outputs


def _tiled(size, inputs, outputs):
    """Transforms of one axis of `size` positions, zero beyond its ends: (T, n, size) and (size, T, n)."""
    m, n = outputs.shape
    tiles = math.ceil(size / m)
    padded = np.zeros([tiles, n, tiles * m + 2])
    back = np.zeros([tiles * m, tiles, n])
    for tile in range(tiles):
        padded[tile, :, tile * m : tile * m + n] = inputs
        back[tile * m : tile * m + m, tile] = outputs
    return padded[:, :, 1 : size + 1], back[:size]


def _minimal_filtering(m, points):
    """Bᵀ (n, n), G (n, 3) and Aᵀ (m, n) of F(m, 3): m outputs of a filter of 3 are Aᵀ ((G filter) ⊙ (Bᵀ inputs)).

    Cook and Toom's construction: a product of polynomials by their values at n - 1 points and at ∞, transposed.
    """

    def values(coefficients):
        return np.vstack([np.vander(points, coefficients, increasing=True), np.eye(coefficients)[-1]])

    inputs = np.linalg.inv(values(m + 2)).T
    scale = np.abs(inputs).max(axis=1, keepdims=True)  # shares the magnitudes between inputs and kernel
    return inputs / scale, values(3) * scale, values(m).T
