"""A stage's folder below a run: what it was trained with, its checkpoints, whether it is finished."""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bgsnet_tf import files
from bgsnet_tf.errors import UserError
from bgsnet_tf.training.machines import memory
from bgsnet_tf.training.machines.strategy import CHIEF

STATE = "stage.json"
PREFIX = "checkpoint"
CHECKSUMS = "checksums.json"
# What stages did that have these flags not on record, since there were none: runs of before November 2026.
BEFORE_THEIR_FLAGS = {
    "batch_norm": "train",
    "standardize": False,
    "g_start": "random",
    "b_start": "random",
    "s_start": "random",
    "eta_per_weight": False,
    "gates_go_on": False,
    "balance_control": "none",
    "finetune_stop": 0,
    "tail_share": 0.0,
}
BEST = "best"  # the folder, beside those of the phases, of the best epoch by validation

_NAME = re.compile(r"\d+-\d+")  # of a checkpoint


class Position(NamedTuple):
    """How far a phase is: finished epochs, and finished steps of the next one."""

    epoch: int
    step: int = 0


class StageFolder:
    """`checkpoints/<stage>/` of a run: `stage.json` and one folder of checkpoints a phase.

    Args:
      run_dir: folder of the run.
      stage: name of the stage.
      settings: dict of all that the stage's result depends on.
      writes: whether this process does; others only keep account.

    Raises:
      UserError: where the folder holds the work of other settings.
    """

    def __init__(self, run_dir, stage, settings, writes=True):
        self.path = os.path.join(run_dir, "checkpoints", stage)
        self.name, self._writes = stage, writes
        self._state_path = os.path.join(self.path, STATE)
        settings = json.loads(json.dumps(settings))
        if os.path.exists(self._state_path):
            self._state = files.read_json(self._state_path)
            if not _is_state(self._state):
                raise UserError(f"{self._state_path} is damaged; add --redo={stage} to train the stage again")
            self._refuse_other(settings)
        else:
            self._state = {"settings": settings, "digest": None, "seconds": 0.0, "peak_memory_bytes": 0}

    @property
    def finished(self):
        return self._state["digest"] is not None

    @property
    def restorable(self):
        """Whether it is finished, and its result is whole."""
        phases = [self.phase(name) for name in os.listdir(self.path) if name != BEST] if self.finished else []
        newest = [
            os.path.join(path, max(filter(_NAME.fullmatch, os.listdir(path)), default="none")) for path in phases if os.path.isdir(path)
        ]
        return any(map(_is_whole, newest))

    @property
    def digest(self):
        """Hex digest of the finished stage's weights; later stages depend on it."""
        return self._state["digest"]

    @property
    def costs(self):
        """`seconds` of training, and `peak_memory_bytes` of the device meanwhile; None where they are not on record."""
        return {name: self._state.get(name) for name in ("seconds", "peak_memory_bytes")}

    def start(self):
        """Puts the settings on record before any checkpoint is written."""
        self._started = time.monotonic()
        memory.reset_peak()
        if self._writes:
            files.make_folder(self.path)
            self._write()

    def note_time(self):
        """Adds the time since the last note to the stage's own, so that it survives the process."""
        now = time.monotonic()
        self._state["seconds"] += now - self._started
        self._started = now
        self._state["peak_memory_bytes"] = max(self._state["peak_memory_bytes"], memory.peak())
        self._write()

    def is_best(self, epoch, scores):
        """Puts the validation figures after an epoch of the stage on record. Returns whether AUSUC beats that of all others."""
        of_epochs = self._state.setdefault("validation", {})
        of_epochs[str(epoch)] = {name: scores[name] for name in ("T", "AUSUC")}
        return all(of_epochs[other]["AUSUC"] < scores["AUSUC"] for other in of_epochs if other != str(epoch))

    @property
    def validation(self):
        """Epoch, from 1, to its T and AUSUC on the validation split; empty where they are not on record."""
        return {int(epoch): scores for epoch, scores in self._state.get("validation", {}).items()}

    def finish(self, model, phases):
        """Puts the weights' digest on record, and removes the checkpoints of all its phases, by name, but the last."""
        self._state["digest"] = weights_digest(model)
        self.note_time()
        if self._writes:
            for name in phases[:-1]:
                shutil.rmtree(self.phase(name), ignore_errors=True)

    def reopen(self):
        """Takes back that the stage is finished."""
        self._state["digest"] = None

    def phase(self, name):
        return os.path.join(self.path, name)

    def _write(self):
        if self._writes:
            with files.naming_unwritable(self.path):
                files.write_json(self._state_path, self._state, indent=1)

    def _refuse_other(self, settings):
        before = {**BEFORE_THEIR_FLAGS, **self._state["settings"]}
        if before.get("dataset") != settings.get("dataset"):
            raise UserError(
                f"{self.path} was trained on data set '{before.get('dataset')}', "
                f"this is '{settings.get('dataset')}'; give another --run_dir"
            )
        before.setdefault("images", settings.get("images"))  # runs of before November 2026 have none on record
        changed = [name for name in settings if before.get(name) != settings[name]]
        if changed:
            name = changed[0]
            what = {
                "benchmark": "other contents of the data set (rows, labels, attributes, splits, or --exif_rotation)",
                "images": "other bytes in the image files of its training rows",
                "finetuned": "other fine-tuned weights",
            }.get(name, f"--{name}={before.get(name)}, not {settings.get(name)}")
            more = f" ({len(changed)} differences in all)" if len(changed) > 1 else ""
            raise UserError(
                f"{self.path} was trained with {what}{more}; give another --run_dir, or add --redo={self.name} to train the stage again"
            )


