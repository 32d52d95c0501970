"""One pass of a trained network over the test rows of a run, for all that scores and reports need of it.

Letters: n test rows, m sampled ones, N sub-modules, K channels, A attributes.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Optional

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from bgsnet_tf.data import images
from bgsnet_tf.evaluation.analysis import spread
from bgsnet_tf.scoring import pruning

SAMPLED_UNSEEN, SAMPLED_SEEN = 400, 200  # images: of each, thumbnail and all N·K instance weights are in memory
SAMPLED_SEEN_CLASSES = 10  # few, so that each has enough images to show where it lies
THUMBNAIL = 48  # pixels


@dataclasses.dataclass(frozen=True)
class Inference:
    """What the network makes of the test rows: those of test_seen, then those of test_unseen.

    Attributes:
      attributes: branch to (n, A) predicted attributes.
      embeddings: (n, K) e_g.
      pruned: (n, N, A) fused attributes with the sub-modules of the 1, 2, …, N widest gates; None without gates.
      sampled: (m,) positions among the rows, in order, of images from all unseen and a few seen classes.
      thumbnails: (m, THUMBNAIL, THUMBNAIL, 3) uint8 of those; None where the data set has features and no images.
      weights: (m, N, K) instance weights of those; None without instance balance.
    """

    attributes: Mapping[str, np.ndarray]
    embeddings: np.ndarray
    pruned: Optional[np.ndarray]
    sampled: np.ndarray
    thumbnails: Optional[np.ndarray]
    weights: Optional[np.ndarray]


def infer(run, bgsnet):
    """The `Inference` of a run's network."""
    size = run.config.evaluation.eval_batch_size
    batches = images.image_batches(run.benchmark, images.items_of(run.test_rows), run.views, size)
    sampled = _sample(run)
    any_batch = [tf.TensorSpec([None, *run.input_shape])]
    outputs = tf.function(functools.partial(_outputs, bgsnet), any_batch, autograph=False)  # converting takes longer than tracing
    kept = []
    for first, batch in zip(
        range(0, len(run.test_rows), size),
        tqdm(batches, total=-(-len(run.test_rows) // size), desc="evaluate", unit=" batches", mininterval=1),
    ):
        branches, embeddings, pruned, weights = outputs(batch)
        in_batch = sampled[(first <= sampled) & (sampled < first + size)] - first
        kept.append(
            {
                **{name: attributes.numpy() for name, attributes in branches.items()},
                "embeddings": embeddings.numpy(),
                "pruned": None if pruned is None else pruned.numpy(),
                "thumbnails": None if run.benchmark.features is not None else _thumbnails(tf.gather(batch, in_batch)),
                "weights": None if weights is None else weights.numpy()[in_batch],
            }
        )
    joined = {name: None if kept[0][name] is None else np.concatenate([of_batch[name] for of_batch in kept]) for name in kept[0]}
    rest = {name: joined.pop(name) for name in ("embeddings", "pruned", "thumbnails", "weights")}
    return Inference(joined, sampled=sampled, **rest)


def _outputs(bgsnet, batch):
    """(attributes (B, A) by branch, e_g (B, K), attributes (B, N, A) of the pruned networks, w^t (B, N, K)) of images."""
    features, embeddings = bgsnet.embed(batch)
    bsnet = bgsnet.bsnet
    if bsnet is None:
        return bgsnet.fuse(embeddings, None), embeddings, None, None
    weights, balanced = bsnet.balanced(features, embeddings)
    branches = bgsnet.fuse(embeddings, bsnet.attributes(balanced))
    pruned = None
    if bsnet.dataset_balance:
        pruned = pruning.nested_attributes(bsnet, balanced)
        if "general" in branches:
            pruned += branches["general"][:, tf.newaxis]
    return branches, embeddings, pruned, weights if bsnet.phase.instance_balance else None


def _sample(run):
    benchmark = run.benchmark
    few = np.isin(benchmark.labels[benchmark.test_seen], spread(np.unique(benchmark.labels[benchmark.test_seen]), SAMPLED_SEEN_CLASSES))
    unseen = np.arange(len(benchmark.test_seen), len(run.test_rows))
    return np.concatenate([spread(np.flatnonzero(few), SAMPLED_SEEN), spread(unseen, SAMPLED_UNSEEN)])


def _thumbnails(batch):
    small = tf.image.resize(batch, [THUMBNAIL, THUMBNAIL], antialias=True)
    return np.clip(np.rint(small.numpy()), 0, 255).astype(np.uint8)
