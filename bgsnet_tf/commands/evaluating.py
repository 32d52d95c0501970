"""What `evaluate.py` does once its flags are read: it scores a finished run, or one of its exports."""

import os

import numpy as np

from bgsnet_tf import files
from bgsnet_tf.aside import at_once
from bgsnet_tf.commands.opening import naming_bad_images, open_run
from bgsnet_tf.config import delta_choice
from bgsnet_tf.errors import UserError
from bgsnet_tf.evaluation import bootstrap, calibration, metrics
from bgsnet_tf.reporting import model_card, result_tables, run_report
from bgsnet_tf.scoring import exported, reference
from bgsnet_tf.scoring.inference import infer
from bgsnet_tf.training import checkpoints, stages


def evaluate(config, html=True, benchmark=None, begin=at_once):
    """Scores a finished run, prints the table and writes the result files into its folder.

    Args:
      config: settings.
      html: write `report.html`, its figures and tables, and TensorBoard's `logs/evaluation` too.
      benchmark: as for `open_run`.
      begin: as `Aside.begin`: how a figure is drawn.

    Returns:
      The dict written to `results.json`; in the validation split it holds the best δ of every branch.

    Raises:
      UserError: where the run is not finished, or its folder cannot be written.
    """
    run = _open_scored(config, benchmark)
    benchmark = run.benchmark
    bgsnet = stages.build_bgsnet(run)
    if not len(benchmark.test_seen):
        return _evaluate_unseen(run, bgsnet)
    with naming_bad_images(run):
        inference = infer(run, bgsnet)
        references = reference.score(run, bgsnet, inference.embeddings, delta_choice.validation_run(config).run.run_dir)
    attributes = {**inference.attributes, **{name: found.attributes for name, found in references.items()}}
    seen = len(benchmark.test_seen)
    scores = {name: (a[:seen] @ benchmark.phi.T, a[seen:] @ benchmark.phi.T) for name, a in attributes.items()}
    labels = benchmark.labels[benchmark.test_seen], benchmark.labels[benchmark.test_unseen]
    truth = (*labels, benchmark.seen_classes, benchmark.unseen_classes)
    deltas = {name: getattr(config.evaluation, delta_choice.FLAGS[name]) for name in inference.attributes}
    if config.data.split == "validation":
        deltas = {
            name: calibration.best_delta(seen_scores, truth[0], unseen_scores, *truth[1:]).delta
            for name, (seen_scores, unseen_scores) in scores.items()
        }
    deltas.update({name: found.delta for name, found in references.items()})
    decisions = {name: metrics.decisions(pair[0], truth[0], pair[1], *truth[1:], deltas[name]) for name, pair in scores.items()}
    results = {
        **_facts(run, bgsnet, deltas),
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
    if config.data.split == "validation":
        results["delta_source"] = "the best H on this validation split"
        results["finetuning"] = stages.finetune_validation(run)
    else:
        results["best_H_on_test"] = {name: metrics.curve(found, *labels).best_H for name, found in decisions.items()}
    print(result_tables.table(results))
    per_class = result_tables.per_class_table(benchmark.class_names, scores, *truth, deltas)
    with files.naming_unwritable(run.directory):
        files.write_arrays(os.path.join(run.directory, result_tables.ATTRIBUTES), attributes)
        result_tables.write_results(run.directory, results, per_class)
        if html:
            validation_dir = delta_choice.validation_run(config).run.run_dir
            print(f"report: {run_report.write_report(run, bgsnet, results, per_class, scores, inference, validation_dir, begin)}")
        model_card.refresh(run)
    if config.data.split == "validation":
        print("for the final split: " + " ".join(f"--{flag}={value:g}" for flag, value in delta_choice.choices(results).items()))
    return results


def _evaluate_unseen(run, bgsnet):
    """What `evaluate` can give where the data set has no test_seen rows: T and U of every branch, without a report."""
    with naming_bad_images(run):
        attributes = infer(run, bgsnet).attributes
    deltas = {name: getattr(run.config.evaluation, delta_choice.FLAGS[name]) for name in attributes}
    scores = {name: predicted @ run.benchmark.phi.T for name, predicted in attributes.items()}
    truth = run.benchmark.labels[run.benchmark.test_unseen], run.benchmark.seen_classes, run.benchmark.unseen_classes
    results = _facts(run, bgsnet, deltas)
    results["delta_source"] += "; there are no test_seen rows, so no S, H, AUSUC and report"
    results.update({name: metrics.evaluate_unseen(found, *truth, deltas[name]) for name, found in scores.items()})
    print(result_tables.table(results))
    with files.naming_unwritable(run.directory):
        result_tables.write_results(run.directory, results)
        model_card.refresh(run)
    return results


def _facts(run, bgsnet, deltas):
    """What `results.json` says of the run beside its figures."""
    return {
        "dataset": run.benchmark.name,
        "fingerprint": run.benchmark.fingerprint,
        "images": run.benchmark.image_digest(slice(None)),
        "flags": run.config.values(),
        "versions": run_report.versions(),
        "split": run.config.data.split,
        "seed": run.config.run.seed,
        "delta": deltas["fused"],
        "deltas": deltas,
        "delta_source": delta_choice.source(run.config),
        "weights": checkpoints.weights_digest(bgsnet),
    }


def evaluate_export(config, version, benchmark=None):
    """Scores an export on the test rows of its run, with the δ inside the export, and prints T, U, S, H and AUSUC.

    Without test_seen rows, it prints T and U alone.

    Args:
      config: of the run.
      version: folder of the SavedModel.
      benchmark: as for `open_run`.

    Returns:
      The printed numbers in percent, by name.
    """
    run = _open_scored(config, benchmark)
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


def _open_scored(config, benchmark):
    run = open_run(config, benchmark=benchmark)
    if not len(run.benchmark.test_unseen):
        raise UserError(f"{run.benchmark.name} has no test_unseen rows, so there is nothing to score; give some rows that split")
    return run
