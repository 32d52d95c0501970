"""The order of training: which items, in which view, in which batch. Pure NumPy.

The order of an epoch follows from (seed, epoch) alone, so a run that is continued sees what it would have seen.
"""

import numpy as np
import tensorflow as tf


def steps_per_epoch(items, batch_size):
    """Full batches in an epoch, and one smaller one where there are fewer items than a batch."""
    return max(1, items // batch_size)


def epoch_batches(items, views, batch_size, seed, epoch):
    """The batches of one epoch: every item at most once, in random order and view; what is left of a full batch is dropped.

    Returns:
      (steps, B, 2) int32 of (item, view).
    """
    rng = np.random.default_rng([seed, epoch])
    batch_size = min(items, batch_size)
    steps = steps_per_epoch(items, batch_size)
    order = rng.permutation(items)[: steps * batch_size]
    plan = np.stack([order, rng.integers(views, size=len(order))], axis=1)
    return plan.reshape(steps, batch_size, 2).astype(np.int32)


def epochs_dataset(plan, first_epoch, epochs):
    """A dataset of the elements of `plan(epoch)`, an array or named tuple of arrays, for one epoch after another.

    Args:
      plan: function from an epoch number to arrays with one leading axis of steps.
      first_epoch, epochs: the epochs first_epoch .. epochs-1.
    """
    example = plan(first_epoch)
    signature = _map(lambda array: tf.TensorSpec(array.shape[1:], array.dtype), example)

    def steps():
        for epoch in range(first_epoch, epochs):
            arrays = plan(epoch)
            for step in range(len(arrays if isinstance(arrays, np.ndarray) else arrays[0])):
                yield _map(lambda array, step=step: array[step], arrays)

    return tf.data.Dataset.from_generator(steps, output_signature=signature)


def _map(function, arrays):
    return function(arrays) if isinstance(arrays, np.ndarray) else type(arrays)(*map(function, arrays))
