"""What `train.py` does once its flags are read."""

import contextlib
import dataclasses
import os

import tensorflow as tf

from bgsnet_tf import files
from bgsnet_tf.commands.evaluating import evaluate
from bgsnet_tf.commands.exporting import write_version
from bgsnet_tf.commands.opening import checksums_file, naming_bad_images, open_run
from bgsnet_tf.config import delta_choice
from bgsnet_tf.data import checksums
from bgsnet_tf.errors import UserError
from bgsnet_tf.planning import dry_run
from bgsnet_tf.planning.parts import duration
from bgsnet_tf.training import checkpoints, run_folder, stages, trackers
from bgsnet_tf.training.machines import devices, strategy


def train(config, redo=""):
    """Trains all stages of a run that are not finished, and exports the network; with --calibrate, chooses δ before.

    Args:
      config: settings.
      redo: a stage that is forgotten, with those that start from it, in the validation run too, and so trained again.

    Raises:
      UserError: for bad data, settings that do not fit the run folder, a folder in use, a full disk, a lost process of
        a distributed run, or a loss that is not finite.
      Interrupted: after a signal, with all that was done saved.
    """
    if config.evaluation.calibrate:
        config = _calibrated(config, redo)
    with _working(config, redo) as run:
        bgsnet = _fit(run)
        if run.worker.is_chief and run.benchmark.features is None:  # a server gets images
            of_export = run
            if run.strategy.num_replicas_in_sync > 1:
                of_export = dataclasses.replace(run, training=False, strategy=tf.distribute.get_strategy())
                bgsnet = stages.build_bgsnet(of_export)
            write_version(of_export, bgsnet, reuse=True)
        _wait(run)


def plan(config):
    """Prints what `train` takes in steps, memory, disk and time; with --calibrate, for the validation split before. Writes nothing.

    Raises:
      UserError: as `train`, and where memory or disk do not suffice.
    """
    run_folder.require_own(config.run.run_dir)
    seconds = 0
    both = [delta_choice.validation_run(config), delta_choice.with_earlier_choices(config)]
    for planned in both if config.evaluation.calibrate else [config]:
        run = open_run(planned)
        stages.check(run)
        print(devices.describe(run.strategy, planned.run))
        with naming_bad_images(run):
            seconds += sum(part.seconds for part in dry_run.plan(run))
    if config.evaluation.calibrate:
        print(f"time of both {duration(seconds)}")


def fit(config, redo=""):
    """As `train`, without --calibrate and without an export. Returns the `Run` and its `BGSNet`."""
    with _working(config, redo) as run:
        return run, _fit(run)


def _calibrated(config, redo):
    _open(delta_choice.with_earlier_choices(config), redo)  # what would end it after the validation run ends it now
    validation = delta_choice.validation_run(config)
    run, _ = fit(validation, redo)
    if run.worker.is_chief:
        evaluate(validation)
    _wait(run)
    return delta_choice.with_choices(config, files.read_json(os.path.join(run.directory, "results.json")))


def _open(config, redo):
    """The `Run` of these settings, for training; refused where it could not train to its end."""
    run_folder.require_own(config.run.run_dir)
    trackers.require(config.run.logger)
    run = open_run(config, training=True)
    stages.check(run, redo)
    return run


@contextlib.contextmanager
def _working(config, redo):
    """The run, for training: its folder belongs to this process, or to those that share its strategy."""
    run = _open(config, redo)
    if config.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    with contextlib.ExitStack() as stack:
        if run.worker.is_chief:
            print(devices.describe(run.strategy, config.run))
            try:
                os.makedirs(run.directory, exist_ok=True)
                stack.enter_context(files.locked(run.directory))
                run_folder.tidy(run.directory)
                for name in stages.TRAINED_AGAIN[redo]:
                    if checkpoints.forget(run.directory, name):
                        print(f"stage {name} of {run.directory} is forgotten: its checkpoints are removed")
                config.write(os.path.join(run.directory, run_folder.FLAGS))
                if run.benchmark.paths is not None:
                    os.makedirs(os.path.dirname(checksums_file(config)), exist_ok=True)
                    checksums.keep(checksums_file(config), run.benchmark.paths)
            except OSError as error:
                raise UserError(f"--run_dir={run.directory} cannot be written: {error.strerror}") from error
        if redo:
            _wait(run)  # no other process is to read what is forgotten
        logger = config.run.logger if run.worker.is_chief else "none"
        yield dataclasses.replace(run, track=stack.enter_context(trackers.tracking(logger, run.directory, config.values())))


def _fit(run):
    with naming_bad_images(run), strategy.naming_lost_workers(run.strategy):
        return stages.build_bgsnet(run)


def _wait(run):
    with strategy.naming_lost_workers(run.strategy):
        run.wait_for_workers()
