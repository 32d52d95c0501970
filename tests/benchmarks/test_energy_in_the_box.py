"""What the figures of heat maps in boxes rest on."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.energy_in_the_box import box_mask, grad_cam, share_inside
from bgsnet_tf.data.images import Views
from bgsnet_tf.model.attribution import Attribution
from bgsnet_tf.model.backbones import backbone
from tests.model.test_attribution import images, network


@pytest.mark.parametrize("shape, box", [((90, 120), (30, 20, 75, 60)), ((120, 90), (0, 0, 40, 120)), ((64, 64), (60, 60, 64, 64))])
def test_a_box_lies_in_the_view_where_its_pixels_do(shape, box):
    views = Views(size=56, resize=64)
    image = np.zeros([*shape, 3], np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    seen = views(tf.constant(image)).numpy()[..., 0]
    mask = box_mask(np.array(box, float), shape, views)
    sure = (seen < 50) | (seen > 205)  # the view blurs the edge
    np.testing.assert_array_equal(mask[sure], seen[sure] > 128)
    assert sure.mean() > 0.9


def test_the_share_counts_positive_evidence_alone():
    mask = np.zeros([8, 8], bool)
    mask[:, :4] = True
    assert share_inside(np.array([[1.0, -5.0]]), mask) > 0.9
    assert share_inside(np.array([[-5.0, 1.0]]), mask) < 0.1
    assert share_inside(np.ones([2, 2]), mask) == pytest.approx(0.5)
    assert np.isnan(share_inside(-np.ones([2, 2]), mask))


def test_grad_cam_of_a_linear_network_is_the_positive_part_of_its_map():
    bgsnet = network(*backbone.build("small", "none", 64), 64, hidden=0)
    bgsnet.bsnet = None
    attribution, image = Attribution(bgsnet), images(64)[0]
    direction = np.linspace(-1, 1, 7).astype(np.float32)
    cam = grad_cam(bgsnet, attribution, tf.constant(image), direction)
    heat = np.maximum((attribution(image[np.newaxis])["fused"].maps[0].numpy() @ direction), 0)
    np.testing.assert_allclose(cam / cam.max(), heat / heat.max(), atol=1e-5)
