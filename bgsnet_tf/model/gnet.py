"""GNet, the general branch: supervised fine-tuning, then episodic meta-learning of its predictor f_g (§2.2).

Letters: B images, C seen classes, A attributes, K channels, T tasks.
"""

import tensorflow as tf

from bgsnet_tf.model.grouped import GroupedModel
from bgsnet_tf.model.losses import attribute_cross_entropy


class SupervisedGNet(GroupedModel):
    """Backbone and f_g under Eq. 1: images (B, H, W, 3) to attributes a_g (B, A).

    Args:
      trunk, tail: the two parts of the backbone.
      predictor: f_g.
      class_attributes: (C, A), φ of the seen classes.
    """

    def __init__(self, trunk, tail, predictor, class_attributes, **kwargs):
        super().__init__(**kwargs)
        self.trunk, self.tail, self.predictor = trunk, tail, predictor
        self.class_attributes = tf.constant(class_attributes)
        self.train_backbone = True
        self.loss_metric = tf.keras.metrics.Mean("loss")
        self.accuracy = tf.keras.metrics.SparseCategoricalAccuracy("accuracy")

    def parameter_groups(self):
        groups = {"heads": self.predictor.trainable_weights}
        backbone = self.trunk.trainable_weights + self.tail.trainable_weights
        if self.train_backbone and backbone:
            groups["backbone"] = backbone
        return groups

    def call(self, images, training=False):
        features = self.trunk(images, training=training and self.train_backbone)
        return self.predictor(self.tail(features, training=training and self.train_backbone))

    def embed(self, images):
        """Trunk features (B, h, w, c) and e_g (B, K) of images, at inference."""
        features = self.trunk(images, training=False)
        return features, self.tail(features, training=False)

    def train_step(self, data):
        images, labels = data
        with tf.GradientTape() as tape:
            attributes = self(images, training=True)
            loss = attribute_cross_entropy(attributes, labels, self.class_attributes)
        self.apply_gradients(tape, loss)
        self.loss_metric.update_state(loss)
        self.accuracy.update_state(labels, tf.matmul(attributes, self.class_attributes, transpose_b=True))
        return {metric.name: metric.result() for metric in self.metrics}


class MetaGNet(GroupedModel):
    """f_g under Eqs. 2-3, on visual embeddings that never change again: e_g (B, K) to a_g (B, A).

    A batch is a set of tasks, a tensor axis and no loop. The virtual parameters θ' of a task are never formed: the
    gradient of a kernel is Xᵀ G, of the dense layer's n training inputs X (n, in) and the gradient G (n, out) of its
    outputs, so validation inputs V get V θ' = V θ - α (V Xᵀ) G. With n far below in, that is exact and smaller.

    Args:
      predictor: f_g, built.
      embeddings: (rows, K) e_g of all training views, from which tasks gather.
      class_attributes: (C, A), φ of the seen classes.
      inner_lr: α of Eq. 2.
      first_order: treat the inner gradient as a constant.
      softmax_over_task: a task's softmax runs over its own classes instead of all seen ones.
    """

    def __init__(self, predictor, embeddings, class_attributes, inner_lr, first_order=False, softmax_over_task=False, **kwargs):
        super().__init__(**kwargs)
        self.predictor = predictor
        self.embeddings = tf.Variable(embeddings, trainable=False)  # so that every device has its own
        self.class_attributes = tf.constant(class_attributes)
        self.inner_lr, self.first_order, self.softmax_over_task = inner_lr, first_order, softmax_over_task
        self.loss_metric = tf.keras.metrics.Mean("loss")
        self.support_loss = tf.keras.metrics.Mean("support_loss")

    def parameter_groups(self):
        return {"heads": self.predictor.trainable_weights}

    def call(self, embeddings, training=False):
        return self.predictor(embeddings)

    def train_step(self, episodes):
        tasks = episodes.query_rows.shape[0] * tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            support_loss, query_loss = self.task_losses(episodes)
            loss = query_loss * tasks  # Eq. 3 sums over tasks
        self.apply_gradients(tape, loss)
        self.loss_metric.update_state(query_loss)
        self.support_loss.update_state(support_loss)
        return {metric.name: metric.result() for metric in self.metrics}

    def task_losses(self, episodes):
        """Training loss at θ, and validation loss at the virtual θ' (Eqs. 2-3), mean over tasks.

        Args:
          episodes: a `data.episodes.Episodes` of T tasks.

        Returns:
          Two scalars.
        """
        tasks = episodes.support_rows.shape[0]
        layers = []  # of every dense layer: its training inputs X, and zeros that are added to its outputs and get G

        def watched(i, inputs):
            zeros = tf.zeros([inputs.shape[0], self.predictor.widths[i]])
            inner.watch(zeros)
            layers.append((inputs, zeros))
            return zeros

        with tf.GradientTape() as inner:
            support_loss = self._loss(episodes.support_rows, episodes.support_classes, watched)
            each_task = support_loss * tasks  # so that task t's parameters get the gradient of its own mean loss
        gradients = inner.gradient(each_task, [zeros for _, zeros in layers])

        def virtual(i, inputs):
            inputs, trained, gradient = (tf.reshape(x, [tasks, -1, x.shape[1]]) for x in (inputs, layers[i][0], gradients[i]))
            if self.first_order:
                trained, gradient = tf.stop_gradient(trained), tf.stop_gradient(gradient)
            similarity = tf.matmul(inputs, trained, transpose_b=True) + 1  # 1 for the bias
            return -self.inner_lr * tf.reshape(tf.matmul(similarity, gradient), [-1, gradient.shape[2]])

        return support_loss, self._loss(episodes.query_rows, episodes.query_classes, virtual)

    def _loss(self, rows, classes, change):
        """Eq. 1 of `rows` (T, way, shot) under f_g with `change`, see `Predictor.call`."""
        tasks, way, shot = rows.shape
        attributes = self.predictor(tf.gather(self.embeddings, tf.reshape(rows, [-1])), change=change)
        if not self.softmax_over_task:
            return attribute_cross_entropy(attributes, tf.repeat(tf.reshape(classes, [-1]), shot), self.class_attributes)
        labels = tf.broadcast_to(tf.repeat(tf.range(way), shot), [tasks, way * shot])
        attributes = tf.reshape(attributes, [*labels.shape, attributes.shape[1]])
        return attribute_cross_entropy(attributes, labels, tf.gather(self.class_attributes, classes))
