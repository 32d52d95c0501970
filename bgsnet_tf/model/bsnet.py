"""BSNet, the special branch: N tails, balanced per instance and per data set (§2.3).

Letters: B images, N sub-modules, K channels, A attributes, C seen classes.
"""

import dataclasses
import types

import tensorflow as tf

from bgsnet_tf.model.grouped import GroupedModel
from bgsnet_tf.model.layers import AnnealedGate, FixedPartition, InstanceBalance, Predictor
from bgsnet_tf.model.losses import attribute_cross_entropy, diversity_loss, diversity_margin, sparsity_loss
from bgsnet_tf.model.schedules import gate_scale


@dataclasses.dataclass(frozen=True)
class BalancePhase:
    """What is active in one phase of BSNet's training.

    Attributes:
      name: for logs and checkpoints.
      epochs: its length; the gates' schedule spans it where they anneal.
      instance_balance: w^t is learnt and applied; else w^t = 1.
      eta: weight of L_div; 0 leaves it out.
      train_gates: w^d is learnt; else the gates stand.
      anneal: s follows Eq. 16 in this phase; else it is s_max.
    """

    name: str
    epochs: int
    instance_balance: bool
    eta: float
    train_gates: bool
    anneal: bool


def phases(style, eph_max, balance_epochs, instance_balance=True, eta=0.0, dataset_balance=True, gates_go_on=False):
    """The phases of a training style (§2.4).

    sequential: the gates alone over `eph_max` epochs, then instance balance with gates that stand, or that go on
    training at s_max where `gates_go_on`; parallel: both at once over `eph_max` epochs. Without instance balance there
    is no L_div; the number of epochs stays, so that variants differ in the method alone.
    """
    eta = eta if instance_balance else 0.0
    if style == "parallel":
        return [BalancePhase("parallel", eph_max, instance_balance, eta, dataset_balance, True)]
    return [
        BalancePhase("gates", eph_max, False, 0.0, dataset_balance, True),
        BalancePhase("instance", balance_epochs, instance_balance, eta, dataset_balance and gates_go_on, False),
    ]


