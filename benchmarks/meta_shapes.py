"""The meta-training step that is measured: SUN's shapes, the paper's tasks, drawn once from a fixed seed."""

import numpy as np

from bgsnet_tf.data import episodes

CLASSES, ROWS_PER_CLASS, ATTRIBUTES, CHANNELS = 645, 16, 102, 2048
TASKS, WAY, SHOT, QUERY = 8, 10, 5, 3
INNER_LR, META_LR = 1e-3, 1e-4
STEPS = 10  # steps that are drawn; a timed call makes all of them
HIDDEN = 512  # of the f_g of two layers


def tensors():
    """Embeddings (rows, K) like pooled ReLU features, φ (C, A), and a list of STEPS `Episodes`."""
    rng = np.random.default_rng(0)
    embeddings = rng.gamma(1.0, 0.5, size=(CLASSES * ROWS_PER_CLASS, CHANNELS)).astype(np.float32)
    phi = rng.random((CLASSES, ATTRIBUTES)).astype(np.float32)
    phi /= np.linalg.norm(phi, axis=1, keepdims=True)
    labels = np.repeat(np.arange(CLASSES), ROWS_PER_CLASS)
    return embeddings, phi, [episodes.sample(rng, labels, TASKS, WAY, SHOT, QUERY) for _ in range(STEPS)]


def initial_weights(hidden):
    """Kernels and biases of f_g in turn, the same for every contender."""
    rng = np.random.default_rng(1)
    widths = [CHANNELS, hidden, ATTRIBUTES] if hidden else [CHANNELS, ATTRIBUTES]
    weights = []
    for inputs, units in zip(widths, widths[1:]):
        bound = (6 / (inputs + units)) ** 0.5
        weights += [rng.uniform(-bound, bound, (inputs, units)).astype(np.float32), np.zeros(units, np.float32)]
    return weights
