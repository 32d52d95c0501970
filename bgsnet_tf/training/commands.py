"""What `train.py` and `evaluate.py` do once their flags are read."""

import contextlib
import os

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from bgsnet_tf.data import images
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import calibration, metrics, report
from bgsnet_tf.serving import export
from bgsnet_tf.training import reference, stages
from bgsnet_tf.training.run import Run

DELTA_FLAGS = {"fused": "delta", "general": "delta_general", "special": "delta_special"}


def train(config):
    """Trains all stages of a run that are not finished, and exports the network; with --calibrate, chooses δ before.

    Raises:
      UserError: for bad data, settings that do not fit the run folder, or a loss that is not finite.
    """
    if config.evaluation.calibrate:
        config = _calibrated(config)
    run = _open(config, training=True)
    with _naming_bad_images(run):
        bgsnet = stages.build_bgsnet(run)
    if run.benchmark.features is None:  # a server gets images
        path = export.export(bgsnet, run.benchmark, run.views, config.evaluation.delta, os.path.join(run.directory, "export"))
        print(f"exported to {path}")


def evaluate(config):
    """Scores a finished run, prints the table and writes the result files into its folder.

    Returns:
      The dict written to `results.json`; in the validation split it holds the best δ of every branch.

    Raises:
      UserError: where the run is not finished.
    """
    run = _open(config, training=False)
    benchmark = run.benchmark
    for split in ("test_seen", "test_unseen"):
        if not len(getattr(benchmark, split)):
            raise UserError(f"{benchmark.name} has no {split} rows, so U, S and H are undefined; give some rows that split")
    bgsnet = stages.build_bgsnet(run)
    with _naming_bad_images(run):
        attributes = _predict(run, bgsnet)
    seen = len(benchmark.test_seen)
    scores = {name: (a[:seen] @ benchmark.phi.T, a[seen:] @ benchmark.phi.T) for name, a in attributes.items()}
    labels = benchmark.labels[benchmark.test_seen], benchmark.labels[benchmark.test_unseen]
    truth = (*labels, benchmark.seen_classes, benchmark.unseen_classes)
    deltas = {name: getattr(config.evaluation, DELTA_FLAGS[name]) for name in scores}
    source = "a constant of the flags, to be chosen on the validation split"
    if config.data.split == "validation":
        deltas = {
            name: calibration.best_delta(seen_scores, truth[0], unseen_scores, *truth[1:]).delta
            for name, (seen_scores, unseen_scores) in scores.items()
        }
        source = "the best H on this validation split"
    if benchmark.features is not None:
        scores["eszsl"], deltas["eszsl"] = reference.score_eszsl(run)
    results = {
        "dataset": benchmark.name,
        "split": config.data.split,
        "seed": config.run.seed,
        "delta": deltas["fused"],
        "deltas": deltas,
        "delta_source": source,
        **metrics.evaluate_branches(scores, *truth, deltas),
        "logit_std": {name: float(np.mean([np.std(part, axis=1).mean() for part in pair])) for name, pair in scores.items()},
    }
    if bgsnet.bsnet is not None:
        results["gates"] = [float(gate) for gate in bgsnet.bsnet.gates()]
    report.write_results(run.directory, results, report.per_class_table(benchmark.class_names, scores, *truth, deltas))
    print(report.format_table(results))
    if config.data.split == "validation":
        print("for the final split: " + " ".join(f"--{DELTA_FLAGS[name]}={delta:.3f}" for name, delta in deltas.items() if name in DELTA_FLAGS))
    return results


def _calibrated(config):
    validation = config.replace(split="validation", calibrate=False, run_dir=os.path.join(config.run.run_dir, "validation"))
    train(validation)
    deltas = evaluate(validation)["deltas"]
    return config.replace(calibrate=False, **{DELTA_FLAGS[name]: round(delta, 3) for name, delta in deltas.items() if name in DELTA_FLAGS})


def _open(config, training):
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16" if config.run.precision == "bfloat16" else "float32")
    run = Run(config, load_benchmark(config.data), training)
    if training:
        stages.check_folders(run)
        try:
            os.makedirs(run.directory, exist_ok=True)
            config.write(os.path.join(run.directory, "config.flags"))
        except OSError as error:
            raise UserError(f"--run_dir={run.directory} cannot be written: {error.strerror}") from error
    return run


def _predict(run, bgsnet):
    """Attributes (test rows, A) of every branch."""
    call = tf.function(bgsnet.call, reduce_retracing=True)
    batch_size = run.config.evaluation.eval_batch_size
    batches = images.image_batches(run.benchmark, images.items_of(run.test_rows), run.views, batch_size)
    outputs = [
        {name: attributes.numpy() for name, attributes in call(batch).items()}
        for batch in tqdm(batches, total=-(-len(run.test_rows) // batch_size), desc="evaluate", unit=" batches", mininterval=1)
    ]
    return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}


@contextlib.contextmanager
def _naming_bad_images(run):
    """Turns TensorFlow's error about some image into one that names its file."""
    try:
        yield
    except tf.errors.OpError:
        images.find_undecodable(run.benchmark, np.concatenate([run.benchmark.train, run.test_rows]))
        raise
