"""What happens around the steps of Keras's `fit`: progress, checkpoints, TensorBoard."""

import contextlib
import signal
import time

import tensorflow as tf
from tqdm import tqdm

from bgsnet_tf import files
from bgsnet_tf.errors import Interrupted
from bgsnet_tf.private_api import take_tensors
from bgsnet_tf.training.checkpoints import Position

callbacks = tf.keras.callbacks


class NotFinite(Exception):
    """Says what is not finite after a step, as "the loss is not finite".

    Attributes:
      position: before the step.
    """

    def __init__(self, position, what):
        super().__init__(what)
        self.position = position


class Reached(Exception):
    """Training has come to the position that it was to stop before."""


class _Located(callbacks.Callback):
    """Base of callbacks that know where in the phase they are, and make no call of several steps wait for its numbers.

    Args:
      position: where `fit` starts: at an epoch's begin, or in the middle of the only epoch that it fits.
      steps: in a whole epoch.

    Attributes:
      position: after the last finished step.
    """

    def __init__(self, position, steps):
        super().__init__()
        self.position, self.steps, self._first_step = position, steps, position.step
        take_tensors(self)

    def on_train_batch_end(self, batch, logs=None):
        done = self._first_step + batch + 1  # Keras counts what this epoch of `fit` has done, whatever a call holds
        self.position = Position(self.position.epoch, done) if done < self.steps else Position(self.position.epoch + 1)


class Progress(_Located):
    """One line for a phase: steps done and to do, rate, time left, loss.

    Args:
      description: stage and phase.
      steps: in an epoch.
      position: where `fit` starts.
      epochs: of the phase.
    """

    def __init__(self, description, steps, position, epochs):
        super().__init__(position, steps)
        self.description, self.epochs = description, epochs

    def on_train_begin(self, logs=None):
        done = self.steps * self.position.epoch + self.position.step
        self.bar = tqdm(total=self.steps * self.epochs, initial=done, desc=self.description, unit=" steps", mininterval=1)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch)
        self.bar.update(self.steps * self.position.epoch + self.position.step - self.bar.n)

    def on_epoch_end(self, epoch, logs=None):
        shown = {name: f"{logs[name]:.3g}" for name in ("loss", "accuracy", "T", "H") if name in logs}
        self.bar.set_postfix({"epoch": f"{self.position.epoch}/{self.epochs}", **shown})

    def on_train_end(self, logs=None):
        self.bar.close()


class RequireFinite(_Located):
    """Raises `NotFinite` after a call in which the loss of a step was not finite."""

    def on_train_begin(self, logs=None):
        self.start = self.position
        self.model.finite_steps.reset()

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch)
        before = self.model.finite_steps.before_failure()
        if before is not None:
            epochs, step = divmod(self.start.step + before, self.steps)
            raise NotFinite(Position(self.start.epoch + epochs, step), "the loss is not finite")


class StopBefore(_Located):
    """Raises `Reached` before a step, where every call holds one.

    Args:
      last: position before that step.
      steps, position: as for all located callbacks.
    """

    def __init__(self, last, steps, position):
        super().__init__(position, steps)
        self.last = last

    def on_train_batch_begin(self, batch, logs=None):
        if self.position == self.last:
            raise Reached


class KeepMetrics(callbacks.Callback):
    """Keeps what a checkpoint in the middle of an epoch held of its metrics, which Keras resets when `fit` begins."""

    def __init__(self, position):
        super().__init__()
        self.position = position

    def on_train_begin(self, logs=None):
        self.values = [variable.numpy() for variable in self._variables()] if self.position.step else None

    def on_epoch_begin(self, epoch, logs=None):
        if self.values is not None:
            for variable, value in zip(self._variables(), self.values):
                variable.assign(value)
            self.values = None

    def _variables(self):
        return [variable for metric in self.model.metrics for variable in metric.variables]


