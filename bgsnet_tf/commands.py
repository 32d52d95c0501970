"""What `train.py` and `evaluate.py` do once their flags are read."""

import contextlib
import dataclasses
import os

import numpy as np
import tensorflow as tf

from bgsnet_tf import files
from bgsnet_tf.data import checksums, images
from bgsnet_tf.data.loading import load_benchmark
from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import bootstrap, calibration, metrics
from bgsnet_tf.exported import layout
from bgsnet_tf.planning import dry_run
from bgsnet_tf.planning.parts import duration
from bgsnet_tf.reporting import result_tables, run_report
from bgsnet_tf.scoring import cost, exported, pruning, reference
from bgsnet_tf.scoring.inference import infer
from bgsnet_tf.serving import versions
from bgsnet_tf.training import checkpoints, run_folder, stages, strategy
from bgsnet_tf.training.run import Run

DELTA_FLAGS = {"fused": "delta", "general": "delta_general", "special": "delta_special"}


def train(config, redo=""):
    """Trains all stages of a run that are not finished, and exports the network; with --calibrate, chooses δ before.

    Args:
      config: settings.
      redo: a stage that is forgotten, with those that start from it, in the validation run too, and so trained again.

    Raises:
      UserError: for bad data, settings that do not fit the run folder, a folder in use, a full disk, a lost process of
        a distributed run, or a loss that is not finite.
      Interrupted: after a signal, with all that was done saved.
    """
    if config.evaluation.calibrate:
        config = _calibrated(config, redo)
    with _working(config, redo) as run:
        bgsnet = _fit(run)
        if run.worker.is_chief and run.benchmark.features is None:  # a server gets images
            of_export = run
            if run.strategy.num_replicas_in_sync > 1:
                of_export = dataclasses.replace(run, training=False, strategy=tf.distribute.get_strategy())
                bgsnet = stages.build_bgsnet(of_export)
            _write_version(of_export, bgsnet, reuse=True)
        _wait(run)


def plan(config):
    """Prints what `train` takes in steps, memory, disk and time; with --calibrate, for the validation split before. Writes nothing.

    Raises:
      UserError: as `train`, and where memory or disk do not suffice.
    """
    run_folder.require_own(config.run.run_dir)
    seconds = 0
    for planned in [validation_run(config), config] if config.evaluation.calibrate else [config]:
        run = open_run(planned)
        stages.check(run)
        with _naming_bad_images(run):
            seconds += sum(part.seconds for part in dry_run.plan(run))
    if config.evaluation.calibrate:
        print(f"time of both {duration(seconds)}")


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
        _write_version(run, bgsnet, reuse=False)


def fit(config, redo=""):
    """As `train`, without --calibrate and without an export. Returns the `Run` and its `BGSNet`."""
    with _working(config, redo) as run:
        return run, _fit(run)


