"""How a stage is fitted: phase after phase through Keras's `fit`, from where the last checkpoint stands.

Keras's BackupAndRestore is not used: it knows nothing of several optimizers, of phases, or of metrics that an epoch has
gathered so far, and keeps a single unchecked copy.
"""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

import tensorflow as tf

from bgsnet_tf import interruption
from bgsnet_tf.data.batches import Share
from bgsnet_tf.errors import UserError
from bgsnet_tf.model import graph_costs
from bgsnet_tf.model.grouped import GroupedModel
from bgsnet_tf.training import callbacks, diagnosis, optimizers, trackers
from bgsnet_tf.training.checkpoints import BEST, PhaseCheckpoints, Position
from bgsnet_tf.training.machines import devices, memory, strategy

BATCHES_IN_FLIGHT = 3  # two prefetched, one being put together


@dataclasses.dataclass(frozen=True)
class FitPhase:
    """A part of a stage with optimizers of its own.

    Attributes:
      name: of its checkpoints.
      epochs: its length, over which learning rates are spread; a phase of none is passed over.
      prepare: called before it; sets the model's switches.
      callbacks: function from the number of its first epoch in the stage to more Keras callbacks.
      stop: the epoch after which it ends, where that is not its last; 0 passes it over.
    """

    name: str
    epochs: int
    prepare: Callable[[], None] = lambda: None
    callbacks: Callable[[int], Sequence[tf.keras.callbacks.Callback]] = lambda first_epoch: []
    stop: Optional[int] = None

    @property
    def fitted(self):
        """Number of epochs that are fitted."""
        return self.epochs if self.stop is None else self.stop


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a stage fits, to what, and how.

    Attributes:
      model: the network that trains.
      saved: the part of it whose weights are the stage's result.
      steps: updates an epoch.
      dataset: function (first epoch, first step, `Share`) to an endless dataset of that share of the batches from there on.
      optimizer: name.
      rates: parameter group to learning rate.
      weight_decay: of all groups.
      size_flag: name of the flag that says how much a step holds.
      score: function to a dict of validation figures, for after every epoch.
      start: gives the model the weights it starts from, once, where those of its construction are not all.
      takes_best: inside the validation split, the stage ends with the weights of its best epoch by AUSUC, not of its last.
    """

    model: GroupedModel
    saved: Any
    steps: int
    dataset: Callable[[int, int, Share], tf.data.Dataset]
    optimizer: str
    rates: Mapping[str, float]
    weight_decay: float
    size_flag: str
    score: Callable[[], Mapping[str, float]]
    start: Callable[[], None] = lambda: None
    takes_best: bool = False


def fit_stage(run, stage, fit, phases):
    """Trains a stage to its end, or only restores it where it is finished. Ends with the last phase prepared.

    Raises:
      UserError: where no checkpoint of a finished stage is whole and `run.training` is off, for a loss that is not
        finite, or for a full disk.
      Interrupted: after a signal; the step is finished and saved.
    """
    phases = [phase for phase in phases if phase.fitted]
    first_epochs = dict(zip(phases, itertools.accumulate([0, *(phase.fitted for phase in phases)])))
    left, last = phases, phases[-1]
    if stage.finished:
        last.prepare()
        found = PhaseCheckpoints(stage.phase(last.name), fit.saved).restore()
        if found == Position(last.fitted):
            return
        if not run.training:
            raise UserError(f"the checkpoint of the finished stage {stage.path} is damaged or missing; the same train.py command mends it")
        stage.reopen()
        left = [last] if found else phases  # an older checkpoint of the last phase holds all of the ones before
    stage.start()
    for phase in left:
        phase.prepare()
        with memory.naming_shortage(f"{stage.name} {phase.name}", run.config, fit.size_flag, functools.partial(_estimate, run, fit)):
            _fit_phase(run, stage, fit, phase, first_epochs[phase])
    if _best(run, stage, fit):
        _end_with_best(run, stage, fit, last)
    strategy.settle(run.strategy, fit.saved.variables)
    stage.finish(fit.saved, [phase.name for phase in phases])


def compile_phase(run, fit, phase):
    """Gives the stage's model new optimizers for a phase that is prepared. Returns them by parameter group."""
    schedule = {"steps": fit.steps * phase.epochs, "schedule": run.config.run.lr_schedule, "warmup": run.config.run.warmup}
    by_group = {
        name: optimizers.make(fit.optimizer, fit.rates[name], weight_decay=fit.weight_decay, variables=variables, **schedule)
        for name, variables in fit.model.parameter_groups().items()
    }
    fit.model.compile(by_group, jit_compile=run.config.run.xla, steps_per_execution=devices.steps_per_execution(run.config.run))
    return by_group


def traced_step(fit):
    """The graph of a training step of a compiled model on whole batches, and the bytes that such a step takes beside what is held."""
    batches = fit.dataset(0, 0, Share())
    graph = fit.model.make_train_function().get_concrete_function(iter(batches)).graph
    batch_bytes = sum(spec.shape.num_elements() * spec.dtype.size for spec in tf.nest.flatten(batches.element_spec))
    return graph, graph_costs.peak_bytes(graph) + BATCHES_IN_FLIGHT * batch_bytes


