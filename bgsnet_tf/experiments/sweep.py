"""What a flag does to a run: curves over its values, on the validation split (the paper's Figs. 3d and 4: eta, N, s_max).

    python -m bgsnet_tf.experiments.sweep --flagfile=configs/demo.flags --run_dir=runs/sweep \\
        --sweep=eta=0,0.001,0.01 --sweep=submodules=1,3,5 --seeds=3
    tensorboard --logdir=runs/sweep

Flags are varied one at a time, as in the paper: the others stay at the base, which is the run that the rest of the command
describes and a point of every curve. All runs, whatever --split says, are on the validation split, and U, S and H are at
the δ of the best H there, since a sweep is for choosing; no test row is read. --run_dir holds a folder a seed, in it a run
folder for the base and one for every other value, which shares the base's stages and cache as far as its flag leaves them
alone. Runs whose results are there are not made again, so the same command continues a sweep that was interrupted.
"""

import os

from absl import flags

from bgsnet_tf import cli, config
from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import comparison, runs
from bgsnet_tf.reporting import figures, hparams

BASE = "base"
NOT_SWEPT = {
    "run_dir": "the sweep names the folders of its runs itself",
    "seed": "--seeds=K counts seeds up from --seed",
    "split": "a sweep is on the validation split",
    "calibrate": "δ is chosen on the validation split anyhow",
    **dict.fromkeys(("delta", "delta_general", "delta_special"), "δ is chosen on the validation split for every run"),
}


def parse(texts, settings):
    """The values of every swept flag, as its own parser and validators read them.

    Args:
      texts: sequence of "flag=value,value,…".
      settings: `Config` of the base.

    Returns:
      Dict of flag to a list of different values, the base's among them; numbers ascend.

    Raises:
      UserError: for what is no flag, can not be swept, or has a bad value.
    """
    if not texts:
        raise UserError("--sweep is missing: give a flag and its values, e.g. --sweep=eta=0,0.001,0.01")
    swept = {}
    for text in texts:
        name, _, values = text.partition("=")
        if name not in settings.values():
            raise UserError(f"--sweep={text}: '{name}' is no flag of a run; write --sweep=eta=0,0.001,0.01")
        if name in NOT_SWEPT:
            raise UserError(f"--sweep={text}: --{name} can not be swept; {NOT_SWEPT[name]}")
        if name in swept:
            raise UserError(f"--sweep={text}: --{name} is swept already; give all its values at once")
        parsed = [_parse(text, name, value) for value in values.split(",")]
        swept[name] = list(dict.fromkeys([settings.values()[name], *parsed]))
        if isinstance(parsed[0], (int, float)):
            swept[name].sort()
        for value in swept[name]:
            settings.replace(**{name: value})  # refuses what contradicts other flags
    return swept


def _parse(text, name, value):
    fresh = flags.FlagValues()
    config.define_flags(fresh)
    try:
        fresh(["", f"--{name}={value}"])
    except flags.Error as error:
        raise UserError(f"--sweep={text}: {error}") from error
    return fresh[name].value


def run(settings, texts, seeds):
    """Makes all runs that are not finished; writes tables, figures and TensorBoard's summaries after every seed.

    Args:
      settings: `Config` of the base; its seed is the first one's.
      texts: see `parse`.
      seeds: how many, from there on.

    Returns:
      The dict written to `sweep.json`: see `comparison.report`, and `sweep`, flag to its values.

    Raises:
      UserError: as `parse` and `runs.results`.
    """
    settings = settings.replace(split="validation", calibrate=False, delta=0.0, delta_general=0.0, delta_special=0.0)
    swept = parse(texts, settings)
    from bgsnet_tf.data.loading import load_benchmark  # loads TensorFlow, which takes seconds

    configs = [settings.replace(**variant.changes) for variant in variants(swept, settings)]
    for own in configs:
        _refuse_unknown_optimizers(own)
    benchmarks = {data: load_benchmark(data) for data in dict.fromkeys(own.data for own in configs)}
    command = runs.command("bgsnet_tf.experiments.sweep", [f"--seeds={seeds}", *(f"--sweep={text}" for text in texts)], settings)
    base = ", ".join(f"{flag}={settings.values()[flag]}" for flag in swept)
    notes = [f"On the validation split, at the δ of the best H there. {BASE}: {base}; every other row changes one flag."]
    outcomes = []
    for seed in range(settings.run.seed, settings.run.seed + seeds):
        outcomes += _outcomes_of_seed(settings, seed, swept, benchmarks)
        report = {**comparison.report("Sweep on the validation split", command, notes, outcomes, swept), "sweep": swept}
        comparison.write(settings.run.run_dir, "sweep", report, _curves(report, settings))
        hparams.write(os.path.join(settings.run.run_dir, "hparams"), swept, report["rows"])
    print(comparison.summary(report))
    return report


def _refuse_unknown_optimizers(own):
    from bgsnet_tf.training import optimizers

    for name, weight_decay in (
        (own.finetune.finetune_optimizer, own.finetune.finetune_weight_decay),
        (own.meta.meta_optimizer, 0.0),
        (own.bsnet.bsnet_optimizer, own.bsnet.bsnet_weight_decay),
    ):
        optimizers.make(name, learning_rate=1.0, steps=1, weight_decay=weight_decay)


def variants(swept, settings):
    """The runs of a sweep as a list of `runs.Variant`, the base first."""
    changed = [(flag, value) for flag, values in swept.items() for value in values if value != settings.values()[flag]]
    return [runs.Variant(BASE), *(runs.Variant(_name(flag, value), {flag: value}, against=[BASE]) for flag, value in changed)]


def _name(flag, value):
    return f"{flag}={value}"


def _outcomes_of_seed(settings, seed, swept, benchmarks):
    root = os.path.join(settings.run.run_dir, f"seed{seed}")
    base = settings.replace(seed=seed, run_dir=os.path.join(root, BASE))
    for variant in variants(swept, settings):
        own = base.replace(**variant.changes, run_dir=os.path.join(root, variant.folder(BASE)))
        benchmark = benchmarks[own.data]
        yield runs.outcome(variant, own, runs.results(base, own, benchmark), benchmark)


def _curves(report, settings):
    """Name to (figure, description) of a curve a swept flag."""
    statistics, drawn = report["variants"], {}
    for flag, values in report["sweep"].items():
        base = settings.values()[flag]
        of_values = {str(value): statistics[BASE if value == base else _name(flag, value)] for value in values}
        of_values = {value: {name: of_value[name] for name in ("T", "H", "AUSUC")} for value, of_value in of_values.items()}
        figure = figures.over_values(flag, of_values, "%, on the validation split", str(base))
        drawn[f"sweep_{flag}"] = figure, f"T, H and AUSUC over {flag}; dashed: {BASE}"
    return drawn


def main():
    run(config.from_flags(), flags.FLAGS.sweep, flags.FLAGS.seeds)


if __name__ == "__main__":
    flags.DEFINE_multi_string("sweep", [], "A flag and its values, as in eta=0,0.001,0.01; give it again for another flag.")
    flags.DEFINE_integer("seeds", 1, "Number of seeds, counted up from --seed.", lower_bound=1)
    cli.run(main)
