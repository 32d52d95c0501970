"""A trained network for inference alone: batch norms folded into the convolutions before them.

A batch norm at inference is a scale and a shift of every channel, so it can go into kernel and bias of the convolution
whose outputs it alone reads: exact but for rounding, and one pass over the feature map less. TensorFlow does not do it
by itself where the convolution has a bias, as those of Keras's ResNets have, or where weights are variables.
"""

import numpy as np
import tensorflow as tf

from bgsnet_tf.model.backbones import backbone
from bgsnet_tf.model.backbones.backbone import Tail, Trunk
from bgsnet_tf.model.bgsnet import BGSNet

layers = tf.keras.layers


def folded(bgsnet):
    """A copy of a `BGSNet` that infers the same with fewer layers; it cannot be trained. f_g, f_b, f_s and gates are shared."""
    trunk = bgsnet.trunk
    small_trunk = Trunk(folded_graph(trunk.graph), trunk.preprocess, trunk.stride, name=trunk.name)
    bsnet = bgsnet.bsnet
    if bsnet is not None:
        bsnet = bsnet.pruned(range(len(bsnet.tails)))
        bsnet.tails = [_folded_tail(tail) for tail in bsnet.tails]
    return BGSNet(small_trunk, _folded_tail(bgsnet.general_tail), bgsnet.general_predictor, bsnet)


def _folded_tail(tail):
    return Tail(folded_graph(tail.graph), tail.standardization, name=tail.name)


def folded_graph(graph):
    """A copy of a functional Keras model without the batch norms that can be folded."""
    weights = graph.get_weights()
    graph = tf.keras.models.clone_model(graph)  # its layers have one use each, in this graph
    graph.set_weights(weights)
    norms = {layer.name: norm for layer in graph.layers if (norm := _norm_after(graph, layer)) is not None}
    replaced = {norm.name for norm in norms.values()}

    def without_norm(layer):
        if layer.name in replaced:
            return layers.Activation("linear", dtype=layer.dtype_policy, name=layer.name)
        config = layer.get_config()
        return layer.from_config({**config, "use_bias": True} if layer.name in norms else config)

    copy = tf.keras.models.clone_model(graph, clone_function=without_norm)
    for layer in graph.layers:
        if layer.name in norms:
            copy.get_layer(layer.name).set_weights(_with_norm(layer, norms[layer.name]))
        elif layer.name not in replaced:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _norm_after(graph, layer):
    """The batch norm that alone reads the outputs of a linear convolution and no others; None where there is none."""
    known = isinstance(layer, backbone.CONVOLUTIONS) and not isinstance(layer, layers.Conv2DTranspose)
    if not known or layer.activation is not tf.keras.activations.linear or layer.output is graph.output:
        return None
    readers = [node.outbound_layer for node in layer.outbound_nodes]
    return readers[0] if len(readers) == 1 and isinstance(readers[0], layers.BatchNormalization) else None


def _with_norm(layer, norm):
    """[kernel, bias] of the convolution and its norm, in float64 until the end."""
    kernel, *bias = (w.astype(np.float64) for w in layer.get_weights())
    mean, variance = norm.moving_mean.numpy().astype(np.float64), norm.moving_variance.numpy()
    scale = 1 / np.sqrt(variance + norm.epsilon, dtype=np.float64)
    if norm.scale:
        scale = scale * norm.gamma.numpy()
    shift = ((bias[0] if bias else 0.0) - mean) * scale + (norm.beta.numpy() if norm.center else 0.0)
    depthwise = isinstance(layer, layers.DepthwiseConv2D)  # (height, width, inputs, multiplier); its outputs are the last two
    return [kernel * (scale.reshape(kernel.shape[2:]) if depthwise else scale), shift]
