"""All sides of the step's comparison do the same work."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import bsnet_step
from benchmarks.bsnet_step import Shapes
from bgsnet_tf.model.backbones.backbone import build

SHAPES = Shapes(submodules=2, batch=2)


def test_multiply_adds_of_a_tail_are_the_graphs():
    convolutions = [layer for layer in bsnet_step.resnet101_tail(Shapes()).graph.layers if isinstance(layer, tf.keras.layers.Conv2D)]
    forward = sum(np.prod(layer.kernel.shape) * np.prod(layer.output_shape[1:3]) for layer in convolutions)
    without_gradient = sum(np.prod(layer.kernel.shape) * 49 for layer in convolutions if layer.kernel.shape[2] == 1024)
    heads = bsnet_step.multiply_adds(Shapes(1, 1)) - (3 * forward - without_gradient)
    assert 0 < heads < 0.02 * forward


@pytest.mark.slow
def test_the_tail_is_keras_resnet101s():
    def kernels(tail):
        return sorted(tuple(w.shape) for w in tail.weights)

    assert kernels(bsnet_step.resnet101_tail(Shapes())) == kernels(build("ResNet101", "none", 224)[1])


@pytest.mark.slow
def test_every_form_of_the_step_computes_the_same_losses():
    losses = []
    for tails in ("ours", "keras", "stacked"):
        step = bsnet_step.prepare(SHAPES, tails)
        losses.append([step() for _ in range(2)])
    np.testing.assert_allclose(losses[1:], [losses[0]] * 2, rtol=1e-4)
