"""The runs of a sweep for TensorBoard's HParams dashboard."""

import os
import shutil

from bgsnet_tf.evaluation.report import COLUMNS as ACCURACIES


def write(directory, domains, rows):
    """Writes one TensorBoard run a row below `directory`, in place of what was there, and what they have in common.

    Args:
      directory: of the summaries alone.
      domains: swept flag to its values.
      rows: dicts with the values of the swept flags, `variant`, `seed` and accuracies in percent.
    """
    import tensorflow as tf
    from tensorboard.plugins.hparams import api

    whole, directory = directory, f"{directory}.part"
    shutil.rmtree(directory, ignore_errors=True)
    seeds = sorted({row["seed"] for row in rows})
    hparams = [api.HParam(name, api.Discrete(values)) for name, values in {**domains, "seed": seeds}.items()]
    metrics = [api.Metric(name, display_name=f"{name} (%)") for name in ACCURACIES]
    with _writer(directory):
        api.hparams_config(hparams, metrics)
    for row in rows:
        with _writer(os.path.join(directory, f"{row['variant']}, seed {row['seed']}")):
            api.hparams({name: row[name] for name in (*domains, "seed")})
            for name in ACCURACIES:
                tf.summary.scalar(name, row[name], step=0)
    shutil.rmtree(whole, ignore_errors=True)
    os.rename(directory, whole)


def _writer(directory):
    import tensorflow as tf

    return tf.summary.create_file_writer(directory).as_default(step=0)