def evaluate(config, html=True):
    """Scores a finished run, prints the table and writes the result files into its folder.

    Args:
      config: settings.
      html: write `report.html`, its figures and tables, and TensorBoard's `logs/evaluation` too.

    Returns:
      The dict written to `results.json`; in the validation split it holds the best δ of every branch.

    Raises:
      UserError: where the run is not finished, or its folder cannot be written.
    """
    run = _open_scored(config)
    benchmark = run.benchmark
    bgsnet = stages.build_bgsnet(run)
    if not len(benchmark.test_seen):
        return _evaluate_unseen(run, bgsnet)
    with _naming_bad_images(run):
        inference = infer(run, bgsnet)
        references = reference.score(run, bgsnet, inference.embeddings, validation_run(config).run.run_dir)
    attributes = {**inference.attributes, **{name: found.attributes for name, found in references.items()}}
    seen = len(benchmark.test_seen)
    scores = {name: (a[:seen] @ benchmark.phi.T, a[seen:] @ benchmark.phi.T) for name, a in attributes.items()}
    labels = benchmark.labels[benchmark.test_seen], benchmark.labels[benchmark.test_unseen]
    truth = (*labels, benchmark.seen_classes, benchmark.unseen_classes)
    deltas = {name: getattr(config.evaluation, DELTA_FLAGS[name]) for name in inference.attributes}
    source = "a constant of the flags, to be chosen on the validation split"
    if config.data.split == "validation":
        deltas = {
            name: calibration.best_delta(seen_scores, truth[0], unseen_scores, *truth[1:]).delta
            for name, (seen_scores, unseen_scores) in scores.items()
        }
        source = "the best H on this validation split"
    deltas.update({name: found.delta for name, found in references.items()})
    decisions = {name: metrics.decisions(pair[0], truth[0], pair[1], *truth[1:], deltas[name]) for name, pair in scores.items()}
    results = {
        **_facts(run, deltas, source),
        **metrics.evaluate_branches(scores, *truth, deltas),
        "intervals": {
            name: bootstrap.confidence_intervals(pair[0], truth[0], pair[1], *truth[1:], deltas[name]) for name, pair in scores.items()
        },
        "chosen": {name: found.choice for name, found in references.items()},
        "fused_less": {name: bootstrap.compare([decisions["fused"]], [decisions[name]], *labels) for name in references},
        "logit_std": {name: float(np.mean([np.std(part, axis=1).mean() for part in pair])) for name, pair in scores.items()},
        "stages": run_report.stage_costs(run),
    }
    if bgsnet.bsnet is not None:
        results["gates"] = [float(gate) for gate in bgsnet.bsnet.gates()]
    if config.data.split == "final":
        results["best_H_on_test"] = {name: metrics.curve(found, *labels).best_H for name, found in decisions.items()}
    print(result_tables.table(results))
    per_class = result_tables.per_class_table(benchmark.class_names, scores, *truth, deltas)
    with files.naming_unwritable(run.directory):
        files.write_arrays(os.path.join(run.directory, result_tables.ATTRIBUTES), attributes)
        result_tables.write_results(run.directory, results, per_class)
        if html:
            validation_dir = validation_run(config).run.run_dir
            print(f"report: {run_report.write_report(run, bgsnet, results, per_class, scores, inference, validation_dir)}")
    if config.data.split == "validation":
        print(
            "for the final split: "
            + " ".join(f"--{DELTA_FLAGS[name]}={delta:.3f}" for name, delta in deltas.items() if name in DELTA_FLAGS)
        )
    return results


def _evaluate_unseen(run, bgsnet):
    """What `evaluate` can give where the data set has no test_seen rows: T and U of every branch, without a report."""
    with _naming_bad_images(run):
        attributes = infer(run, bgsnet).attributes
    deltas = {name: getattr(run.config.evaluation, DELTA_FLAGS[name]) for name in attributes}
    scores = {name: predicted @ run.benchmark.phi.T for name, predicted in attributes.items()}
    truth = run.benchmark.labels[run.benchmark.test_unseen], run.benchmark.seen_classes, run.benchmark.unseen_classes
    results = _facts(run, deltas, "a constant of the flags; there are no test_seen rows, so no S, H, AUSUC and report")
    results.update({name: metrics.evaluate_unseen(found, *truth, deltas[name]) for name, found in scores.items()})
    print(result_tables.table(results))
    with files.naming_unwritable(run.directory):
        result_tables.write_results(run.directory, results)
    return results


def _facts(run, deltas, source):
    """What `results.json` says of the run beside its figures."""
    return {
        "dataset": run.benchmark.name,
        "fingerprint": run.benchmark.fingerprint(),
        "images": run.benchmark.image_digest(slice(None)),
        "flags": run.config.values(),
        "versions": run_report.versions(),
        "split": run.config.data.split,
        "seed": run.config.run.seed,
        "delta": deltas["fused"],
        "deltas": deltas,
        "delta_source": source,
    }


def evaluate_export(config, version):
    """Scores an export on the test rows of its run, with the δ inside the export, and prints T, U, S, H and AUSUC.

    Without test_seen rows, it prints T and U alone.

    Args:
      config: of the run.
      version: folder of the SavedModel.

    Returns:
      The printed numbers in percent, by name.
    """
    run = _open_scored(config)
    benchmark, seen = run.benchmark, len(run.benchmark.test_seen)
    scores = exported.calibrated_scores(version, benchmark, run.test_rows, config.evaluation.eval_batch_size)
    labels = benchmark.labels[benchmark.test_seen], benchmark.labels[benchmark.test_unseen]
    classes = benchmark.seen_classes, benchmark.unseen_classes
    if seen:
        results = metrics.evaluate_gzsl(scores[:seen], labels[0], scores[seen:], labels[1], *classes, delta=0.0)  # δ is taken off already
    else:
        results = metrics.evaluate_unseen(scores, labels[1], *classes, delta=0.0)
    print("  ".join(f"{name} {value:.2f}" for name, value in results.items()))
    return results