class BSNet(GroupedModel):
    """Trunk features (B, h, w, c) and e_g (B, K) to attributes a_s (B, A).

    Args:
      tails: N tails.
      class_attributes: (C, A), φ of the seen classes.
      phase: the phase of training; a trained network is in its last.
      b_hidden, s_hidden: hidden units of every f_b and of f_s; 0 for one dense layer.
      dataset_balance: whether it has gates.
      annealing: gates follow Eq. 16; else s = 1 in training and inference (assumption: the paper's variant
        "without linear annealing" does not name its s).
      s_max, gate_init_std, gate_compensation: see `AnnealedGate`.
      control: what takes the place of w^t or of L_div in a control: "partition" or "sparsity"; "none" in the method itself.

    Attributes:
      gates_at_start: (N,) w^d before training, for those who watch; None where nobody has noted them.
    """

    def __init__(
        self,
        tails,
        class_attributes,
        phase,
        b_hidden=0,
        s_hidden=0,
        dataset_balance=True,
        annealing=True,
        s_max=5.0,
        gate_init_std=0.5,
        gate_compensation=False,
        control="none",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.tails, self.control, self.gates_at_start = tails, control, None
        self.balance = (FixedPartition if control == "partition" else InstanceBalance)(b_hidden, name="instance_balance")
        self.weight_loss = sparsity_loss if control == "sparsity" else diversity_loss
        self.gate = AnnealedGate(s_max, gate_init_std, gate_compensation, name="gate")
        self.predictor = Predictor(class_attributes.shape[1], s_hidden, name="f_s")
        self.class_attributes = tf.constant(class_attributes)
        self.phase = phase
        self.dataset_balance, self.annealing, self.s_max = dataset_balance, annealing, s_max
        self.epoch = tf.Variable(1, trainable=False, dtype=tf.int64, name="epoch")  # eph, from 1 within the phase
        self.loss_metrics = {name: tf.keras.metrics.Mean(name) for name in ("loss", "loss_s", "loss_div")}
        norms = {name: tf.keras.metrics.Mean(f"gradient_{name}") for name in ("tails", "heads", "gates")}
        self.gradient_norms = types.MappingProxyType(norms)  # no part of the network's own checkpoint: those of older runs have none
        self.accuracy = tf.keras.metrics.SparseCategoricalAccuracy("accuracy")

    def parameter_groups(self):
        groups = {"tails": [w for tail in self.tails for w in tail.trainable_weights], "heads": list(self.predictor.trainable_weights)}
        if self.phase.instance_balance:
            groups["heads"] += self.balance.trainable_weights
        if self.phase.train_gates:
            groups["gates"] = self.gate.trainable_weights
        return groups

    def enter(self, phase):
        """Switches to another phase of training; `compile` must follow."""
        self.phase = phase

    def scale(self, training=False):
        """s of Eq. 15: annealed in the phase of the gates, s_max ever after (§2.4), 1 without annealing."""
        if not self.annealing:
            return 1.0
        if training and self.phase.anneal:
            return gate_scale(tf.cast(self.epoch, tf.float32), self.phase.epochs, self.s_max)
        return self.s_max

    def gates(self, scale=None):
        """(N,) gates at sharpness s = `scale`; by default as at inference."""
        return self.gate.gates(self.scale() if scale is None else scale) if self.dataset_balance else tf.ones([len(self.tails)])

    def pruned(self, kept):
        """A copy with the sub-modules `kept` (indices) alone: exactly this network with the gates of all others at 0.

        A gate is a sigmoid and never quite 0, so this network's own attributes differ by what the others still let
        through. The tails are shared with the copy.
        """
        small = BSNet(
            [self.tails[i] for i in kept],
            self.class_attributes,
            self.phase,
            self.balance.hidden,
            self.predictor.widths[0] if len(self.predictor.widths) > 1 else 0,
            self.dataset_balance,
            self.annealing,
            self.s_max,
            control=self.control,
        )
        graph = self.tails[0].graph
        small((tf.zeros([1, *graph.input_shape[1:]]), tf.zeros([1, graph.output_shape[-1]])))
        for weights, of_small in zip(self.balance.weights + self.gate.weights, small.balance.weights + small.gate.weights):
            of_small.assign(tf.gather(weights, kept))
        kernel, *others = self.predictor.weights
        by_module = tf.reshape(kernel, [len(self.tails), -1, kernel.shape[1]])
        small.predictor.set_weights([tf.reshape(tf.gather(by_module, kept), [-1, kernel.shape[1]]), *others])
        return small

    def special_embeddings(self, features, training=False):
        """e_l (B, N, K) of features of any floating-point type."""
        features = tf.cast(features, tf.float32)
        return tf.stack([tail(features, training=training) for tail in self.tails], axis=1)

    def instance_weights(self, special, general):
        """w^t (B, N, K) of e_l (B, N, K) and e_g (B, K); all ones without instance balance."""
        weights = self.balance([special, general])
        return weights if self.phase.instance_balance else tf.ones_like(weights)

    def balanced(self, features, general, training=False):
        """w^t (B, N, K), all ones without instance balance, and the embeddings of the N tails after both balances (B, N, K)."""
        special = self.special_embeddings(features, training)
        weights = self.instance_weights(special, general)
        balanced = weights * special
        if self.dataset_balance:
            balanced = self.gate(balanced, scale=self.scale(training))
        return weights, balanced

    def attributes(self, balanced):
        """a_s (B, …, A) of balanced embeddings (B, …, N, K)."""
        return self.predictor(tf.reshape(balanced, [-1, *balanced.shape[1:-2], balanced.shape[-2] * balanced.shape[-1]]))

    def attributes_alone(self, balanced):
        """a_s (B, N, A) of each sub-module without all others, from balanced embeddings (B, N, K)."""
        modules = balanced.shape[1]
        return self.attributes(balanced[:, tf.newaxis] * tf.eye(modules)[..., tf.newaxis])

    def weights_and_attributes(self, features, general, training=False):
        """w^t (B, N, K), all ones without instance balance, and a_s (B, A)."""
        weights, balanced = self.balanced(features, general, training)
        return weights, self.attributes(balanced)

    def call(self, inputs, training=False):
        features, general = inputs
        return self.weights_and_attributes(features, general, training)[1]

    def train_step(self, data):
        (features, general), labels = data
        with tf.GradientTape() as tape:
            weights, attributes = self.weights_and_attributes(features, general, training=True)
            loss_s = attribute_cross_entropy(attributes, labels, self.class_attributes)
            loss_div = self.weight_loss(weights, self.epoch) if self.phase.eta else tf.zeros([])
            loss = loss_s + self.phase.eta * loss_div  # Eq. 17
        norms = self.apply_gradients(tape, loss)
        for name, value in (("loss", loss), ("loss_s", loss_s), ("loss_div", loss_div)):
            self.loss_metrics[name].update_state(value)
        for name, norm in norms.items():
            self.gradient_norms[name].update_state(norm)
        self.accuracy.update_state(labels, tf.matmul(attributes, self.class_attributes, transpose_b=True))
        idle = [metric for name, metric in self.gradient_norms.items() if name not in norms]
        return {metric.name: metric.result() for metric in self.metrics if metric not in idle}

    def margins(self, weights):
        """mrg (B, K) of instance weights (B, N, K) at the current epoch."""
        return diversity_margin(weights, self.epoch)
