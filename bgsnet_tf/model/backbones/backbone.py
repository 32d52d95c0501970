"""Backbones by name or file, cut into a frozen trunk and a trainable tail.

Letters: B images, K channels of the pooled output.
"""

import functools
import math
import os
import sys

import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.model.backbones import model_files
from bgsnet_tf.model.backbones.convolution import for_training

layers = tf.keras.layers

CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)
OWN_WIDTHS = {"small": 24, "tiny": 12}  # channels of the stem of a network that is built here
TAIL_CONVOLUTIONS = 9  # §2.3: "the last nine convolutional layers and the pooling layer as tails"


class Trunk(tf.keras.Model):
    """The shared layers: images (B, H, W, 3) in 0..255 to features (B, h, w, c).

    Where every reader of the cut tensor is a 1×1 convolution of stride s, only every s-th row and column is ever
    read; the trunk then returns those alone, and the tail's convolutions have stride 1: exact, and s² times smaller.
    """

    def __init__(self, graph, preprocess, stride, hold_batch_norm=False, **kwargs):
        super().__init__(dtype="float32", **kwargs)  # only the graph inside computes in the global precision
        self.graph, self.preprocess, self.stride, self.hold_batch_norm = graph, preprocess, stride, hold_batch_norm

    def call(self, images, training=False):
        features = self.graph(self.preprocess(images), training=training and not self.hold_batch_norm)
        return features[:, :: self.stride, :: self.stride] if self.stride > 1 else features


