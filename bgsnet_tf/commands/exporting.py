"""What the export command does once its flags are read."""

import os

from bgsnet_tf import files
from bgsnet_tf.commands.opening import open_run
from bgsnet_tf.config import delta_choice
from bgsnet_tf.errors import UserError
from bgsnet_tf.exported import layout
from bgsnet_tf.reporting import model_card
from bgsnet_tf.scoring import cost, pruning
from bgsnet_tf.scoring.inference import infer
from bgsnet_tf.scoring.litert import compare
from bgsnet_tf.serving import litert, versions
from bgsnet_tf.training import checkpoints, stages


def export(config, prune_threshold=0.0, prune_to=0, kind="saved_model"):
    """Exports a finished run again, pruned where asked to; prints what that costs and saves.

    Args:
      config: of the run.
      prune_threshold: gates below it are closed, their sub-modules left out.
      prune_to: how many sub-modules, those of the widest gates, are kept; 0 for all.
      kind: "saved_model", a new version for TF Serving; or "litert", LiteRT files in `litert/` under the number of the version that
        holds the same, which is written where there is none.

    Raises:
      UserError: where the run is not finished or takes no images, or cannot be pruned or converted so.
    """
    run = open_run(config)
    if run.benchmark.features is not None:
        raise UserError("a run with --input=features has no network that takes images, so there is nothing to serve")
    bgsnet = stages.build_bgsnet(run)
    if prune_threshold or prune_to:
        whole, bgsnet = bgsnet, pruning.prune(bgsnet, prune_threshold, prune_to)
        print(cost.table({name: _cost(run, network) for name, network in (("whole", whole), ("pruned", bgsnet))}))
    with files.naming_unwritable(run.directory), files.locked(run.directory):
        version = write_version(run, bgsnet, reuse=kind == "litert")
        if kind == "litert":
            directory = os.path.join(run.directory, "litert", os.path.basename(version))
            paths = litert.write(bgsnet, run.views.size, version, directory)
            print(f"for telephones and browsers: {directory}")
            print(cost.table(compare(run, version, paths)))


def write_version(run, bgsnet, reuse):
    """Writes the next export of a network, or takes the newest where that holds the same. Returns and prints its path."""
    directory = os.path.join(run.directory, "export")
    submodules = len(bgsnet.bsnet.tails) if bgsnet.bsnet is not None else 0
    origin = layout.Origin(delta_choice.source(run.config), checkpoints.weights_digest(bgsnet), submodules)
    path = versions.write_next(bgsnet, run.benchmark, run.views, run.config.evaluation.delta, directory, reuse, origin)
    model_card.write(run, path)
    print(f"exported to {path}")
    if reason := layout.read(path).no_heat_maps:
        print(reason)
    return path


def _cost(run, bgsnet):
    """Accuracies and costs of a network, a column of `cost.table` each; no accuracies where a split has no rows."""
    scored = len(run.benchmark.test_seen) and len(run.benchmark.test_unseen)
    scores = run.score(infer(run, bgsnet).attributes["fused"]) if scored else {}
    return {
        "sub-modules": len(bgsnet.bsnet.tails),
        **{name: scores.get(name, "-") for name in ("T", "U", "S", "H")},
        **cost.measure(bgsnet.call, run.views.size, run.config.evaluation.eval_batch_size),
    }
