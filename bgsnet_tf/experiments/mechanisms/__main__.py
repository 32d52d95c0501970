"""The paper's mechanisms, each shown at work or shown not to be, by tests that were written down before (`registered.py`).

    python -m bgsnet_tf.experiments.mechanisms --flagfile=configs/mechanisms.flags --run_dir=runs/mechanisms --quick
    python -m bgsnet_tf.experiments.mechanisms --flagfile=configs/mechanisms.flags --run_dir=runs/mechanisms

Small networks train on images of many draws of classes, as many at once as there are cores. --quick makes three draws of one seed, and
can show nothing; the whole is for a night. --run_dir keeps what is measured of each network, so the same command continues after an
interruption. After every seed it writes mechanisms.csv, .json and .md, networks.csv, report.html
and figures/; with --workers=0 it writes them at once, from what is measured by now.
"""

import datetime

from absl import flags

from bgsnet_tf import cli, config
from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import runs
from bgsnet_tf.experiments.mechanisms import registered, report
from bgsnet_tf.experiments.mechanisms.networks import Networks


def run(settings, draws, seeds, workers):
    """Trains all networks that are not measured; writes the verdicts after every seed.

    Args:
      settings: `Config` that the situations change.
      draws, seeds: how many, of each draw.
      workers: processes at once; 0 trains nothing, and writes what is measured by now.

    Returns:
      The dict written to `mechanisms.json`.

    Raises:
      UserError: for settings that are the experiment's own, and as `Networks.train`.
    """
    if settings.data.dataset != "demo_dials":
        raise UserError(f"--dataset={settings.data.dataset} has no dials; the mechanisms are tested on --dataset=demo_dials")
    if settings.bsnet.s_hidden:
        raise UserError(f"--s_hidden={settings.bsnet.s_hidden}: the statistics take f_s apart, which needs one dense layer; drop it")
    networks = Networks(settings, registered.SITUATIONS, registered.FIRST_DRAW)
    for count in range(1, seeds + 1) if workers else [seeds]:
        if workers:
            networks.train(draws, count - 1, workers)
        found = _report(networks, settings, draws, count)
        report.write(settings.run.run_dir, found)
        print(report.summary(found), flush=True)
    return found


def _report(networks, settings, draws, seeds):
    from bgsnet_tf.reporting import run_report  # loads TensorFlow, which takes seconds

    mechanisms, rows = report.evaluate(networks, draws, seeds)
    return {
        "date": datetime.date.today().isoformat(),
        "command": runs.command("bgsnet_tf.experiments.mechanisms", [f"--draws={draws}", f"--seeds={seeds}"], settings),
        "draws": draws,
        "seeds": seeds,
        "versions": run_report.versions(),
        "flags": settings.values(),
        "mechanisms": mechanisms,
        "rows": rows,
    }


def main():
    quick = flags.FLAGS.quick
    draws = registered.QUICK_DRAWS if quick else flags.FLAGS.draws
    run(config.from_flags(), draws, registered.QUICK_SEEDS if quick else flags.FLAGS.seeds, flags.FLAGS.workers)


if __name__ == "__main__":
    flags.DEFINE_integer("draws", registered.DRAWS, "Draws of classes and images.", lower_bound=1)
    flags.DEFINE_integer("seeds", registered.SEEDS, "Seeds of each draw.", lower_bound=1)
    flags.DEFINE_bool("quick", False, "Three draws of one seed: whether it runs, not what it shows.")
    runs.define_workers()
    cli.run(main)
