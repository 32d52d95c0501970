"""The order of training: which items, in which view, in which batch. Pure NumPy.

The order of an epoch follows from (seed, epoch) alone, so a run that is continued sees what it would have seen.
"""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of every global batch that this process feeds: parts first .. first+count-1 of `total` equal ones."""

    first: int = 0
    count: int = 1
    total: int = 1


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
    drawn = np.stack([order, rng.integers(views, size=len(order))], axis=1)
    return drawn.reshape(steps, batch_size, 2).astype(np.int32)


def epochs_dataset(draw, first_epoch, first_step=0, share=Share()):
    """An endless dataset of the elements of `draw(epoch)`, an array or named tuple of arrays, for one epoch after another.

    Args:
      draw: function from an epoch number to arrays (steps, B, …).
      first_epoch: where it begins.
      first_step: steps of the first epoch that are left out.
      share: of each batch; every part, (B / total, …), is an element of its own.
    """

    def elements():
        for epoch in itertools.count(first_epoch):
            arrays = draw(epoch)
            steps = len(arrays if isinstance(arrays, np.ndarray) else arrays[0])
            for step in range(first_step if epoch == first_epoch else 0, steps):
                for part in range(share.first, share.first + share.count):
                    yield _map(lambda array, step=step, part=part: np.split(array[step], share.total)[part], arrays)

    signature = _map(lambda array: tf.TensorSpec([array.shape[1] // share.total, *array.shape[2:]], array.dtype), draw(first_epoch))
    return without_autotuning(tf.data.Dataset.from_generator(elements, output_signature=signature))


def without_autotuning(dataset):
    """`dataset`, and all that is made of it, with the parallelism that is written down.

    The thread of tf.data's autotuner looks up after 10 ms, 20 ms, 40 ms, … up to a minute, and the end of an iterator
    waits for it: every epoch of evaluation and every phase of training could end with up to a minute of waiting.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _map(function, arrays):
    return function(arrays) if isinstance(arrays, np.ndarray) else type(arrays)(*map(function, arrays))
