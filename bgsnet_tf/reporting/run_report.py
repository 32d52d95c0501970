"""Gathers what a run's report is made of: `report.html` with its figures and tables, and TensorBoard's view of the same."""

import functools
import os
import platform

import numpy as np
import pandas as pd
import tensorflow as tf

import bgsnet_tf
from bgsnet_tf import files
from bgsnet_tf.data import images
from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import metrics
from bgsnet_tf.model.attribution import Attribution
from bgsnet_tf.reporting import heat_maps, run_page, tensorboard
from bgsnet_tf.reporting.result_tables import read_curve, write_curves, write_pruning
from bgsnet_tf.scoring import pruning
from bgsnet_tf.training import run_folder, stages
from bgsnet_tf.training.checkpoints import StageFolder


def versions():
    """Name to version of what a result depends on."""
    return {"bgsnet_tf": bgsnet_tf.__version__, "Python": platform.python_version(), "TensorFlow": tf.__version__, "NumPy": np.__version__}


def stage_costs(run):
    """Finished stage to its `seconds` of training and its `peak_memory_bytes`, None where they are not on record."""
    folders = {name: StageFolder(run.directory, name, stages.stage_settings(run, name)) for name in stages.STAGES}
    return {name: folder.costs for name, folder in folders.items() if folder.finished}


def write_report(run, bgsnet, results, per_class, scores, inference, validation_dir, begin):
    """Writes `report.html`, `figures/`, the tables behind them and `logs/evaluation` into the run's folder. Returns the page's path.

    Args:
      run: the run.
      bgsnet: its network.
      results: the content of `results.json`.
      per_class: `reporting.result_tables.per_class_table`.
      scores: branch to (scores_seen, scores_unseen).
      inference: `Inference` of the network.
      validation_dir: folder of the run that chose δ, which may not exist.
      begin: as `Aside.begin`: how a figure is drawn.
    """
    benchmark, seen = run.benchmark, len(run.benchmark.test_seen)
    labels = benchmark.labels[benchmark.test_seen], benchmark.labels[benchmark.test_unseen]
    curves = {
        branch: metrics.seen_unseen_curve(pair[0], labels[0], pair[1], labels[1], benchmark.seen_classes, benchmark.unseen_classes)
        for branch, pair in scores.items()
    }
    if results["split"] == "validation":
        write_curves(run.directory, curves)
        validation_dir = run.directory
    load_views = None if benchmark.features is not None else _view_loader(run)
    evidence = run_page.Evidence(
        results=results,
        per_class=per_class,
        curves=curves,
        calibration=read_curve(validation_dir, "fused"),
        finetuning=_finetuning(results, validation_dir),
        load_pruning=None if inference.pruned is None else lambda: _pruning(run, bgsnet, inference.pruned, results["delta"]),
        labels_unseen=labels[1],
        unseen_classes=benchmark.unseen_classes,
        attributes=inference.attributes["fused"][seen:],
        class_attributes=benchmark.phi,
        class_names=benchmark.class_names,
        attribute_names=benchmark.attribute_names,
        weights=None if inference.weights is None else inference.weights[inference.sampled >= seen],
        balance=_last_epoch(run),
        load_images=None if load_views is None else lambda positions: _pixels(load_views(positions)),
        load_maps=None if load_views is None else _map_loader(bgsnet, load_views),
    )
    page, figures = run_page.write(run.directory, evidence, begin)
    tensorboard.write(run, results, figures, heat_maps.strips(evidence), inference)
    return page


def _pruning(run, bgsnet, pruned, delta):
    table = pruning.table(run, bgsnet, pruned, delta)
    write_pruning(run.directory, table)
    return table


def _last_epoch(run):
    path = os.path.join(run.directory, run_folder.BALANCE)
    return pd.read_csv(path).iloc[-1].to_dict() if os.path.exists(path) else None


def _finetuning(results, validation_dir):
    if results["split"] != "validation":
        results = files.read_json(os.path.join(validation_dir, "results.json")) or {}
    return {int(epoch): scores for epoch, scores in results.get("finetuning", {}).items()}


def _view_loader(run):
    """A function from (k,) positions in test_unseen to float32 (k, H, W, 3), as the network sees those images."""
    load = images.row_images(run.benchmark)
    return lambda positions: np.stack([run.views(load(tf.constant(row))) for row in run.benchmark.test_unseen[positions]])


def _map_loader(bgsnet, load_views):
    """A function from a tuple of k positions in test_unseen to maps (k, h, w, A) of the fused attributes; None where there are none."""
    try:
        attribution = Attribution(bgsnet)
    except UserError:
        return None

    @functools.cache  # the page and TensorBoard show the same images
    def maps(positions):
        return attribution(load_views(np.array(positions)))["fused"].maps.numpy()

    return maps


def _pixels(views):
    return np.clip(np.rint(views), 0, 255).astype(np.uint8)
