"""The losses of BGSNet as pure functions of tensors.

Letters: B images, C classes, A attributes, N sub-modules, K channels.
"""

import tensorflow as tf

EPSILON = 1e-6  # ε of Eq. 14, the paper's example


def attribute_cross_entropy(attributes, labels, class_attributes):
    """Softmax cross-entropy of the compatibility between predicted and class attributes (Eq. 1), mean over images.

    Args:
      attributes: (..., B, A) predicted attributes a.
      labels: (..., B) integer rows of `class_attributes`.
      class_attributes: (C, A), or (..., C, A), φ of the classes in the softmax.

    Returns:
      Scalar.
    """
    logits = tf.matmul(attributes, class_attributes, transpose_b=True)
    own = tf.reduce_sum(attributes * tf.gather(class_attributes, labels, batch_dims=len(class_attributes.shape) - 2), axis=-1)
    return tf.reduce_mean(tf.reduce_logsumexp(logits, axis=-1) - own)


def diversity_margin(weights, epoch):
    """The self-calculated margin mrg_k between mean and maximum of a channel's weights (Eq. 14).

    ε is added to the mean only where the sum stays below the maximum. No gradient flows through the margin.

    Args:
      weights: (B, N, K) instance weights w^t in (0, 1).
      epoch: eph, counted from 1 within the phase in which the diversity loss is active.

    Returns:
      (B, K).
    """
    weights = tf.stop_gradient(weights)
    mean = tf.reduce_mean(weights, axis=1)
    largest = tf.reduce_max(weights, axis=1)
    lower = tf.where(mean + EPSILON < largest, mean + EPSILON, mean)
    upper = (1 - 1 / (1 + tf.cast(epoch, weights.dtype))) * largest
    return tf.maximum(lower, upper)


def diversity_loss(weights, epoch):
    """L_div (Eq. 5): sum over channels and sub-modules, mean over images.

    With the two largest weights M ≥ s of a channel and the sum S of all N, the maximum of the others is M for
    every sub-module but the largest, and s for that one, so that the sum over i of Eq. 5 is
    M (S - M) + M s - mrg (S + (N - 1) M + s): O(N K), not O(N² K). The lowest index wins a tie at the top.
    One sub-module has no others to differ from: its loss is 0.

    Args:
      weights: (B, N, K) instance weights w^t in (0, 1).
      epoch: as in `diversity_margin`.

    Returns:
      Scalar.
    """
    modules = weights.shape[1]
    if modules == 1:
        return tf.zeros([], weights.dtype)
    margin = diversity_margin(weights, epoch)
    is_largest = tf.one_hot(tf.argmax(weights, axis=1), modules, axis=1, on_value=True, off_value=False)
    others = tf.where(is_largest, tf.cast(-1, weights.dtype), weights)
    is_second = tf.one_hot(tf.argmax(others, axis=1), modules, axis=1, dtype=weights.dtype)
    largest = tf.reduce_sum(tf.where(is_largest, weights, 0), axis=1)
    second = tf.reduce_sum(is_second * weights, axis=1)
    total = tf.reduce_sum(weights, axis=1)
    products = largest * (total - largest) + largest * second
    sums = total + (modules - 1) * largest + second
    return tf.reduce_mean(tf.reduce_sum(products - margin * sums, axis=1))


def sparsity_loss(weights, epoch):
    """A control in the place of L_div: an L1 penalty of what a channel's weights sum up to beyond 1.

    Sum over channels, mean over images. Where it is 0, weights are as sparse as L_div wants them, but no sub-module is preferred.

    Args:
      weights: (B, N, K) instance weights w^t in (0, 1).
      epoch: not used.

    Returns:
      Scalar.
    """
    del epoch
    return tf.reduce_mean(tf.reduce_sum(tf.nn.relu(tf.reduce_sum(weights, axis=1) - 1), axis=1))
