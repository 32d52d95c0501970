"""A plain run over several seeds, beside what it has to beat, with one command.

    python -m bgsnet_tf.experiments.seeds --flagfile=configs/photos.flags --data_dir=PHOTOS --backbone=NET.h5 \\
      --run_dir=runs/seeds --seeds=3 --calibrate

--run_dir holds a run folder a seed; with --calibrate, the validation run that chooses δ below each. The rows are the run's
branches, the references that evaluate.py scores on the same images, and, from three seeds on, `two general`: the general
branches of two seeds summed, an ensemble of about the same cost as both branches of one. Runs whose results are there are not
made again, so the same command continues after an interruption.
"""

import dataclasses
import itertools
import os

from absl import flags

from bgsnet_tf import cli, config
from bgsnet_tf.evaluation import bootstrap
from bgsnet_tf.experiments import comparison, runs
from bgsnet_tf.experiments.runs import Variant
from bgsnet_tf.reporting import figures
from bgsnet_tf.reporting.result_tables import REFERENCES

FUSED, TWO_GENERAL = "fused", "two general"


def variants(results, seeds):
    """The rows, as a tuple of `Variant`.

    Args:
      results: the content of a run's `results.json`.
      seeds: how many there are.
    """
    branches = [name for name in ("general", "special") if name in results]
    if len(branches) == 1:
        branches = []  # `fused` is the same
    references = [name for name in REFERENCES if name in results]
    ensemble = [TWO_GENERAL] if "general" in branches and seeds > 2 else []
    return (
        Variant(FUSED, against=(*references, *branches, *ensemble)),
        *(Variant(name, branch=name, against=[name for name in references if name == "linear"]) for name in branches),
        *(Variant(name, branch=name) for name in (*references, *ensemble)),
    )


def run(settings, seeds):
    """Makes all runs that are not finished; writes the tables and their figure after every seed.

    Args:
      settings: `Config` of the run; its seed is the first one's.
      seeds: how many, from there on.

    Returns:
      The dict written to `seeds.json`, see `comparison.report`.

    Raises:
      UserError: as `runs.results`.
    """
    from bgsnet_tf.data.loading import load_benchmark  # loads TensorFlow, which takes seconds

    benchmark = load_benchmark(settings.data)
    command = runs.command("bgsnet_tf.experiments.seeds", [f"--seeds={seeds}"], settings)
    made = []
    for seed in range(settings.run.seed, settings.run.seed + seeds):
        own = settings.replace(seed=seed, run_dir=os.path.join(settings.run.run_dir, f"seed{seed}"))
        base = made[0][0] if made else own
        if settings.evaluation.calibrate:
            own = runs.calibrated(base, own)
        made.append((own, runs.results(base, own, benchmark)))
        outcomes = list(_outcomes(made, benchmark))
        report = comparison.report("Seeds", command, _notes(outcomes), outcomes)
        figure = figures.variants(report["variants"], ("T", "AUSUC"))
        comparison.write(settings.run.run_dir, "seeds", report, {"seeds": (figure, "T and AUSUC of every row")})
    print(comparison.summary(report))
    return report


def _notes(outcomes):
    there = {outcome.variant.name for outcome in outcomes}
    what = {**REFERENCES, TWO_GENERAL: "general branches of two seeds summed, at the sum of their δ, over all pairs of seeds"}
    return [f"{name}: {text}." for name, text in what.items() if name in there]


def _outcomes(made, benchmark):
    """The `runs.Outcome`s of all rows, from pairs of a finished run's `Config` and its results."""
    predicted = [runs.predicted(own) for own, _ in made]
    for variant in variants(made[0][1], len(made)):
        if variant.branch == TWO_GENERAL:
            for one, other in itertools.combinations(range(len(made)), 2):
                yield _summed(variant, [made[one], made[other]], [predicted[one], predicted[other]], benchmark)
        else:
            for (own, results), attributes in zip(made, predicted):
                yield runs.decide(variant, [own.run.seed], results, attributes[variant.branch], benchmark)


def _summed(variant, made, predicted, benchmark):
    """The `runs.Outcome` of the general branches of two runs summed, at the sum of their δ."""
    delta = sum(results["deltas"]["general"] for _, results in made)
    attributes = sum(of_run["general"] for of_run in predicted)
    seeds, results = [own.run.seed for own, _ in made], made[0][1]
    results = {**results, "deltas": {**results["deltas"], variant.branch: delta}}
    found = runs.decide(variant, seeds, results, attributes, benchmark)
    accuracies = bootstrap.replicate([found.decisions], *found.labels)
    return dataclasses.replace(found, results={**results, variant.branch: {name: float(of[0, 0]) for name, of in accuracies.items()}})


def main():
    run(config.from_flags(), flags.FLAGS.seeds)


if __name__ == "__main__":
    flags.DEFINE_integer("seeds", 3, "Number of seeds, counted up from --seed.", lower_bound=1)
    cli.run(main)
