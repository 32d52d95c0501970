"""A stage's folder below a run: what it was trained with, its checkpoints, whether it is finished."""

import hashlib
import json
import os

import numpy as np
import tensorflow as tf

from bgsnet_tf.errors import UserError


class StageFolder:
    """`checkpoints/<stage>/` of a run: `stage.json` and one folder of checkpoints a phase.

    Args:
      run_dir: folder of the run.
      stage: name of the stage.
      settings: dict of all that the stage's result depends on.

    Raises:
      UserError: where the folder holds the work of other settings.
    """

    def __init__(self, run_dir, stage, settings):
        self.path = os.path.join(run_dir, "checkpoints", stage)
        self.name = stage
        self._state_path = os.path.join(self.path, "stage.json")
        settings = json.loads(json.dumps(settings))
        if os.path.exists(self._state_path):
            with open(self._state_path) as file:
                self._state = json.load(file)
            self._refuse_other(settings)
        else:
            self._state = {"settings": settings, "digest": None}

    @property
    def finished(self):
        return self._state["digest"] is not None

    @property
    def digest(self):
        """Hex digest of the finished stage's weights; later stages depend on it."""
        return self._state["digest"]

    def start(self):
        """Puts the settings on record before any checkpoint is written."""
        os.makedirs(self.path, exist_ok=True)
        self._write()

    def finish(self, model):
        self._state["digest"] = weights_digest(model)
        self._write()

    def phase(self, name):
        return os.path.join(self.path, name)

    def _write(self):
        with open(f"{self._state_path}.part", "w") as file:
            json.dump(self._state, file, indent=1)
        os.replace(f"{self._state_path}.part", self._state_path)

    def _refuse_other(self, settings):
        before = self._state["settings"]
        if before.get("dataset") != settings.get("dataset"):
            raise UserError(
                f"{self.path} was trained on data set '{before.get('dataset')}', "
                f"this is '{settings.get('dataset')}'; give another --run_dir"
            )
        changed = [name for name in settings if before.get(name) != settings[name]]
        if changed:
            name = changed[0]
            what = {
                "benchmark": "other contents of the data set (rows, labels, attributes or splits)",
                "finetuned": "other fine-tuned weights",
            }.get(name, f"--{name}={before.get(name)}, not {settings.get(name)}")
            more = f" ({len(changed)} differences in all)" if len(changed) > 1 else ""
            raise UserError(
                f"{self.path} was trained with {what}{more}; give another --run_dir, or delete that folder to train the stage again"
            )


class PhaseCheckpoints:
    """The newest checkpoint of one phase: weights, optimizers' state, finished epochs."""

    def __init__(self, directory, model, optimizers=None):
        self.epoch = tf.Variable(0, trainable=False, dtype=tf.int64)
        parts = {"model": model, "epoch": self.epoch, **{f"optimizer_{name}": o for name, o in (optimizers or {}).items()}}
        self._checkpoint = tf.train.Checkpoint(**parts)
        self._manager = tf.train.CheckpointManager(self._checkpoint, directory, max_to_keep=1)

    def restore(self):
        """Fills weights and optimizers from the newest checkpoint, if there is one. Returns the finished epochs.

        Raises:
          UserError: where the checkpoint is of another architecture, or unreadable.
        """
        path = self._manager.latest_checkpoint
        if not path:
            return 0
        try:
            status = self._checkpoint.restore(path)
            status.assert_existing_objects_matched()
            status.expect_partial()
        except (ValueError, AssertionError, tf.errors.OpError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"checkpoint {path} does not fit this network ({reason}); it is of another architecture or damaged: "
                "give another --run_dir, or delete its stage's folder"
            ) from error
        return int(self.epoch.numpy())

    def save(self, epoch):
        self.epoch.assign(epoch)
        self._manager.save(checkpoint_number=epoch)


def weights_digest(*models):
    """Hex digest of all weights of Keras models or layers."""
    digest = hashlib.sha256()
    for model in models:
        for weight in model.get_weights():
            digest.update(np.ascontiguousarray(weight))
    return digest.hexdigest()