def _estimate(run, fit):
    """Bytes of a step, None where several replicas share it."""
    if run.strategy.num_replicas_in_sync > 1:
        return None
    fit.model.compile(fit.model.group_optimizers)  # XLA, and several steps a call, hide what a step holds
    return traced_step(fit)[1]


def _best(run, stage, fit):
    """The checkpoints of the stage's best epoch; None where it ends with its last."""
    if fit.takes_best and run.scores_epochs:
        alone = tf.Module()
        alone.weights = fit.saved.weights  # a compiled model would bring its optimizers along, which are others in every phase
        return PhaseCheckpoints(stage.phase(BEST), alone, keep=1, worker=run.worker)
    return None


def _end_with_best(run, stage, fit, last):
    if _best(run, stage, fit).restore() is None:
        raise UserError(
            f"the checkpoint of the best epoch of {stage.path} is damaged or missing; add --redo={stage.name} to train it again"
        )
    PhaseCheckpoints(stage.phase(last.name), fit.saved, worker=run.worker).save(Position(last.fitted))


def _fit_phase(run, stage, fit, phase, first_epoch):
    by_group, keep = compile_phase(run, fit, phase), run.config.run.keep_checkpoints
    checkpoints = PhaseCheckpoints(stage.phase(phase.name), fit.saved, by_group, fit.model.metrics, keep, run.worker)
    position = checkpoints.restore()
    run.require_agreement(*(position or (-1, -1)))
    if position is None:
        position = Position(0)
        if first_epoch == 0:
            fit.start()
        checkpoints.save(position)  # what a loss that is not finite goes back to
    try:
        with interruption.deferred() as request:
            save = functools.partial(callbacks.SaveProgress, run, stage, checkpoints, _best(run, stage, fit), fit.steps, request)
            _fit_from(run, stage, fit, phase, first_epoch, position, save)
    except callbacks.NotFinite as failure:
        raise UserError(_explain(run, stage, fit, phase, first_epoch, checkpoints, failure)) from None


def _fit_from(run, stage, fit, phase, first_epoch, position, last_callback):
    """Fits a phase from a position to its end.

    Args:
      last_callback: function from a position where `fit` starts to a Keras callback.
    """
    while position.epoch < phase.fitted:
        # Keras wants epochs of equal length, so what is left of a begun one is fitted by itself.
        end = position.epoch + 1 if position.step else phase.fitted
        displays = _displays(run, stage, fit, phase, position) if run.worker.is_chief else []
        fit.model.fit(
            distributed(run.strategy, functools.partial(fit.dataset, first_epoch + position.epoch, position.step)),
            initial_epoch=first_epoch + position.epoch,
            epochs=first_epoch + end,
            steps_per_epoch=fit.steps - position.step,
            verbose=0,
            callbacks=[
                callbacks.KeepMetrics(position),
                *([callbacks.ValidationScores(functools.partial(_score, run, fit))] if run.scores_epochs else []),
                *phase.callbacks(first_epoch),
                *displays,
                callbacks.RequireFinite(position, fit.steps),
                last_callback(position),
            ],
        )
        position = Position(end)


def _score(run, fit):
    strategy.settle(run.strategy, fit.saved.variables)
    with memory.naming_shortage("validation scores", run.config, "eval_batch_size"):
        return fit.score()


def _displays(run, stage, fit, phase, position):
    progress = callbacks.Progress(f"{stage.name} {phase.name}", fit.steps, position, phase.fitted)
    tracked = [trackers.TrackedEpochs(run.track, stage.name)] if run.track else []
    return [progress, callbacks.EpochSummary(os.path.join(run.logs(stage.name), "train")), *tracked]


def distributed(over, dataset):
    """The form for the strategy `over` of `dataset`, a function from a `Share`: every process makes its own share alone."""

    def of_process(context):
        total = context.num_replicas_in_sync
        count = total // context.num_input_pipelines
        own = dataset(Share(context.input_pipeline_id * count, count, total))
        # Known to be endless, it is not asked at every step, in all processes, whether it has ended.
        return own.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

    return over.distribute_datasets_from_function(of_process)


def _explain(run, stage, fit, phase, first_epoch, checkpoints, failure):
    """What went wrong at a step, and in which tensor, found by repeating the steps since the last checkpoint."""
    failed, tensor = failure.position, None
    if run.strategy.num_replicas_in_sync == 1:
        print(f"{stage.name} {phase.name}: {failure}; repeating the steps since the last checkpoint to see why")
        fit.model.steps_per_execution = 1
        try:
            stop = functools.partial(callbacks.StopBefore, failed, fit.steps)
            _fit_from(run, stage, fit, phase, first_epoch, checkpoints.restore(), stop)
        except callbacks.Reached:
            batch = next(iter(fit.dataset(first_epoch + failed.epoch, failed.step, Share())))
            tensor = diagnosis.first_bad_tensor(fit.model, batch, run.strategy)
        except callbacks.NotFinite:
            pass  # an earlier step this time: operations that are not deterministic
    return (
        f"{stage.name} {phase.name}: {failure} at step {failed.step + 1} of epoch {failed.epoch + 1}"
        + (f"; the first tensor that is not finite is {tensor}" if tensor else "")
        + f". Lower the stage's learning rate and add --redo={stage.name}; the last checkpoint before it is kept until then"
    )
