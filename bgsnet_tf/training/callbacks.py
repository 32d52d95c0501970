"""What happens around the steps of Keras's `fit`: progress, checkpoints, TensorBoard."""

import math

import tensorflow as tf
from tqdm import tqdm

from bgsnet_tf.errors import UserError

callbacks = tf.keras.callbacks


class Progress(callbacks.Callback):
    """One line for a phase: steps done and to do, rate, time left, loss. Stops at a loss that is not finite.

    Args:
      description: stage and phase.
      steps: in an epoch.
      done, epochs: epochs of the phase that are finished, and that there are.
    """

    def __init__(self, description, steps, done, epochs):
        super().__init__()
        self.description, self.steps, self.done, self.epochs = description, steps, done, epochs

    def on_train_begin(self, logs=None):
        self.bar = tqdm(total=self.steps * self.epochs, initial=self.steps * self.done, desc=self.description, unit=" steps", mininterval=1)

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            self.bar.close()
            raise UserError(
                f"{self.description}: the loss is {logs['loss']} at step {self.bar.n + 1}; lower the stage's learning rate. "
                "The checkpoint of the last whole epoch is kept"
            )
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        shown = {name: f"{logs[name]:.3g}" for name in ("loss", "accuracy", "T", "H") if name in logs}
        self.done += 1
        self.bar.set_postfix({"epoch": f"{self.done}/{self.epochs}", **shown})

    def on_train_end(self, logs=None):
        self.bar.close()


class SaveEpoch(callbacks.Callback):
    """Saves a checkpoint after every epoch.

    Args:
      checkpoints: `PhaseCheckpoints`.
      first_of_phase: number of the phase's first epoch in its stage.
    """

    def __init__(self, checkpoints, first_of_phase):
        super().__init__()
        self.checkpoints, self.first_of_phase = checkpoints, first_of_phase

    def on_epoch_end(self, epoch, logs=None):
        self.checkpoints.save(epoch - self.first_of_phase + 1)


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


class BalanceSummary(callbacks.Callback):
    """Writes gates, scale, margins, instance weights and the branches' scale to TensorBoard after every epoch.

    Args:
      directory: of the summaries.
      batch: (features, e_g) of a few training images, always the same.
      general: (B, A) GNet's attributes of those images, or None.
    """

    def __init__(self, directory, batch, general=None):
        super().__init__()
        self.directory, self.batch, self.general = directory, batch, general

    def on_train_begin(self, logs=None):
        self.writer = tf.summary.create_file_writer(self.directory)

    def on_epoch_end(self, epoch, logs=None):
        bsnet = self.model
        weights, special = bsnet.weights_and_attributes(*self.batch)
        gates = bsnet.gates()
        margins = bsnet.margins(weights)
        with self.writer.as_default(step=epoch):
            tf.summary.scalar("balance/scale_s", bsnet.scale(training=True))
            tf.summary.histogram("balance/gates", gates)
            for i, gate in enumerate(gates):
                tf.summary.scalar(f"gates/{i}", gate)
            tf.summary.scalar("balance/gates_over_half", tf.reduce_sum(tf.cast(gates > 0.5, tf.int32)))
            tf.summary.histogram("balance/margin", margins)
            tf.summary.scalar("balance/margin_mean", tf.reduce_mean(margins))
            tf.summary.histogram("balance/instance_weights", weights)
            tf.summary.scalar("balance/loss_div_per_weight", logs["loss_div"] / (weights.shape[1] * weights.shape[2]))
            tf.summary.scalar("branches/special_logit_std", self._logit_std(special))
            if self.general is not None:
                tf.summary.scalar("branches/general_logit_std", self._logit_std(self.general))

    def on_train_end(self, logs=None):
        self.writer.close()

    def _logit_std(self, attributes):
        logits = tf.matmul(attributes, self.model.class_attributes, transpose_b=True)
        return tf.reduce_mean(tf.math.reduce_std(logits, axis=1))
