"""A Keras model whose parameters train in groups, each with an optimizer of its own."""

import tensorflow as tf

from bgsnet_tf.private_api import create_slots


class GroupedModel(tf.keras.Model):
    """Base of the networks that a stage trains. A subclass says its `parameter_groups()`.

    Backbones want a far smaller learning rate than new heads, and gates than both; an optimizer that adapts its step
    cannot get that from scaled gradients, so each group has its own.
    """

    def parameter_groups(self):
        """Group name to the list of variables that train in it now; a group may be left out."""
        raise NotImplementedError

    def compile(self, optimizers, jit_compile=False):
        """Takes a dict from group name to optimizer, and creates their slots, so that a checkpoint can fill them."""
        super().compile(optimizers, jit_compile=jit_compile)  # its default, an RMSprop, would lie in every checkpoint
        self.group_optimizers = optimizers
        for name, variables in self.parameter_groups().items():
            create_slots(optimizers[name], variables)

    def apply_gradients(self, tape, loss):
        """One update of every active group.

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
        return {name: replicas * tf.linalg.global_norm(of_group) for name, of_group in gradients.items()}