def forget(run_dir, stage):
    """Removes the checkpoints and the record of a stage; of one that is another run's, only the link. Returns whether it was there."""
    path = os.path.join(run_dir, "checkpoints", stage)
    if os.path.islink(path):
        os.unlink(path)
        return True
    for entry in os.listdir(path) if os.path.isdir(path) else ():
        phase = os.path.join(path, entry)
        for name in os.listdir(phase) if os.path.isdir(phase) else ():
            if _NAME.fullmatch(name):
                shutil.rmtree(os.path.join(phase, name))
    there = os.path.exists(os.path.join(path, STATE))
    if there:
        os.unlink(os.path.join(path, STATE))
    return there


def _is_state(state):
    known = isinstance(state, dict) and isinstance(state.get("settings"), dict) and isinstance(state.get("digest"), (str, type(None)))
    return known and all(isinstance(state.get(name, 0), (int, float, type(None))) for name in ("seconds", "peak_memory_bytes"))


class PhaseCheckpoints:
    """The newest checkpoints of one phase: weights, optimizers' state, metrics, and how far training was.

    A checkpoint is a folder `<epochs>-<steps>` with TensorFlow's files and their checksums. It takes that name when it
    is whole.

    Args:
      directory: of the phase.
      model: its network.
      optimizers: parameter group to optimizer.
      metrics: of the epoch that is under way.
      keep: how many stay.
      worker: this process; all of a distributed run must save together, since TensorFlow gathers some variables, and
        the chief's files stay.
    """

    def __init__(self, directory, model, optimizers=None, metrics=(), keep=2, worker=CHIEF):
        self.directory, self.keep, self.worker = directory, keep, worker
        self._model, self._optimizers = model, (optimizers or {}).values()
        parts = {f"optimizer_{name}": optimizer for name, optimizer in (optimizers or {}).items()}
        self._checkpoint = tf.train.Checkpoint(model=model, metrics=list(metrics), **parts)

    def numbers(self):
        """The floating-point variables of network and optimizers."""
        variables = [*self._model.variables, *(variable for optimizer in self._optimizers for variable in optimizer.variables())]
        return [variable for variable in variables if variable.dtype.is_floating]

    def restore(self):
        """Fills weights, optimizers and metrics from the newest whole checkpoint. Returns its `Position`, None if there is none.

        Raises:
          UserError: where the checkpoint is of another architecture.
        """
        for position in reversed(self._positions()):
            path = self._path(position)
            if not _is_whole(path):
                print(f"checkpoint {path} is damaged; continuing from the one before")
                continue
            try:
                status = self._checkpoint.read(os.path.join(path, PREFIX))
                status.assert_existing_objects_matched()
                status.expect_partial()
            except (ValueError, AssertionError, tf.errors.OpError) as error:
                reason = str(error).strip().splitlines()[0]
                raise UserError(
                    f"checkpoint {path} does not fit this network ({reason}); it is of another architecture: "
                    "give another --run_dir, or delete its stage's folder"
                ) from error
            return position
        return None

    def save(self, position):
        """Writes a checkpoint, then removes those that are too many.

        Raises:
          UserError: where the disk is full, or the folder cannot be written; older checkpoints stay.
        """
        path = self._path(position)
        files.make_folder(self.directory)
        with files.naming_unwritable(self.directory):
            if not self.worker.is_chief:
                with tempfile.TemporaryDirectory(suffix=files.UNFINISHED, dir=self.directory) as discarded:
                    self._checkpoint.write(os.path.join(discarded, PREFIX))
                return
            with files.replacing(path) as part:
                os.mkdir(part)
                self._checkpoint.write(os.path.join(part, PREFIX))
                checksums = {name: files.checksum(os.path.join(part, name)) for name in os.listdir(part)}
                files.write_json(os.path.join(part, CHECKSUMS), checksums)
        for old in self._positions()[: -self.keep]:
            shutil.rmtree(self._path(old))

    def _path(self, position):
        return os.path.join(self.directory, f"{position.epoch:06}-{position.step:06}")

    def _positions(self):
        names = os.listdir(self.directory) if os.path.isdir(self.directory) else []
        return sorted(Position(*map(int, name.split("-"))) for name in names if _NAME.fullmatch(name))


def _is_whole(path):
    checksums = files.read_json(os.path.join(path, CHECKSUMS))
    return (
        isinstance(checksums, dict)
        and bool(checksums)
        and all(files.checksum(os.path.join(path, name)) == value for name, value in checksums.items())
    )


def weights_digest(model):
    """Hex digest of all weights of a Keras model or layer, but for what its metrics have gathered."""
    metrics = [module for module in model.submodules if isinstance(module, tf.keras.metrics.Metric)]
    gathered = {id(variable) for metric in metrics for variable in metric.variables}
    digest = hashlib.sha256()
    for weight in model.weights:
        if id(weight) not in gathered:
            digest.update(np.ascontiguousarray(weight.numpy()))
    return digest.hexdigest()
