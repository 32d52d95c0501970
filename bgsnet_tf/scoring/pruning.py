"""What pruning would cost and save: networks that keep 1, 2, …, N sub-modules, those of the widest gates.

Letters: B images, n test rows, N sub-modules, K channels, A attributes.
"""

import dataclasses

import numpy as np
import pandas as pd
import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.model import graph_costs
from bgsnet_tf.model.bgsnet import BGSNet


def nested_attributes(bsnet, balanced):
    """a_s (B, N, A) of the N pruned networks, from the embeddings (B, N, K) of one pass: f_s is all that is computed again."""
    modules = balanced.shape[1]
    rank = tf.argsort(tf.argsort(-bsnet.gates(), stable=True))
    kept = tf.cast(rank[tf.newaxis] <= tf.range(modules)[:, tf.newaxis], balanced.dtype)  # (N networks, N sub-modules)
    return bsnet.attributes(balanced[:, tf.newaxis] * kept[..., tf.newaxis])


def table(run, bgsnet, pruned, delta):
    """DataFrame of the pruned networks, a row each: accuracies on the test rows in percent, and what an image costs.

    Its columns: kept, `threshold` (the narrowest gate kept, so the highest --prune_threshold that keeps it), T, U, S, H, AUSUC,
    multiply_adds, parameters.

    Args:
      run: a `Run`.
      bgsnet: its network, with gates.
      pruned: (n, N, A), see `Inference`.
      delta: δ of the whole network; it stays.
    """
    run = dataclasses.replace(run, config=run.config.replace(delta=delta))
    gates = np.sort(bgsnet.bsnet.gates().numpy())[::-1]
    one, two = (_costs(run, bgsnet, count) for count in (1, min(2, len(gates))))
    costs = one + np.outer(np.arange(len(gates)), two - one)  # every further sub-module costs as much as the second
    return pd.DataFrame(
        {
            "kept": k + 1,
            "threshold": float(gates[k]),
            **run.score(pruned[:, k]),
            "multiply_adds": costs[k, 0],
            "parameters": costs[k, 1],
        }
        for k in range(len(gates))
    )


def prune(bgsnet, threshold, count):
    """The `BGSNet` with the sub-modules alone whose gates are at least `threshold`, at most `count` of them; 0 for no bound.

    Raises:
      UserError: without gates, or where all are below.
    """
    if bgsnet.bsnet is None or not bgsnet.bsnet.dataset_balance:
        raise UserError("this run has no gates to prune by (--nobsnet or --nodataset_balance); export it without pruning flags")
    gates = bgsnet.bsnet.gates().numpy()
    kept = np.argsort(-gates, kind="stable")[: count or None]
    kept = np.sort(kept[gates[kept] >= threshold])
    if not len(kept):
        raise UserError(f"--prune_threshold={threshold} closes all {len(gates)} gates; the widest is {gates.max():.3f}")
    print(f"gates {', '.join(f'{gate:.3f}' for gate in gates)}: sub-modules {', '.join(map(str, kept))} kept")
    return BGSNet(bgsnet.trunk, bgsnet.general_tail, bgsnet.general_predictor, bgsnet.bsnet.pruned(kept))


def _costs(run, bgsnet, count):
    """(2,) multiply-adds of an image, and parameters, with `count` sub-modules."""
    small = BGSNet(bgsnet.trunk, bgsnet.general_tail, bgsnet.general_predictor, bgsnet.bsnet.pruned(range(count)))
    call = tf.function(small.call, autograph=False).get_concrete_function(tf.TensorSpec([1, *run.input_shape]))
    return np.array([graph_costs.multiply_adds(call.graph), sum(variable.shape.num_elements() for variable in call.variables)])
