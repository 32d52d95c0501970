"""What the export command does once its flags are read."""

import os

from bgsnet_tf import delta_choice, files
from bgsnet_tf.commands.opening import open_run
from bgsnet_tf.errors import UserError
from bgsnet_tf.exported import layout
from bgsnet_tf.reporting import model_card
from bgsnet_tf.scoring import cost, pruning
from bgsnet_tf.scoring.inference import infer
from bgsnet_tf.serving import versions
from bgsnet_tf.training import checkpoints, stages


def export(config, prune_threshold=0.0, prune_to=0):
    """Exports a finished run again, pruned where asked to; then prints what that costs and saves.

    Args:
      config: of the run.
      prune_threshold: gates below it are closed, their sub-modules left out.
      prune_to: how many sub-modules, those of the widest gates, are kept; 0 for all.

    Raises:
      UserError: where the run is not finished or takes no images, or cannot be pruned so.
    """
    run = open_run(config)
    if run.benchmark.features is not None:
        raise UserError("a run with --input=features has no network that takes images, so there is nothing to serve")
    bgsnet = stages.build_bgsnet(run)
    if prune_threshold or prune_to:
        whole, bgsnet = bgsnet, pruning.prune(bgsnet, prune_threshold, prune_to)
        print(cost.table({name: _cost(run, network) for name, network in (("whole", whole), ("pruned", bgsnet))}))
    with files.naming_unwritable(run.directory), files.locked(run.directory):
        write_version(run, bgsnet, reuse=False)


def write_version(run, bgsnet, reuse):
    """Writes the next export of a network into the folder of its run, or takes the newest where that holds the same; says where."""
    directory = os.path.join(run.directory, "export")
    submodules = len(bgsnet.bsnet.tails) if bgsnet.bsnet is not None else 0
    origin = layout.Origin(delta_choice.source(run.config), checkpoints.weights_digest(bgsnet), submodules)
    path = versions.write_next(bgsnet, run.benchmark, run.views, run.config.evaluation.delta, directory, reuse, origin)
    model_card.write(run, path)
    print(f"exported to {path}")
    if reason := layout.read(path).no_heat_maps:
        print(reason)


def _cost(run, bgsnet):
    """Accuracies and costs of a network, a column of `cost.table` each; no accuracies where a split has no rows."""
    scored = len(run.benchmark.test_seen) and len(run.benchmark.test_unseen)
    scores = run.score(infer(run, bgsnet).attributes["fused"]) if scored else {}
    return {
        "sub-modules": len(bgsnet.bsnet.tails),
        **{name: scores.get(name, "-") for name in ("T", "U", "S", "H")},
        **cost.measure(bgsnet.call, run.views.size, run.config.evaluation.eval_batch_size),
    }