def validation_run(config):
    """Settings of the run that chooses δ for `config`: the same flags on the validation split, in a folder below the run's."""
    return config.replace(split="validation", calibrate=False, run_dir=os.path.join(config.run.run_dir, "validation"))


def with_choices(config, results):
    """`config` with all that its validation run chose as its flags: the δ of every branch, in thousandths.

    Args:
      config: of the final split.
      results: the content of the `results.json` of `validation_run`.
    """
    deltas = {DELTA_FLAGS[name]: round(delta, 3) for name, delta in results["deltas"].items() if name in DELTA_FLAGS}
    return config.replace(calibrate=False, **deltas)


def _calibrated(config, redo):
    _open(config, redo)  # what would end it after the validation run ends it now
    validation = validation_run(config)
    run, _ = fit(validation, redo)
    if run.worker.is_chief:
        evaluate(validation)
    _wait(run)
    return with_choices(config, files.read_json(os.path.join(run.directory, "results.json")))


def open_run(config):
    """The `Run` of these settings, for reading."""
    _set_precision(config)
    checksums.recall(_checksums_file(config))
    return Run(config, load_benchmark(config.data), training=False)


def _open_scored(config):
    run = open_run(config)
    if not len(run.benchmark.test_unseen):
        raise UserError(f"{run.benchmark.name} has no test_unseen rows, so there is nothing to score; give some rows that split")
    return run


def _open(config, redo):
    """The `Run` of these settings, for training; refused where it could not train to its end."""
    run_folder.require_own(config.run.run_dir)
    _set_precision(config)
    devices = strategy.make(config.run.strategy)
    checksums.recall(_checksums_file(config))
    run = Run(config, load_benchmark(config.data), True, devices)
    stages.check(run, redo)
    return run


@contextlib.contextmanager
def _working(config, redo):
    """The run, for training: its folder belongs to this process, or to those that share its strategy."""
    run = _open(config, redo)
    if config.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    with contextlib.ExitStack() as stack:
        if run.worker.is_chief:
            try:
                os.makedirs(run.directory, exist_ok=True)
                stack.enter_context(files.locked(run.directory))
                run_folder.tidy(run.directory)
                for name in stages.TRAINED_AGAIN[redo]:
                    if checkpoints.forget(run.directory, name):
                        print(f"stage {name} of {run.directory} is forgotten: its checkpoints are removed")
                config.write(os.path.join(run.directory, run_folder.FLAGS))
                if run.benchmark.paths is not None:
                    os.makedirs(os.path.dirname(_checksums_file(config)), exist_ok=True)
                    checksums.keep(_checksums_file(config), run.benchmark.paths)
            except OSError as error:
                raise UserError(f"--run_dir={run.directory} cannot be written: {error.strerror}") from error
        if redo:
            _wait(run)  # no other process is to read what is forgotten
        yield run


def _wait(run):
    with strategy.naming_lost_workers(run.strategy):
        run.wait_for_workers()


def _checksums_file(config):
    return os.path.join(config.run.run_dir, "cache", "checksums.json")


def _fit(run):
    with _naming_bad_images(run), strategy.naming_lost_workers(run.strategy):
        return stages.build_bgsnet(run)


def _set_precision(config):
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16" if config.run.precision == "bfloat16" else "float32")


def _write_version(run, bgsnet, reuse):
    directory = os.path.join(run.directory, "export")
    path = versions.write_next(bgsnet, run.benchmark, run.views, run.config.evaluation.delta, directory, reuse)
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


@contextlib.contextmanager
def _naming_bad_images(run):
    """Turns TensorFlow's error about some image into one that names its file."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.PermissionDeniedError):
        images.find_undecodable(run.benchmark, np.concatenate([run.benchmark.train, run.test_rows]))
        raise
    except tf.errors.ResourceExhaustedError as error:
        raise UserError(f"out of memory ({str(error).splitlines()[0][:200]}); lower the batch size, --dry_run says what fits") from error
