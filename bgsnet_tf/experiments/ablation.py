"""The paper's ablations (Figs. 2 and 3a) over several seeds, with one command.

    python -m bgsnet_tf.experiments.ablation --flagfile=configs/demo.flags --run_dir=runs/ablation --seeds=3

--run_dir holds a folder a seed, in it a run folder for the full model and one for every variant that trains something
of its own. A stage whose flags the variant does not change is the full model's, linked; so is the feature cache. δ is
chosen for every variant, seed and branch on the validation split, in a `validation` run below each run. Runs whose
results are there are not made again, so the same command continues an ablation that was interrupted.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping

from absl import flags

from bgsnet_tf import cli, config
from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import comparison

FULL = "BGSNet"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A row of the ablation.

    Attributes:
      name: for tables.
      changes: flag name to value, where it differs from the full model.
      branch: whose scores are read: fused, general or special.
    """

    name: str
    changes: Mapping[str, object] = dataclasses.field(default_factory=dict)
    branch: str = "fused"

    @property
    def folder(self):
        """Name of its run folder; variants that only read another branch share one."""
        return "-".join(f"{flag}_{value}".lower() for flag, value in self.changes.items()) or "full"


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
      The dict written to `ablation.json`, see `comparison.compare`.

    Raises:
      UserError: for settings that leave nothing to compare, and as `training.commands.train`.
    """
    if not (settings.meta.gnet and settings.meta.meta and settings.bsnet.bsnet):
        raise UserError("--nognet, --nometa and --nobsnet are variants of the ablation; drop them, it makes those itself")
    if settings.data.split == "validation":
        raise UserError("--split=validation is part of the ablation, which chooses every δ there; drop it")
    from bgsnet_tf.data.loading import load_benchmark  # loads TensorFlow, which takes seconds

    settings = settings.replace(delta=0.0, delta_general=0.0, delta_special=0.0, calibrate=False)  # every δ is chosen here
    splits = [dataclasses.replace(settings.data, split=split) for split in ("validation", "final")]
    benchmarks = {data.split: load_benchmark(data) for data in splits}
    rows = []
    for seed in range(settings.run.seed, settings.run.seed + seeds):
        rows += _rows_of_seed(settings, seed, benchmarks)
        report = {"dataset": benchmarks["final"].name, **comparison.compare(rows, FULL), "command": _command(settings, seeds)}
        comparison.write(settings.run.run_dir, rows, report)
    print(comparison.format_table(report))
    return report


def _command(settings, seeds):
    """The command that makes the same ablation, with every flag that is not at its default."""
    defaults = config.Config(run=config.RunConfig(run_dir=".")).values()
    changed = [f"--{name}={value}" for name, value in settings.values().items() if value != defaults[name]]
    return " ".join(["python -m bgsnet_tf.experiments.ablation", f"--seeds={seeds}", *changed])


def _rows_of_seed(settings, seed, benchmarks):
    """A dict for each variant: its name, seed, accuracies in percent, δ, and number of gates over .5."""
    root = os.path.join(settings.run.run_dir, f"seed{seed}")
    full = settings.replace(seed=seed, run_dir=os.path.join(root, "full"))
    rows = []
    for variant in variants(settings):
        own = full.replace(**variant.changes, run_dir=os.path.join(root, variant.folder))
        results = _final_results(full, own, benchmarks)
        gates = sum(gate > 0.5 for gate in results["gates"]) if variant.branch != "general" else None
        accuracies = {name: results[variant.branch][name] for name in comparison.ACCURACIES}
        rows.append({"variant": variant.name, "seed": seed, **accuracies, "gates": gates, "delta": results["deltas"][variant.branch]})
    return rows


def _final_results(full, own, benchmarks):
    """The results of the variant `own` on the test splits, at the δ of its validation run."""
    from bgsnet_tf.training import commands  # loads TensorFlow

    validation = commands.validation_run(own)
    deltas = _results(commands.validation_run(full), validation, benchmarks["validation"])["deltas"]
    return _results(full, commands.with_deltas(own, deltas), benchmarks["final"])


def _results(full, own, benchmark):
    """The content of `results.json` of a run; the run is made where it does not hold that of these settings and data."""
    import tensorflow as tf

    from bgsnet_tf.training import commands

    expected = {"fingerprint": benchmark.fingerprint(), "flags": own.values()}
    with contextlib.suppress(OSError, ValueError), open(os.path.join(own.run.run_dir, "results.json")) as file:
        results = json.load(file)
        if {name: results.get(name) for name in expected} == expected:
            return results
    print(f"{own.run.run_dir}:")
    if own.run.run_dir != full.run.run_dir:
        _share(full, own, benchmark)
    commands.fit(own)
    results = commands.evaluate(own, html=False)
    tf.keras.backend.clear_session()  # or the graphs of all runs stay in memory
    return results


def _share(full, own, benchmark):
    """Links the feature cache, and the stages that do not depend on what differs, of the finished run `full` into `own`'s folder."""
    from bgsnet_tf.training import stages
    from bgsnet_tf.training.run import Run

    settings = [{stage: stages.stage_settings(Run(c, benchmark, False), stage) for stage in stages.STAGES} for c in (full, own)]
    common = [os.path.join("checkpoints", stage) for stage in stages.STAGES if settings[0][stage] == settings[1][stage]]
    for name in ("cache", *common):
        source, link = (os.path.join(c.run.run_dir, name) for c in (full, own))
        os.makedirs(source, exist_ok=True)  # a cache that was deleted is built in its old place
        os.makedirs(os.path.dirname(link), exist_ok=True)
        if not os.path.lexists(link):
            os.symlink(os.path.relpath(source, os.path.dirname(link)), link, target_is_directory=True)


def main():
    settings = config.from_flags()
    run(settings, flags.FLAGS.seeds)


if __name__ == "__main__":
    flags.DEFINE_integer("seeds", 3, "Number of seeds, counted up from --seed.", lower_bound=1)
    cli.run(main)
