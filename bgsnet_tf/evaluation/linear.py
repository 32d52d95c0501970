"""One linear f_g under Eq. 1 on features that never change: what a run's training must beat. NumPy only.

Letters: R rows, K features, C seen classes, A attributes, B rows of a step.
"""

import dataclasses

import numpy as np

LEARNING_RATE, BATCH_SIZE, EPOCHS = 1e-3, 64, 30  # assumptions; `choose` takes the best of the epochs
DECAY_MEAN, DECAY_SQUARE, EPSILON = 0.9, 0.999, 1e-7  # Adam's, as Keras has them


@dataclasses.dataclass(frozen=True)
class LinearMap:
    """Features (rows, K) to attributes (rows, A)."""

    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, features):
        return np.asarray(features, np.float32) @ self.weights + self.bias


def maps(features, labels, class_attributes, seed):
    """The linear map after epoch 1, 2, …, without end: Adam on Eq. 1 from zero, channels standardised by the rows' own statistics.

    Args:
      features: (R, K).
      labels: (R,) rows of `class_attributes`.
      class_attributes: (C, A), φ of the seen classes.
      seed: of the order of the rows.
    """
    mean, deviation = np.mean(features, axis=0, dtype=np.float64), np.std(features, axis=0, dtype=np.float64)
    scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0.0).astype(np.float32)
    x = (features - mean.astype(np.float32)) * scale
    x = np.concatenate([x, np.ones([len(x), 1], np.float32)], axis=1)  # the last weight is the bias
    phi = np.asarray(class_attributes, np.float32)
    adam = _Adam(np.zeros([x.shape[1], phi.shape[1]], np.float32))
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(x))
        for rows in np.array_split(order, max(1, len(x) // BATCH_SIZE)):
            logits = x[rows] @ adam.values @ phi.T
            share = np.exp(logits - logits.max(axis=1, keepdims=True))
            share /= share.sum(axis=1, keepdims=True)
            share[np.arange(len(rows)), labels[rows]] -= 1  # the gradient of the logits
            adam.step(x[rows].T @ (share @ phi / len(rows)))
        weights = adam.values[:-1] * scale[:, np.newaxis]
        yield LinearMap(weights, adam.values[-1] - mean.astype(np.float32) @ weights)


class _Adam:
    """`values` and their moments; a step makes no new array of their size but the gradient."""

    def __init__(self, values):
        self.values, self._steps = values, 0
        self._mean, self._square, self._change = (np.zeros_like(values) for _ in range(3))

    def step(self, gradient):
        self._steps += 1
        rate = LEARNING_RATE * np.sqrt(1 - DECAY_SQUARE**self._steps) / (1 - DECAY_MEAN**self._steps)
        self._mean *= DECAY_MEAN
        self._mean += np.multiply(gradient, 1 - DECAY_MEAN, out=self._change)
        self._square *= DECAY_SQUARE
        gradient *= gradient
        self._square += np.multiply(gradient, 1 - DECAY_SQUARE, out=self._change)
        np.sqrt(self._square, out=self._change)
        self._change += EPSILON
        np.divide(self._mean, self._change, out=self._change)
        self._change *= np.float32(rate)
        self.values -= self._change
