"""A Keras model whose parameters train in groups, each with an optimizer of its own."""

import tensorflow as tf

from bgsnet_tf.private_api import create_slots


class FiniteSteps:
    """Counts the training steps with a finite loss, up to the first without, on the device: no step waits for the host.

    It is no part of the network, so that no checkpoint holds it.
    """

    def __init__(self):
        self._count = tf.Variable(  # once a loss was not finite, -1 less the steps before it
            0,
            trainable=False,
            dtype=tf.int64,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def reset(self):
        self._count.assign(0)

    def note(self, loss):
        """Counts a step by this replica's loss; all replicas come to the same count."""
        context, count = tf.distribute.get_replica_context(), self._count.read_value()
        wrong = tf.cast(~tf.math.is_finite(loss), tf.float32)
        if context.num_replicas_in_sync > 1:
            wrong = context.all_reduce(tf.distribute.ReduceOp.SUM, wrong)
        self._count.assign(tf.where(count < 0, count, tf.where(wrong > 0, -1 - count, count + 1)))

    def before_failure(self):
        """How many steps since `reset` came before the first whose loss was not finite; None where there is no such step."""
        count = int(self._count.read_value())
        return -1 - count if count < 0 else None


class GroupedModel(tf.keras.Model):
    """Base of the networks that a stage trains. A subclass says its `parameter_groups()`.

    Backbones want a far smaller learning rate than new heads, and gates than both; an optimizer that adapts its step
    cannot get that from scaled gradients, so each group has its own.
    """

    def parameter_groups(self):
        """Group name to the list of variables that train in it now; a group may be left out."""
        raise NotImplementedError

    def compile(self, optimizers, jit_compile=False, steps_per_execution=1):
        """Takes a dict from group name to optimizer, and creates their slots, so that a checkpoint can fill them.

        Args:
          optimizers: the dict.
          jit_compile: compile a step with XLA.
          steps_per_execution: how many steps `fit` makes in one call, between which the host has no say.
        """
        # The default optimizer, an RMSprop, would lie in every checkpoint.
        super().compile(optimizers, jit_compile=jit_compile, steps_per_execution=steps_per_execution)
        self.group_optimizers, self.finite_steps = optimizers, FiniteSteps()
        for name, variables in self.parameter_groups().items():
            create_slots(optimizers[name], variables)

    def apply_gradients(self, tape, loss):
        """One update of every active group. Notes in `finite_steps` whether the loss was finite.

        Args:
          tape: that recorded the loss.
          loss: mean over this replica's part of the batch, one of equal parts. Optimizers add up the gradients of all
            replicas, so each counts as its share of the whole batch's mean.

        Returns:
          Group to the norm of its gradient over this replica's part.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        groups = self.parameter_groups()
        gradients = tape.gradient(loss, groups, output_gradients=tf.constant(1 / replicas))
        for name, variables in groups.items():
            self.group_optimizers[name].apply_gradients(zip(gradients[name], variables))
        self.finite_steps.note(loss)
        return {name: replicas * tf.linalg.global_norm(of_group) for name, of_group in gradients.items()}
