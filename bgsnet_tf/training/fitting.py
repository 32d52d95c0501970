"""How a stage is fitted: phase after phase through Keras's `fit`, from where the last checkpoint stands."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from bgsnet_tf.model.grouped import GroupedModel
from bgsnet_tf.training import callbacks, optimizers
from bgsnet_tf.training.checkpoints import PhaseCheckpoints


@dataclasses.dataclass(frozen=True)
class FitPhase:
    """A part of a stage with optimizers of its own.

    Attributes:
      name: of its checkpoints.
      epochs: its length; a phase of none is passed over.
      prepare: called before it; sets the model's switches.
      callbacks: function from the number of its first epoch in the stage to more Keras callbacks.
    """

    name: str
    epochs: int
    prepare: Callable[[], None] = lambda: None
    callbacks: Callable[[int], Sequence[tf.keras.callbacks.Callback]] = lambda first_epoch: []


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a stage fits, to what, and how.

    Attributes:
      model: the network that trains.
      saved: the part of it whose weights are the stage's result.
      steps: updates an epoch.
      dataset: function (first epoch, end) to a dataset of the batches of those epochs.
      optimizer: name.
      rates: parameter group to learning rate.
      weight_decay: of all groups.
      score: function to a dict of validation figures, for after every epoch.
    """

    model: GroupedModel
    saved: Any
    steps: int
    dataset: Callable[[int, int], tf.data.Dataset]
    optimizer: str
    rates: Mapping[str, float]
    weight_decay: float
    score: Callable[[], Mapping[str, float]]


def fit_stage(run, stage, fit, phases):
    """Trains a stage to its end, or only restores it where it is finished. Ends with the last phase prepared."""
    phases = [phase for phase in phases if phase.epochs]
    if stage.finished:
        phases[-1].prepare()
        PhaseCheckpoints(stage.phase(phases[-1].name), fit.saved).restore()
        return
    stage.start()
    first_epoch = 0
    for phase in phases:
        phase.prepare()
        _fit_phase(run, stage, fit, phase, first_epoch)
        first_epoch += phase.epochs
    stage.finish(fit.saved)


def compile_phase(run, fit, phase):
    """Gives the stage's model new optimizers for a phase that is prepared. Returns them by parameter group."""
    groups = fit.model.parameter_groups()
    schedule = {"steps": fit.steps * phase.epochs, "schedule": run.config.run.lr_schedule, "warmup": run.config.run.warmup}
    by_group = {
        name: optimizers.make(fit.optimizer, fit.rates[name], weight_decay=fit.weight_decay, variables=variables, **schedule)
        for name, variables in groups.items()
    }
    fit.model.compile(by_group, jit_compile=run.config.run.xla)
    return by_group


def _fit_phase(run, stage, fit, phase, first_epoch):
    by_group = compile_phase(run, fit, phase)
    checkpoints = PhaseCheckpoints(stage.phase(phase.name), fit.saved, by_group)
    done = checkpoints.restore()
    if done == phase.epochs:
        return
    end = first_epoch + phase.epochs
    fit.model.fit(
        fit.dataset(first_epoch + done, end),
        initial_epoch=first_epoch + done,
        epochs=end,
        steps_per_epoch=fit.steps,
        verbose=0,
        callbacks=[
            *([callbacks.ValidationScores(fit.score)] if run.scores_epochs else []),
            *phase.callbacks(first_epoch),
            callbacks.Progress(f"{stage.name} {phase.name}", fit.steps, done, phase.epochs),
            tf.keras.callbacks.TensorBoard(run.logs(stage.name), write_graph=False),
            callbacks.SaveEpoch(checkpoints, first_epoch),
        ],
    )
