"""Maps over images, against what they must be by hand."""

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.evaluation.heat_maps import AGAINST, FOR, STRONGEST, overlay, upsampled


@pytest.mark.parametrize("height, width", [(8, 8), (56, 32), (3, 7)])
def test_a_map_is_resized_as_tensorflow_does(height, width):
    heat = np.random.default_rng(0).normal(size=(4, 5))
    expected = tf.image.resize(heat[..., np.newaxis], [height, width]).numpy()[..., 0]
    np.testing.assert_allclose(upsampled(heat, height, width), expected, atol=1e-5)


def test_an_overlay_has_the_colour_of_the_sign_and_the_strength_of_the_magnitude():
    image = np.full([3, 3, 3], 100, np.uint8)
    heat = np.array([[2.0, -2.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
    over = overlay(image, heat)
    np.testing.assert_allclose(over[0, 0], 100 + STRONGEST * (FOR - 100), atol=0.51)
    np.testing.assert_allclose(over[0, 1], 100 + STRONGEST * (AGAINST - 100), atol=0.51)
    np.testing.assert_allclose(over[1, 0], 100 + STRONGEST / 2 * (FOR - 100), atol=0.51)
    np.testing.assert_array_equal(over[2], image[2])
    np.testing.assert_array_equal(overlay(image, heat, limit=1.0)[1, 0], over[0, 0])
    np.testing.assert_array_equal(overlay(image, np.zeros([1, 1])), image)
