"""The paper's mechanisms, each shown at work or shown not to be, by tests that were written down before (`registered.py`).

    python -m bgsnet_tf.experiments.mechanisms --flagfile=configs/mechanisms.flags --run_dir=runs/mechanisms --quick
    python -m bgsnet_tf.experiments.mechanisms --flagfile=configs/mechanisms.flags --run_dir=runs/mechanisms

Small networks train on images of many draws of classes, as many at once as there are cores. --quick makes three draws of one seed, in
about ten minutes on two idle cores, and can show nothing; the whole takes a night. --run_dir keeps what is measured of each network, so
the same command continues after an interruption. After every seed it writes mechanisms.csv, .json and .md, networks.csv, report.html
and figures/.
"""

import datetime

from absl import flags

from bgsnet_tf import cli, config
from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import runs
from bgsnet_tf.experiments.mechanisms import registered, report
from bgsnet_tf.experiments.mechanisms.networks import Networks


def run(settings, draws, seeds, workers, situations=registered.SITUATIONS):
    """Trains all networks that are not measured; writes the verdicts after every seed.

    Args:
      settings: `Config` that the situations change.
      draws, seeds: how many, of each draw.
      workers: processes at once.
      situations: name to `registered.Situation`.

    Returns:
      The dict written to `mechanisms.json`.

    Raises:
      UserError: for settings that are the experiment's own, and as `Networks.train`.
    """
    if settings.data.dataset != "demo_dials":
        raise UserError(f"--dataset={settings.data.dataset} has no dials; the mechanisms are tested on --dataset=demo_dials")
    if settings.bsnet.s_hidden:
        raise UserError(f"--s_hidden={settings.bsnet.s_hidden}: the statistics take f_s apart, which needs one dense layer; drop it")
    from bgsnet_tf.reporting import run_report  # loads TensorFlow, which takes seconds

    networks = Networks(settings, situations, registered.FIRST_DRAW)
    for count in range(1, seeds + 1):
        networks.train(draws, count - 1, workers)
        mechanisms, rows = report.evaluate(networks, draws, count)
        found = {
            "date": datetime.date.today().isoformat(),
            "command": runs.command("bgsnet_tf.experiments.mechanisms", [f"--draws={draws}", f"--seeds={count}"], settings),
            "draws": draws,
            "seeds": count,
            "versions": run_report.versions(),
            "flags": settings.values(),
            "mechanisms": mechanisms,
            "rows": rows,
        }
        report.write(settings.run.run_dir, found)
        print(report.summary(found), flush=True)
    return found


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
