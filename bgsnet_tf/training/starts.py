"""What a network starts from beside pretrained and random weights: statistics and a closed form of the training images' e.

Letters: R training rows, K channels, N sub-modules, A attributes.
"""

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from bgsnet_tf.data import images
from bgsnet_tf.evaluation import eszsl
from bgsnet_tf.training.machines import memory, strategy

OPEN_SHARE, OPEN_BIAS = 0.01, 3.0  # of the random kernel, and sigmoid(3) = .95: assumptions


def start_gnet(run, gnet):
    """Standardises e and starts f_g where the flags ask for it, after one pass of the backbone over the training images."""
    standardization, closed_form = gnet.tail.standardization, run.config.finetune.g_start == "least_squares"
    if standardization is None and not closed_form:
        return
    embed = tf.function(lambda batch: gnet.embed(batch)[1], reduce_retracing=True, autograph=False)
    embeddings = pooled(run, embed, run.benchmark.train, "first pass")
    if standardization is not None:
        embeddings = standardization.adapt(embeddings)
    if closed_form:
        kernel = eszsl.classifier_start(embeddings, run.labels, run.class_attributes)
        gnet.predictor.set_weights([kernel, np.zeros(kernel.shape[1])])


def special_predictor(general, gates):
    """[kernel (N·K, A), bias (A,)] of an f_s that shares f_g out among the sub-modules: while tails are copies and w^t = 1, a_s = a_g.

    Args:
      general: [kernel (K, A), bias (A,)] of f_g.
      gates: (N,) as they start.
    """
    kernel, bias = general
    return [np.tile(kernel / np.sum(gates), [len(gates), 1]), bias]


def open_weights(balance):
    """Makes the weights w^t of an `InstanceBalance` start near 1.

    At random they start around one half: tails that learnt with w^t = 1 before would then learn first of all to make up for that.
    They still differ, as they must to have a margin (text at Eq. 13).
    """
    balance.kernels[-1].assign(OPEN_SHARE * balance.kernels[-1])
    balance.biases[-1].assign(tf.fill(balance.biases[-1].shape, OPEN_BIAS))


def pooled(run, embed, rows, description):
    """(n, K) of `rows` (n,) in the test view; `embed` is from images to (B, K), `description` for the progress bar."""
    size = run.config.evaluation.eval_batch_size
    batches = images.image_batches(run.benchmark, images.items_of(rows), run.views, size)
    found = strategy.each_batch(run.strategy, embed, batches)
    with memory.naming_shortage(description, run.config, "eval_batch_size"):
        return np.concatenate(list(tqdm(found, total=-(-len(rows) // size), desc=description, unit=" batches", mininterval=1)))
