"""What BSNet's balance does while it trains: in TensorBoard, and in a table for the report."""

import os

import numpy as np
import pandas as pd
import tensorflow as tf

from bgsnet_tf import files
from bgsnet_tf.evaluation import analysis
from bgsnet_tf.training.callbacks import Summary


class BalanceSummary(Summary):
    """Writes what the balance does after every epoch: to TensorBoard, and as a row of a table for the report.

    Margins and instance weights come with instance balance; before, they would all be 1.

    Args:
      directory: as of every `Summary`.
      table: path of the CSV file; its rows of later epochs, which a continued run makes again, go.
      batch: (features, e_g) of a few training images, always the same.
      labels: (B,) of those images.
      general: (B, A) GNet's attributes of those images, or None.
      writes: whether this process does; all of a run compute the summaries, since they read variables of all.
    """

    def __init__(self, directory, table, batch, labels, general=None, writes=True):
        super().__init__(directory, writes)
        self.table, self.batch, self.labels, self.general = table, batch, labels, general

    def on_epoch_end(self, epoch, logs=None):
        bsnet = self.model
        weights, balanced = bsnet.balanced(*self.batch)
        gates = bsnet.gates(bsnet.scale(training=True))
        figures = self._figures(weights, balanced, gates, logs)
        with self.writing(epoch):
            tf.summary.histogram("balance/gates", gates)
            for i, gate in enumerate(gates):
                tf.summary.scalar(f"gates/{i}", gate)
            if bsnet.phase.instance_balance:
                tf.summary.histogram("balance/margin", bsnet.margins(weights))
                tf.summary.histogram("balance/instance_weights", weights)
                tf.summary.scalar("balance/loss_div_per_weight", logs["loss_div"] / (weights.shape[1] * weights.shape[2]))
            for name, value in figures.items():
                if value is not None:
                    tf.summary.scalar(f"balance/{name}", value)
            tf.summary.scalar("branches/special_logit_std", self._logit_std(bsnet.attributes(balanced)))
            if self.general is not None:
                tf.summary.scalar("branches/general_logit_std", self._logit_std(self.general))
        if self.writes:
            self._add_row({"epoch": epoch, "phase": bsnet.phase.name, **figures})

    def _figures(self, weights, balanced, gates, logs):
        """Name to number, or None where there is none yet."""
        bsnet = self.model
        phi, start = bsnet.class_attributes.numpy(), bsnet.gates_at_start
        errors = analysis.class_errors(bsnet.attributes_alone(balanced).numpy(), self.labels, phi)
        shares = analysis.weight_figures(weights.numpy()) if bsnet.phase.instance_balance else {}
        return {
            "scale_s": float(bsnet.scale(training=True)),
            "gates_over_half": int(np.sum(gates.numpy() > 0.5)),
            "gate_order_kept": None if start is None else analysis.rank_correlation(start, bsnet.gate.w.numpy()),
            **{f"weights_{name}": shares.get(name) for name in ("fixed", "per_image", "joint")},
            "margin_mean": float(tf.reduce_mean(bsnet.margins(weights))) if shares else None,
            "error_correlation": analysis.error_correlation(errors),
            "loss_s": logs["loss_s"],
            "eta_loss_div": abs(bsnet.phase.eta * logs["loss_div"]),
            **{name: logs.get(name) for name in ("gradient_tails", "gradient_heads", "gradient_gates")},
        }

    def _add_row(self, row):
        earlier = pd.read_csv(self.table).to_dict("records") if os.path.exists(self.table) else []
        rows = pd.DataFrame([*(old for old in earlier if old["epoch"] < row["epoch"]), row])
        with files.naming_unwritable(os.path.dirname(self.table)):
            files.write(self.table, rows.to_csv(index=False, lineterminator="\n"))

    def _logit_std(self, attributes):
        logits = tf.matmul(attributes, self.model.class_attributes, transpose_b=True)
        return tf.reduce_mean(tf.math.reduce_std(logits, axis=1))
