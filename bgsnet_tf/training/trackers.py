"""Trackers of experiments that a run may report to beside TensorBoard, by --logger; each is a package of its own.

Where a tracker keeps what it is told is its own business: MLFLOW_TRACKING_URI, WANDB_MODE and the like are read by it.
"""

import contextlib
import importlib.util

import tensorflow as tf

from bgsnet_tf.errors import UserError

PROJECT = "bgsnet-tf"
INSTALL = {"mlflow": "mlflow", "wandb": "wandb"}  # --logger to what pip installs


def require(name):
    """Raises a `UserError` where the package of a --logger is not installed."""
    if name != "none" and importlib.util.find_spec(name) is None:
        raise UserError(f"--logger={name} needs a package that is not installed: pip install {INSTALL[name]}")


@contextlib.contextmanager
def tracking(name, title, settings):
    """Yields what takes (numbers by name, step): a new run of the tracker, which ends with the block; nothing for "none".

    Args:
      name: of --logger.
      title: of the run.
      settings: flag to value, kept beside the numbers.
    """
    if name == "none":
        yield lambda numbers, step: None
    elif name == "mlflow":
        import mlflow

        mlflow.set_experiment(PROJECT)
        with mlflow.start_run(run_name=title):
            mlflow.log_params(settings)
            yield lambda numbers, step: mlflow.log_metrics(numbers, step=step)
    else:
        import wandb

        with wandb.init(project=PROJECT, name=title, config=settings) as run:
            yield lambda numbers, step: run.log({**numbers, "epoch": step})


class TrackedEpochs(tf.keras.callbacks.Callback):
    """Tells a tracker the numbers of every epoch.

    Args:
      track: what `tracking` yields.
      stage: goes before their names.
    """

    def __init__(self, track, stage):
        super().__init__()
        self.track, self.stage = track, stage

    def on_epoch_end(self, epoch, logs=None):
        self.track({f"{self.stage}/{name}": float(value) for name, value in logs.items()}, epoch)
