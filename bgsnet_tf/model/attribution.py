"""Where in the image an attribute was seen: exact heat maps of BGSNet's attributes.

Behind average pooling, and with instance weights and gates as they are at this image, an attribute is a sum over the positions
of a tail's last feature map plus a constant: class activation maps (Zhou et al. 2016, "Learning Deep Features for
Discriminative Localization") of attributes. A hidden ReLU layer of f_g or f_s is linear on the units that this image activates.
Letters: B images, N sub-modules, K channels, A attributes, h and w the last map's height and width.
"""

from typing import NamedTuple

import tensorflow as tf

from bgsnet_tf.errors import UserError

layers = tf.keras.layers

# What may stand behind the pooling: at inference these scale and shift each channel, or only arrange them.
CHANNEL_WISE = (layers.BatchNormalization, layers.Normalization, layers.Dropout, layers.Flatten, layers.Reshape)


class Decomposition(NamedTuple):
    """Values (…, A) as the sum over h and w of `maps` (…, h, w, A), plus `constants` (…, A)."""

    maps: tf.Tensor
    constants: tf.Tensor


class Attribution:
    """Images (B, H, W, 3) in 0..255 to the decompositions of their attributes.

    Args:
      bgsnet: a trained `BGSNet`; its weights are shared.

    Raises:
      UserError: where a tail does not end in average pooling, so that its attributes belong to no position.
    """

    def __init__(self, bgsnet):
        self.bgsnet = bgsnet
        self.general_tail = _PooledTail(bgsnet.general_tail)
        self.special_tails = [] if bgsnet.bsnet is None else [_PooledTail(tail) for tail in bgsnet.bsnet.tails]

    def __call__(self, images):
        """Dict of `Decomposition`: `fused`, and where the branch is used `general`, `special` and `submodules` (B, N, …).

        The special branch is the sum of its sub-modules and of biases that belong to none of them.
        """
        features = self.bgsnet.trunk(images, training=False)
        embeddings, general = self.general_tail(features)
        branches, submodules = {}, {}
        if self.bgsnet.general_predictor is not None:
            one = Decomposition(*(part[:, tf.newaxis] for part in general))
            branches["general"], _ = _through(self.bgsnet.general_predictor, embeddings, one)
        if self.special_tails:
            branches["special"], submodules["submodules"] = self._special(features, embeddings)
        fused = Decomposition(*(self.bgsnet.combined(dict(zip(branches, parts))) for parts in zip(*branches.values())))
        return {"fused": fused, **branches, **submodules}

    def _special(self, features, general):
        """`Decomposition` of a_s, and of what each sub-module gives to it."""
        bsnet = self.bgsnet.bsnet
        special, decompositions = zip(*(tail(features) for tail in self.special_tails))
        special = tf.stack(special, axis=1)
        factors = bsnet.instance_weights(special, general) * bsnet.gates()[:, tf.newaxis]  # (B, N, K)
        maps, constants = (tf.stack(parts, axis=1) for parts in zip(*decompositions))
        balanced = Decomposition(maps * factors[:, :, tf.newaxis, tf.newaxis], constants * factors)
        embeddings = tf.reshape(factors * special, [-1, factors.shape[1] * factors.shape[2]])
        return _through(bsnet.predictor, embeddings, balanced)


class _PooledTail:
    """A tail as its last feature map: trunk features (B, h', w', c) to e (B, K) and its `Decomposition` with K for A."""

    def __init__(self, tail):
        last_map, pooled, after = _pooling(tail.graph.output)
        self.network = tf.keras.Model(tail.graph.input, [tail.graph.output, last_map])
        self.last = [layer for layer in tail.layers if layer is not tail.graph]  # what a tail itself does behind its graph
        zeros, ones = (tf.fill([1, *pooled.shape[1:]], value) for value in (0.0, 1.0))
        for layer in after:
            zeros, ones = layer(zeros), layer(ones)
        self.shift, one = (self._embeddings(tf.reshape(end, [1, -1]))[0] for end in (zeros, ones))
        self.scale = one - self.shift

    def with_last_map(self, features):
        """e (B, K), and the last feature map (B, h, w, K) that it is pooled from."""
        outputs, maps = self.network(features, training=False)
        return self._embeddings(outputs), tf.cast(maps, tf.float32)

    def __call__(self, features):
        embeddings, maps = self.with_last_map(features)
        positions = maps.shape[1] * maps.shape[2]
        return embeddings, Decomposition(maps * (self.scale / positions), tf.broadcast_to(self.shift, tf.shape(embeddings)))

    def _embeddings(self, outputs):
        embeddings = tf.cast(outputs, tf.float32)
        for layer in self.last:
            embeddings = layer(embeddings)
        return embeddings


def _pooling(output):
    """Input and output of the average pooling that ends in `output`, and the layers behind it, first to last."""
    after = []
    while True:
        node, layer = output.node, output.node.layer
        if isinstance(layer, layers.GlobalAveragePooling2D):
            return node.input_tensors, output, after[::-1]
        linear = isinstance(layer, layers.Activation) and layer.activation is tf.keras.activations.linear
        if not (linear or isinstance(layer, CHANNEL_WISE)):
            raise UserError(
                f"there are no heat maps of this backbone: its layer {layer.name} ({type(layer).__name__}) stands where average "
                "pooling should, behind which only layers that scale and shift each channel may follow"
            )
        after.append(layer)
        output = node.input_tensors


def _through(predictor, embeddings, parts):
    """`Decomposition` of f(embeddings), and of what each of N parts gives to it.

    Args:
      predictor: f, a `Predictor`.
      embeddings: (B, N·K).
      parts: `Decomposition` (B, N, …) with K for A, of which the embeddings are made, one after another.
    """
    maps, constants = parts
    first, *others = zip(predictor.weights[::2], predictor.weights[1::2])
    kernel = tf.reshape(first[0], [*constants.shape[1:], -1])
    maps, constants = tf.einsum("bnhwk,nka->bnhwa", maps, kernel), tf.einsum("bnk,nka->bna", constants, kernel)
    biases, outputs = first[1], tf.matmul(embeddings, first[0]) + first[1]
    for kernel, bias in others:
        active = tf.cast(outputs > 0, tf.float32)
        maps = tf.matmul(maps * active[:, tf.newaxis, tf.newaxis, tf.newaxis], kernel)
        constants = tf.matmul(constants * active[:, tf.newaxis], kernel)
        biases = tf.matmul(biases * active, kernel) + bias
        outputs = tf.matmul(outputs * active, kernel) + bias
    return Decomposition(tf.reduce_sum(maps, axis=1), tf.reduce_sum(constants, axis=1) + biases), Decomposition(maps, constants)
