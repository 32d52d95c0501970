"""What more classes with photos would bring: a run over several seeds (`seeds.py`) for each of several numbers of seen classes.

    python -m bgsnet_tf.experiments.learning_curve --flagfile=configs/photos.flags --data_dir=PHOTOS --backbone=NET.h5 \\
      --run_dir=runs/curve --counts=24 --counts=47 --seeds=3

All seen classes are the last point. Test rows of unseen classes are the same at every point. --run_dir holds the experiment of every
point, so the same command continues after an interruption.
"""

import os

import pandas as pd
from absl import flags

from bgsnet_tf import cli, config, files
from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import comparison, runs, seeds
from bgsnet_tf.reporting import figures
from bgsnet_tf.text_table import format_markdown

REFERENCES = "linear", "least_squares"
ACCURACIES = "T", "AUSUC"  # those that need no δ


def run(settings, counts, seed_count):
    """Makes all runs that are not finished; writes `learning_curve.csv`, `.md` and `figures/learning_curve.svg` after every point.

    Args:
      settings: `Config` of a run with all seen classes.
      counts: numbers of seen classes, each below that of the data set.
      seed_count: seeds of every point.

    Returns:
      DataFrame, a row a point: `seen classes`, and as text T and AUSUC of fused and its lead over the linear maps of `seeds`.

    Raises:
      UserError: for a number of classes that is not below the data set's, a backbone without references, or as `seeds.run`.
    """
    from bgsnet_tf.data.loading import load_benchmark  # loads TensorFlow, which takes seconds

    if not settings.backbone.pretrained:
        raise UserError("the curve sets the model against a linear map on a pretrained backbone; this one starts at random")
    whole = len(load_benchmark(settings.replace(seen_classes=0).data).seen_classes)
    if max(counts) >= whole:
        raise UserError(f"--counts={max(counts)} is not below the {whole} seen classes of the data set, which are the last point anyway")
    made, directory = {}, settings.run.run_dir
    for count in [*sorted(set(counts)), whole]:
        point = settings.replace(seen_classes=0 if count == whole else count, run_dir=os.path.join(directory, f"seen{count}"))
        made[count] = seeds.run(point, seed_count)
        table = pd.DataFrame([_row(*point) for point in made.items()])
        command = runs.command(
            "bgsnet_tf.experiments.learning_curve", [*(f"--counts={n}" for n in counts), f"--seeds={seed_count}"], settings
        )
        _write(directory, table, made, command)
    print(table.to_string(index=False))
    return table


def _row(count, report):
    against = {row["against"]: row for row in report["differences"] if row["variant"] == seeds.FUSED and row["against"] in REFERENCES}
    row = {"seen classes": count}
    for accuracy in ACCURACIES:
        row[f"{accuracy}, fused"] = comparison.mean_text(report["variants"][seeds.FUSED][accuracy])
        row.update({f"{accuracy}, fused − {name}": comparison.difference_text(found[accuracy]) for name, found in against.items()})
    return row


def _write(directory, table, made, command):
    names = [(accuracy, name) for accuracy in ACCURACIES for name in (seeds.FUSED, REFERENCES[0])]
    lines = {str(count): {f"{a}, {name}": report["variants"][name][a] for a, name in names} for count, report in made.items()}
    figures.save(figures.over_values("seen classes", lines, "%, on the test split"), os.path.join(directory, "figures"), "learning_curve")
    files.write(os.path.join(directory, "learning_curve.csv"), table.to_csv(index=False, lineterminator="\n"))
    rows = [list(table.columns), *table.astype(str).to_numpy().tolist()]
    note = "Mean ± standard deviation over seeds; differences with 95% intervals over seeds and test images. * beyond noise, see seeds.md."
    picture = "![T and AUSUC over the number of seen classes](figures/learning_curve.svg)"
    parts = ["# Learning curve", f"    {command}", picture, format_markdown(rows), note]
    files.write(os.path.join(directory, "learning_curve.md"), "\n\n".join(parts) + "\n")


def main():
    run(config.from_flags(), [int(count) for count in flags.FLAGS.counts], flags.FLAGS.seeds)


if __name__ == "__main__":
    flags.DEFINE_multi_integer("counts", None, "Number of seen classes to train on; give several.", lower_bound=2, required=True)
    flags.DEFINE_integer("seeds", 3, "Number of seeds of every point, counted up from --seed.", lower_bound=1)
    cli.run(main)
