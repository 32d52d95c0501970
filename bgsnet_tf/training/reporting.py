"""Gathers the arrays that a run's `report.html` is made of; what is drawn of them is `evaluation`'s."""

import platform

import numpy as np
import tensorflow as tf

import bgsnet_tf
from bgsnet_tf.data import images
from bgsnet_tf.evaluation import html_report

WEIGHT_IMAGES = 256  # images behind the distribution of the instance weights; all their weights are in memory at once


def versions():
    """Name to version of what a result depends on."""
    return {"bgsnet_tf": bgsnet_tf.__version__, "Python": platform.python_version(), "TensorFlow": tf.__version__, "NumPy": np.__version__}


def write_report(run, bgsnet, results, per_class, scores, attributes):
    """Writes `report.html` and `figures/` into the run's folder. Returns the page's path.

    Args:
      run: the run.
      bgsnet: its network.
      results: the content of `results.json`.
      per_class: `evaluation.report.per_class_table`.
      scores: branch to (scores_seen, scores_unseen).
      attributes: (test_unseen rows, A) fused.
    """
    benchmark = run.benchmark
    return html_report.write(
        run.directory,
        html_report.Evidence(
            results=results,
            per_class=per_class,
            scores=scores,
            labels_seen=benchmark.labels[benchmark.test_seen],
            labels_unseen=benchmark.labels[benchmark.test_unseen],
            seen_classes=benchmark.seen_classes,
            unseen_classes=benchmark.unseen_classes,
            attributes=attributes,
            class_attributes=benchmark.phi,
            class_names=benchmark.class_names,
            attribute_names=benchmark.attribute_names,
            weights=_instance_weights(run, bgsnet),
            load_images=None if benchmark.features is not None else lambda positions: _pixels(run, benchmark.test_unseen[positions]),
        ),
    )


def _instance_weights(run, bgsnet):
    """w^t (m, N, K) of images spread over test_unseen; None without instance balance."""
    if bgsnet.bsnet is None or not bgsnet.bsnet.phase.instance_balance:
        return None
    rows = run.benchmark.test_unseen
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, WEIGHT_IMAGES).round().astype(int))]

    @tf.function(reduce_retracing=True)
    def weights(batch):
        features = bgsnet.trunk(batch, training=False)
        return bgsnet.bsnet.weights_and_attributes(features, bgsnet.general_tail(features, training=False))[0]

    batches = images.image_batches(run.benchmark, images.items_of(rows), run.views, run.config.evaluation.eval_batch_size)
    return np.concatenate([weights(batch).numpy() for batch in batches])


def _pixels(run, rows):
    """(k, H, W, 3) uint8 of rows, as the network sees them."""
    batches = images.image_batches(run.benchmark, images.items_of(rows), run.views, len(rows))
    return np.clip(np.rint(next(iter(batches)).numpy()), 0, 255).astype(np.uint8)