class Tail(tf.keras.Model):
    """The layers after the trunk, with the pooling: features (B, h, w, c) to the visual embedding e (B, K) in float32.

    Args:
      graph: those layers.
      standardization: a `layers.Standardization` of e, or None; copies share it.
      hold_batch_norm: batch norms keep the statistics they came with: in training too the graph computes as at inference.
    """

    def __init__(self, graph, standardization=None, hold_batch_norm=False, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.graph, self.standardization, self.hold_batch_norm = graph, standardization, hold_batch_norm

    def call(self, features, training=False):
        embeddings = tf.cast(self.graph(features, training=training and not self.hold_batch_norm), tf.float32)
        return embeddings if self.standardization is None else self.standardization(embeddings)

    def copy(self, name=None):
        """A trainable tail of the same architecture that starts from this one's weights."""
        graph = tf.keras.models.clone_model(self.graph, clone_function=for_training)
        graph.trainable = True
        graph.set_weights(self.graph.get_weights())
        return Tail(graph, self.standardization, self.hold_batch_norm, name=name)


def build(name, weights, image_size, preprocessing="auto", split_layer="", sync_batch_norm=False, trusted=False, tail_share=0.0):
    """The (Trunk, Tail) of a backbone.

    Args:
      name: of keras.applications, "small", "tiny", or the path of a Keras model file that ends in a feature map or in
        pooled features.
      weights: "imagenet", "none", or the path of a weights file for a named backbone; not used with a model file.
      image_size: height and width of the input.
      preprocessing: "auto" for a named backbone's own; else "caffe", "tf", "torch" or "none".
      split_layer: name of the trunk's last layer; "" for the last one that leaves the tail its share.
      trusted: whether a model file may hold code.
      sync_batch_norm: batch norms in training take the statistics of all replicas' images of a `tf.distribute` strategy,
        not of their own replica's.
      tail_share: least share of the backbone's convolutions in the tail; 0 for the paper's nine convolutions.

    Raises:
      UserError: unknown name, unreadable file, weights that cannot be had or do not fit, no such cut.
    """
    shape = (image_size, image_size, 3)
    if name in OWN_WIDTHS:
        backbone, own = _small(shape, name), "tf"
        _load_weights(backbone, name, weights)
    elif os.path.exists(name):
        if preprocessing == "auto":
            raise UserError(f"--preprocessing is missing: {name} does not say how its pixels are scaled; give caffe, tf, torch or none")
        backbone, own = _from_file(name, shape, trusted), None
    else:
        backbone, own = _from_applications(name, weights, shape)
    if sync_batch_norm:
        backbone = with_synchronized_batch_norms(backbone)
    return split(backbone, _preprocessor(own if preprocessing == "auto" else preprocessing), split_layer, tail_share)


def identity(width):
    """The (Trunk, Tail) that hand features (B, K = `width`) on as they are, where there are no images."""
    inputs = tf.keras.Input([width])
    graphs = [tf.keras.Model(inputs, layers.Activation("linear")(inputs)) for _ in range(2)]
    return Trunk(graphs[0], tf.identity, 1, name="trunk"), Tail(graphs[1], name="tail")


def split(backbone, preprocess, split_layer="", tail_share=0.0):
    """Cuts a functional model (images in, pooled features (B, K) out) into (Trunk, Tail)."""
    cut = _find_layer(backbone, split_layer) if split_layer else _last_cut(backbone, tail_share)
    features = cut.get_output_at(-1)  # where another model shares the layer, in this one
    trunk = tf.keras.Model(backbone.input, features)
    tail = tf.keras.Model(features, backbone.output)
    stride = _common_stride(_readers(backbone, cut))
    if stride > 1:
        readers = {layer.name for layer in _readers(backbone, cut)}
        weights = tail.get_weights()

        def unstrided(layer):
            config = layer.get_config()
            return layer.from_config({**config, "strides": 1} if layer.name in readers else config)

        height, width, channels = features.shape[1:]
        inputs = tf.keras.Input([height and -(-height // stride), width and -(-width // stride), channels])
        tail = tf.keras.models.clone_model(tail, inputs, clone_function=unstrided)
        tail.set_weights(weights)
    return Trunk(trunk, preprocess, stride, name="trunk"), Tail(tail, name="tail")


class SyncBatchNormalization(layers.BatchNormalization):
    """Batch norm over the images of all replicas, which keeps, as Keras's fused one does, the unbiased variance.

    Keras's own with `synchronized=True` keeps the biased variance, so that a network would come out of training on two
    devices other than on one; and its configuration forgets that it was synchronised.
    """

    def __init__(self, **config):
        super().__init__(**{**config, "synchronized": True})

    def call(self, inputs, training=None, mask=None):
        before = tf.identity(self.moving_variance)
        outputs = super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            rows = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32) * tf.distribute.get_strategy().num_replicas_in_sync
            added = self.moving_variance - self.momentum * before  # of the biased variance: (rows - 1) / rows of the unbiased one
            self.moving_variance.assign_add(added / (rows - 1))
        return outputs


def with_synchronized_batch_norms(backbone):
    """The Keras model with every batch norm one over all replicas. It shares the other layers: new ones would draw random weights."""

    def synchronized(layer):
        if isinstance(layer, tf.keras.Model):
            return with_synchronized_batch_norms(layer)
        return SyncBatchNormalization.from_config(layer.get_config()) if type(layer) is layers.BatchNormalization else layer

    clone = tf.keras.models.clone_model(backbone, clone_function=synchronized)
    clone.set_weights(backbone.get_weights())
    return clone


def _find_layer(backbone, name):
    cuts = _cuts(backbone)
    for layer in cuts:
        if layer.name == name:
            return layer
    known = {layer.name for layer in backbone.layers}
    problem = "is not a point that all paths pass" if name in known else "is no layer of the backbone"
    raise UserError(f"--split_layer={name} {problem}; possible ones near the end: {', '.join(c.name for c in cuts[-12:])}")


def _last_cut(backbone, tail_share):
    """The last cut that leaves the tail its share of the convolutions."""

    def convolutions(parts):
        return sum(isinstance(layer, CONVOLUTIONS) for layer in parts)

    needed = math.ceil(tail_share * convolutions(backbone.layers)) if tail_share else TAIL_CONVOLUTIONS
    for layer in reversed(_cuts(backbone)):
        if convolutions(backbone.layers[backbone.layers.index(layer) + 1 :]) >= needed:
            return layer
    raise UserError(f"backbone {backbone.name} has no cut with {needed} convolutions after it; name one with --split_layer")


def _cuts(backbone):
    """Layers that every path from input to output passes, first to last.

    Keras lists the layers of a functional model in topological order, so such a layer is one after which no earlier
    layer is read any more.
    """
    position = {layer: i for i, layer in enumerate(backbone.layers)}
    last_reader = [max([position[reader] for reader in _readers(backbone, layer)], default=0) for layer in backbone.layers]
    cuts, open_until = [], 0
    for i, layer in enumerate(backbone.layers[:-1]):
        if open_until <= i and not isinstance(layer, layers.InputLayer):
            cuts.append(layer)
        open_until = max(open_until, last_reader[i])
    return cuts


def _readers(backbone, layer):
    inside = set(backbone.layers)
    return [node.outbound_layer for node in layer.outbound_nodes if node.outbound_layer in inside]


def _common_stride(readers):
    def stride(layer):
        plain = isinstance(layer, layers.Conv2D) and layer.kernel_size == (1, 1) and layer.strides[0] == layer.strides[1]
        return layer.strides[0] if plain else 1

    strides = {stride(layer) for layer in readers}
    return strides.pop() if len(strides) == 1 else 1


def _preprocessor(scaling):
    if callable(scaling):
        return scaling
    if scaling == "none":
        return tf.identity
    return functools.partial(tf.keras.applications.imagenet_utils.preprocess_input, data_format="channels_last", mode=scaling)


def _from_applications(name, weights, shape):
    factory = getattr(tf.keras.applications, name, None)
    if not isinstance(factory, type(build)):
        raise UserError(f"--backbone={name} is neither a model of keras.applications, nor 'small', nor a file")
    try:
        backbone = factory(weights="imagenet" if weights == "imagenet" else None, include_top=False, pooling="avg", input_shape=shape)
    except ValueError as error:
        raise UserError(f"--backbone={name} with --image_size={shape[0]}: {error}") from error
    except Exception as error:  # Keras raises a bare Exception for a failed download
        raise UserError(
            f"the ImageNet weights of {name} could not be downloaded; download Keras's '…_notop.h5' file on another machine "
            "and pass it as --backbone_weights=PATH, or use --backbone_weights=none"
        ) from error
    if weights != "imagenet":
        _load_weights(backbone, name, weights)
    return backbone, sys.modules[factory.__module__].preprocess_input


def _load_weights(backbone, name, weights):
    if weights == "none":
        return
    if not os.path.exists(weights):
        raise UserError(f"--backbone_weights={weights}: no such file for backbone {name} (imagenet, none, or a path)")
    try:
        backbone.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise UserError(f"--backbone_weights={weights} do not fit {name} without its top layer: {error}") from error


def _from_file(path, shape, trusted):
    backbone = model_files.load(path, trusted)
    if not getattr(backbone, "outputs", None):  # only a functional model knows them before it is called
        raise UserError(f"--backbone={path} is not a functional Keras model, so it cannot be cut into trunk and tail")
    if backbone.input_shape[1:3] not in (shape[:2], (None, None)):
        backbone = _resized(backbone, path, shape)
    if len(backbone.output_shape) == 4:
        backbone = tf.keras.Model(backbone.input, layers.GlobalAveragePooling2D()(backbone.output), name=backbone.name)
    if len(backbone.output_shape) != 2:
        raise UserError(f"--backbone={path} must end in a feature map or in pooled features, not in shape {backbone.output_shape}")
    return backbone


def _resized(backbone, path, shape):
    """The same network for images of another shape, where its layers take them: convolutions and pooling do."""
    try:
        resized = tf.keras.models.clone_model(backbone, tf.keras.Input(shape))
        resized.set_weights(backbone.get_weights())
    except ValueError as error:
        height, width = backbone.input_shape[1:3]
        raise UserError(f"--backbone={path} takes images of {height}×{width} alone; give --image_size={height}") from error
    return resized


def _small(shape, name="small"):
    """The demo's residual network: 17 million multiply-adds at 64×64, K = 256, its last stage the nine-convolution tail.

    "tiny" has half its channels, and so K = 128. A block's output is named after its stage and number, for --split_layer.
    """
    inputs, stem = tf.keras.Input(shape), OWN_WIDTHS[name]
    outputs = _normalized_convolution(inputs, stem, 5, stride=2)
    outputs = layers.MaxPooling2D(3, 2, padding="same")(layers.ReLU()(outputs))
    for stage, (width, blocks, stride) in enumerate(((stem, 2, 1), (2 * stem, 2, 2), (8 * stem // 3, 3, 2)), start=1):
        for block in range(blocks):
            outputs = _bottleneck(outputs, width, stride if block == 0 else 1, block == 0, f"stage{stage}_block{block + 1}")
    return tf.keras.Model(inputs, layers.GlobalAveragePooling2D()(outputs), name=name)


def _bottleneck(inputs, width, stride, project, name):
    shortcut = _normalized_convolution(inputs, 4 * width, 1, stride) if project else inputs
    outputs = layers.ReLU()(_normalized_convolution(inputs, width, 1))
    outputs = layers.ReLU()(_normalized_convolution(outputs, width, 3, stride))
    outputs = _normalized_convolution(outputs, 4 * width, 1)
    return layers.ReLU(name=name)(layers.Add()([shortcut, outputs]))


def _normalized_convolution(inputs, channels, kernel, stride=1):
    outputs = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, kernel_initializer="he_normal")(inputs)
    return layers.BatchNormalization(momentum=0.9)(outputs)
