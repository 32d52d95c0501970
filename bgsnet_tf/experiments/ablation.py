"""The paper's ablations (Figs. 2 and 3a) over several seeds, with one command.

    python -m bgsnet_tf.experiments.ablation --flagfile=configs/demo.flags --run_dir=runs/ablation --seeds=3

--run_dir holds a folder a seed, in it a run folder for the full model and one for every variant that trains something
of its own. A stage whose flags the variant does not change is the full model's, linked; so is the feature cache. δ is
chosen for every variant, seed and branch on the validation split, in a `validation` run below each run. Runs whose
results are there are not made again, so the same command continues an ablation that was interrupted.
"""

import dataclasses
import os

from absl import flags

from bgsnet_tf import cli, config
from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import comparison, runs
from bgsnet_tf.experiments.runs import Variant
from bgsnet_tf.reporting import figures

FULL = "BGSNet"


def variants(settings):
    """The rows of the paper's Figs. 2 and 3a as a tuple of `Variant`, the full model `settings` first."""
    ungated, unannealed = {"dataset_balance": False}, {"annealing": False}
    return (
        Variant(FULL),
        Variant("GNet only", branch="general"),
        Variant("BSNet only", branch="special"),
        Variant("GNet without meta", {"meta": False}, "general"),
        Variant("BGSNet without instance balance", {"instance_balance": False}),
        Variant("BGSNet without L_div", {"diversity_loss": False}),
        Variant("BGSNet (Sequential)", _with_style(settings.bsnet, "sequential")),
        Variant("BGSNet (Parallel)", _with_style(settings.bsnet, "parallel")),
        Variant("BGSNet without dataset balance", ungated),
        Variant("BSNet without dataset balance", ungated, "special"),
        Variant("BGSNet without annealing", unannealed),
        Variant("BSNet without annealing", unannealed, "special"),
    )


def _with_style(bsnet, style):
    """The flags of a training style, with as many epochs in all, so that the styles differ in the style alone."""
    if style == bsnet.training_style:
        return {}
    balance_epochs = bsnet.balance_epochs if style == "parallel" else -bsnet.balance_epochs
    return {"training_style": style, "eph_max": max(1, bsnet.eph_max + balance_epochs)}


def run(settings, seeds):
    """Makes all runs that are not finished; writes the tables and their figure after every seed.

    Args:
      settings: `Config` of the full model; its seed is the first one's.
      seeds: how many, from there on.

    Returns:
      The dict written to `ablation.json`, see `comparison.report`.

    Raises:
      UserError: for settings that leave nothing to compare, and as `runs.results`.
    """
    if not (settings.meta.gnet and settings.meta.meta and settings.bsnet.bsnet):
        raise UserError("--nognet, --nometa and --nobsnet are variants of the ablation; drop them, it makes those itself")
    if settings.data.split == "validation":
        raise UserError("--split=validation is part of the ablation, which chooses every δ there; drop it")
    from bgsnet_tf.data.loading import load_benchmark  # loads TensorFlow, which takes seconds

    settings = settings.replace(delta=0.0, delta_general=0.0, delta_special=0.0, calibrate=False)  # every δ is chosen here
    splits = [dataclasses.replace(settings.data, split=split) for split in ("validation", "final")]
    benchmarks = {data.split: load_benchmark(data) for data in splits}
    command = runs.command("bgsnet_tf.experiments.ablation", [f"--seeds={seeds}"], settings)
    notes = ["On the test splits, at a δ that was chosen on the validation split for every row and seed."]
    outcomes = []
    for seed in range(settings.run.seed, settings.run.seed + seeds):
        outcomes += _outcomes_of_seed(settings, seed, benchmarks)
        report = comparison.report("Ablation", command, notes, outcomes)
        figure = figures.variants(report["variants"])
        comparison.write(settings.run.run_dir, "ablation", report, {"ablation": (figure, "T and H of every variant")})
    print(comparison.format_table(report))
    return report


def _outcomes_of_seed(settings, seed, benchmarks):
    root = os.path.join(settings.run.run_dir, f"seed{seed}")
    full = settings.replace(seed=seed, run_dir=os.path.join(root, "full"))
    for variant in variants(settings):
        own = full.replace(**variant.changes, run_dir=os.path.join(root, variant.folder("full")))
        yield runs.Outcome(variant, seed, _final_results(full, own, benchmarks))


def _final_results(full, own, benchmarks):
    """The results of the variant `own` on the test splits, at the δ of its validation run."""
    from bgsnet_tf import commands  # loads TensorFlow

    validation = commands.validation_run(own)
    deltas = runs.results(commands.validation_run(full), validation, benchmarks["validation"])["deltas"]
    return runs.results(full, commands.with_deltas(own, deltas), benchmarks["final"])


def main():
    settings = config.from_flags()
    run(settings, flags.FLAGS.seeds)


if __name__ == "__main__":
    flags.DEFINE_integer("seeds", 3, "Number of seeds, counted up from --seed.", lower_bound=1)
    cli.run(main)
