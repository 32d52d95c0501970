"""The runs of a sweep for TensorBoard's HParams dashboard."""

import os
import re

from bgsnet_tf import files
from bgsnet_tf.reporting.result_tables import COLUMNS as ACCURACIES

EVENTS = ".bgsnet"  # ends the name of an event file that the project replaces


def write(directory, domains, rows):
    """Writes one TensorBoard run a row below `directory`, in place of those of before, and what they have in common.

    Args:
      directory: of the summaries.
      domains: swept flag to its values.
      rows: dicts with the values of the swept flags, `variant`, `seed` and accuracies in percent.
    """
    import tensorflow as tf
    from tensorboard.plugins.hparams import api

    seeds = sorted({row["seed"] for row in rows})
    hparams = [api.HParam(flag, api.Discrete(values)) for flag, values in {**domains, "seed": seeds}.items()]
    metrics = [api.Metric(metric, display_name=f"{metric} (%)") for metric in ACCURACIES]
    with files.laying_over(directory, [f"*{EVENTS}"]) as part:
        with _writer(part):
            api.hparams_config(hparams, metrics)
        for row in rows:
            name = f"{row['variant']}, seed {row['seed']}"
            with _writer(os.path.join(part, re.sub(r"[^\w=.,+ -]", "_", name))):
                api.hparams({flag: row[flag] for flag in (*domains, "seed")}, trial_id=name)
                for metric in ACCURACIES:
                    tf.summary.scalar(metric, row[metric], step=0)


def _writer(directory):
    import tensorflow as tf

    return tf.summary.create_file_writer(directory, filename_suffix=EVENTS).as_default(step=0)