class SaveProgress(_Located):
    """Saves checkpoints: every so many minutes, when `fit` ends, when the process is asked to end; and the best epoch.

    What falls due with the last step of an epoch waits for the epoch's scores and summaries.

    Args:
      run: the `Run`.
      stage: the `StageFolder`, whose clock it keeps.
      checkpoints: the `PhaseCheckpoints`.
      best: `PhaseCheckpoints` of the stage's best epoch, or None where it is not kept.
      steps: in a whole epoch.
      request: `interruption.Request`.
      position: where `fit` starts.
    """

    def __init__(self, run, stage, checkpoints, best, steps, request, position):
        super().__init__(position, steps)
        self.run, self.stage, self.checkpoints, self.best, self.request = run, stage, checkpoints, best, request
        self.saved_at = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch)
        if self.position.step:
            self._save_if_due()

    def on_epoch_end(self, epoch, logs=None):
        better = self.best is not None and self.stage.is_best(epoch + 1, logs)
        if self.run.any_worker(better and self.run.worker.is_chief)[0]:
            self._require_finite()
            self.best.save(Position(epoch + 1))
            self.stage.note_time()
        self._save_if_due()

    def on_train_end(self, logs=None):
        self._save()

    def _save_if_due(self):
        due = time.monotonic() - self.saved_at >= 60 * self.run.config.run.checkpoint_every
        due, asked = self.run.any_worker(due and self.run.worker.is_chief, self.request.signal is not None)
        if due or asked:
            self._save()
        if asked:
            self.request.fulfil()
            raise Interrupted(signal.SIGTERM)  # another process of this run was asked

    def _save(self):
        self._require_finite()
        self.checkpoints.save(self.position)
        self.stage.note_time()
        self.saved_at = time.monotonic()

    def _require_finite(self):
        """A finite loss can have a gradient that is not: what it has made of the weights is no state to go back to.

        It is the last step's, since a step with such weights has a loss that is not finite.
        """
        if not all(bool(tf.reduce_all(tf.math.is_finite(variable))) for variable in self.checkpoints.numbers()):
            epoch, step = self.position
            before = Position(epoch, step - 1) if step else Position(epoch - 1, self.steps - 1)
            raise NotFinite(before, "the loss is finite, but weights are not")


class CountEpochs(callbacks.Callback):
    """Tells BSNet its epoch within the phase, eph of Eqs. 14 and 16."""

    def __init__(self, first_of_phase):
        super().__init__()
        self.first_of_phase = first_of_phase

    def on_epoch_begin(self, epoch, logs=None):
        self.model.epoch.assign(epoch - self.first_of_phase + 1)


class ValidationScores(callbacks.Callback):
    """Adds T, U, S, H and AUSUC on the validation split to the logs of an epoch.

    Args:
      score: function without arguments to a dict of figures.
    """

    def __init__(self, score):
        super().__init__()
        self.score = score

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self.score())


class Summary(callbacks.Callback):
    """Base of callbacks that write to TensorBoard after every epoch.

    Args:
      directory: of the summaries.
      writes: whether this process does.
    """

    def __init__(self, directory, writes=True):
        super().__init__()
        self.directory, self.writes = directory, writes

    def on_train_begin(self, logs=None):
        with files.naming_unwritable(self.directory):
            self.writer = tf.summary.create_file_writer(self.directory) if self.writes else tf.summary.create_noop_writer()

    @contextlib.contextmanager
    def writing(self, epoch):
        """What the block sums up is written when it ends."""
        with files.naming_unwritable(self.directory), self.writer.as_default(step=epoch):
            yield
            self.writer.flush()

    def on_train_end(self, logs=None):
        self.writer.close()


class EpochSummary(Summary):
    """Writes the numbers of an epoch, before its checkpoint is written: nothing computes them again after that."""

    def on_epoch_end(self, epoch, logs=None):
        with self.writing(epoch):
            for name, value in logs.items():
                tf.summary.scalar(f"epoch_{name}", value)
