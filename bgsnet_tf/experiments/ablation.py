"""The paper's ablations (Figs. 2 and 3a) over several seeds, with one command.

    python -m bgsnet_tf.experiments.ablation --flagfile=configs/demo.flags --run_dir=runs/ablation --seeds=3

--run_dir holds a folder a seed, in it a run folder for the full model and one for every variant that trains something
of its own. A stage whose flags the variant does not change is the full model's, linked; so is the feature cache. δ is
chosen for every variant, seed and branch on the validation split, in a `validation` run below each run; --nochoose_delta
leaves these out, which halves the time, and says nothing of U, S and H. Runs whose results are there are not made again, so the same
command continues an ablation that was interrupted.
"""

import os

from absl import flags

from bgsnet_tf import cli, config
from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import comparison, runs
from bgsnet_tf.experiments.runs import Variant
from bgsnet_tf.reporting import figures
from bgsnet_tf.reporting.result_tables import COLUMNS

WITHOUT_DELTA = ("T", "AUSUC")  # the accuracies that need none


def variants(settings):
    """The rows of the paper's Figs. 2 and 3a as a tuple of `Variant`, the full model `settings` first.

    Each is against the model that it takes something from: the branch alone for what a branch does without. A row that
    would repeat another is left out, as are those of a branch that `settings` do without.
    """
    general, special = settings.meta.gnet, settings.bsnet.bsnet
    both = general and special
    full = "BGSNet" if both else "GNet" if general else "BSNet"
    rows = [Variant(full)]
    if both:
        rows += [Variant("GNet", branch="general", against=[full]), Variant("BSNet", branch="special", against=[full])]
    if general:
        rows += _without(settings, "meta", {"meta": False}, full, "general" if both else None)
    if special:
        other = "parallel" if settings.bsnet.training_style == "sequential" else "sequential"
        rows += _without(settings, "instance balance", {"instance_balance": False}, full)
        rows += _without(settings, "L_div", {"diversity_loss": False}, full)
        if other == "parallel" or settings.bsnet.eph_max > 1:  # one epoch cannot be parted into two phases
            rows.append(Variant(f"{full} ({other})", _with_style(settings.bsnet, other), against=[full]))
        rows += _without(settings, "dataset balance", {"dataset_balance": False}, full, "special" if both else None)
        rows += _without(settings, "annealing", {"annealing": False}, full, "special" if both else None)
    return tuple(rows)


def _without(settings, what, changes, full, branch=None):
    """The rows of a model without something: the full one, and a branch of it alone; none where `settings` do without it already."""
    if settings.replace(**changes) == settings:
        return []
    alone = {"general": "GNet", "special": "BSNet"}
    rows = [Variant(f"{full} without {what}", changes, against=[full])]
    return rows + ([Variant(f"{alone[branch]} without {what}", changes, branch, [alone[branch]])] if branch else [])


def _with_style(bsnet, style):
    """The flags of the other training style, with as many epochs in all, so that the styles differ in the style alone."""
    if style == "parallel":
        return {"training_style": style, "eph_max": bsnet.eph_max + bsnet.balance_epochs}
    balance_epochs = min(bsnet.balance_epochs, bsnet.eph_max - 1)
    return {"training_style": style, "eph_max": bsnet.eph_max - balance_epochs, "balance_epochs": balance_epochs}


def run(settings, seeds, choose_delta=True):
    """Makes all runs that are not finished; writes the tables and their figure after every seed.

    Args:
      settings: `Config` of the full model; its seed is the first one's.
      seeds: how many, from there on.
      choose_delta: make a validation run for every variant and seed; without them, T and AUSUC alone are compared.

    Returns:
      The dict written to `ablation.json`, see `comparison.report`.

    Raises:
      UserError: for settings that are the ablation's own to make, and as `runs.results`.
    """
    if settings.data.split == "validation":
        raise UserError("--split=validation is part of the ablation, which chooses every δ there; drop it")
    from bgsnet_tf.data.loading import load_benchmark  # loads TensorFlow, which takes seconds

    settings = settings.replace(delta=0.0, delta_general=0.0, delta_special=0.0, calibrate=False)  # every δ is chosen here
    benchmark = load_benchmark(settings.data)
    command = runs.command(
        "bgsnet_tf.experiments.ablation", [f"--seeds={seeds}", *([] if choose_delta else ["--nochoose_delta"])], settings
    )
    accuracies, notes = COLUMNS, ["On the test splits, at a δ that was chosen on the validation split for every row and seed."]
    if not choose_delta:
        accuracies, notes = WITHOUT_DELTA, ["On the test splits. No δ was chosen, so nothing is said of U, S and H."]
    outcomes = []
    for seed in range(settings.run.seed, settings.run.seed + seeds):
        outcomes += _outcomes_of_seed(settings, seed, choose_delta, benchmark)
        report = comparison.report("Ablation", command, notes, outcomes, accuracies=accuracies)
        drawn = ("T", "H") if choose_delta else WITHOUT_DELTA
        figure = figures.variants(report["variants"], drawn)
        comparison.write(settings.run.run_dir, "ablation", report, {"ablation": (figure, f"{' and '.join(drawn)} of every variant")})
    print(comparison.summary(report))
    return report


def _outcomes_of_seed(settings, seed, choose_delta, benchmark):
    root = os.path.join(settings.run.run_dir, f"seed{seed}")
    full = settings.replace(seed=seed, run_dir=os.path.join(root, "full"))
    base = runs.calibrated(full, full) if choose_delta else full
    for variant in variants(settings):
        own = full.replace(**variant.changes, run_dir=os.path.join(root, variant.folder("full")))
        if choose_delta:
            own = runs.calibrated(full, own)
        yield runs.outcome(variant, own, runs.results(base, own, benchmark), benchmark)


def main():
    run(config.from_flags(), flags.FLAGS.seeds, flags.FLAGS.choose_delta)


def command():
    """Defines the flags of this command and runs it."""
    flags.DEFINE_integer("seeds", 3, "Number of seeds, counted up from --seed.", lower_bound=1)
    flags.DEFINE_bool("choose_delta", True, "Make a validation run for every variant, for δ; without them, T and AUSUC alone are compared.")
    cli.run(main)


if __name__ == "__main__":
    command()
