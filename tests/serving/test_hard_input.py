"""What clients send by mistake or on purpose: the documented answer, or an error for that request alone."""

import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import config_pb2

from bgsnet_tf.data.decoding import decode
from tests.data.hard_images import DAMAGED, PIXELS, REFUSED, RGB, encoded


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(os.path.join(exported.directory, "1")).signatures


@pytest.fixture
def serve(signatures, exported):
    """The default signature on a list of files; checks afterwards that the model still answers."""

    def call(*files):
        return {name: output.numpy() for name, output in signatures["serving_default"](image_bytes=tf.constant(files)).items()}

    yield call
    np.testing.assert_allclose(call(*exported.image_bytes)["scores"], exported.expected_scores(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_image_is_refused_with_its_number(serve, exported, name):
    contents, message = REFUSED[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"image 1 {message}"):
        serve(exported.image_bytes[0], contents)


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_image_is_refused(serve, exported, name):
    contents, message = DAMAGED[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        serve(exported.image_bytes[0], contents)


READ = {
    "1×1": (encoded(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG"), np.full((1, 1, 3), (9, 8, 7), np.uint8)),
    "grey PNG": (encoded(RGB.convert("L"), "PNG"), np.repeat(np.asarray(RGB.convert("L"))[:, :, None], 3, axis=2)),
    "PNG with alpha": (encoded(Image.fromarray(np.dstack([PIXELS, PIXELS[:, :, 0]])), "PNG"), PIXELS),
    "16-bit PNG": (
        encoded(Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257), "PNG"),
        np.repeat(PIXELS[:, :, :1], 3, axis=2),
    ),
    "palette PNG": (encoded(RGB.convert("P"), "PNG"), np.asarray(RGB.convert("P").convert("RGB"))),
}


@pytest.mark.parametrize("name", READ)
def test_unusual_images_mean_these_pixels(serve, signatures, name):
    contents, pixels = READ[name]
    expected = signatures["images"](images=tf.constant(pixels[None]))["scores"]
    np.testing.assert_allclose(serve(contents)["scores"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode, tolerance", [("CMYK", 3.0), ("L", 1.0)])
def test_other_jpeg_colours_are_converted(mode, tolerance):
    smooth = Image.fromarray(np.linspace(40, 200, 40 * 50 * 3).reshape(40, 50, 3).astype(np.uint8)).convert(mode)
    decoded = decode(encoded(smooth, "JPEG", quality=100)).numpy().astype(float)
    assert np.abs(decoded - np.asarray(smooth.convert("RGB"))).mean() < tolerance


def test_exif_rotation_is_not_applied(serve):
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright
    np.testing.assert_array_equal(serve(encoded(RGB, "JPEG", exif=exif))["scores"], serve(encoded(RGB, "JPEG"))["scores"])


def test_a_bomb_is_refused_before_memory_is_taken(serve):
    resource = pytest.importorskip("resource", reason="no resource module on this system")
    bomb = encoded(Image.new("L", (12000, 12000)), "PNG")  # a whole file: 140 kB that decode to 432 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(tf.errors.InvalidArgumentError, match="12000×12000"):
        serve(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_an_empty_batch_gives_empty_outputs(serve, signatures, exported):
    none = tf.constant([], tf.string)
    outputs = signatures["serving_default"](image_bytes=none)
    assert outputs["scores"].shape == (0, 6) and outputs["class_name"].shape == (0,)
    assert signatures["images"](images=tf.zeros([0, 5, 5, 3], tf.uint8))["scores"].shape == (0, 6)
    assert signatures["zero_shot"](image_bytes=none, class_attributes=tf.zeros([0, 3, 4]))["scores"].shape == (0, 3)


BAD_ATTRIBUTES = {
    "NaN": (np.array([[[1, 2, np.nan, 3]]], np.float32), "NaN or infinity"),
    "infinity": (np.array([[[1, 2, np.inf, 3]]], np.float32), "NaN or infinity"),
    "zeros": (np.array([[[1, 2, 3, 4], [0, 0, 0, 0]]], np.float32), "no direction"),
    "no class": (np.zeros((1, 0, 4), np.float32), "hold no class"),
    "two for one image": (np.ones((2, 3, 4), np.float32), "differ in their first dimension"),
}


@pytest.mark.parametrize("name", BAD_ATTRIBUTES)
def test_bad_class_attributes_are_refused(serve, signatures, exported, name):
    attributes, message = BAD_ATTRIBUTES[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["zero_shot"](image_bytes=tf.constant(exported.image_bytes[:1]), class_attributes=tf.constant(attributes))


def test_class_attributes_of_another_width_are_refused_by_the_graph_itself(exported):
    """A server feeds the graph without Python's check of shapes, so this test does too."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], os.path.join(exported.directory, "1"))
        signature = meta_graph.signature_def["zero_shot"]
        feeds = [signature.inputs[name].name for name in ("image_bytes", "class_attributes")]
        options = config_pb2.CallableOptions(feed=feeds, fetch=[signature.outputs["scores"].name])
        call = session._make_callable_from_options(options)
        files = np.array(exported.image_bytes[:2], object)
        assert call(files, np.ones((2, 3, 4), np.float32))[0].shape == (2, 3)
        for width in (1, 3, 5):
            with pytest.raises(tf.errors.InvalidArgumentError):
                call(files, np.ones((2, 3, width), np.float32))


@pytest.mark.parametrize("classes", [1, 10_000])
def test_any_number_of_classes(serve, signatures, exported, classes):
    attributes = np.random.default_rng(0).uniform(0.1, 1, (2, classes, 4)).astype(np.float32)
    outputs = signatures["zero_shot"](image_bytes=tf.constant(exported.image_bytes[:2]), class_attributes=attributes)
    assert outputs["scores"].shape == (2, classes) and np.all(np.isfinite(outputs["scores"]))


def test_an_image_in_pixels_that_would_grow_without_bound_is_refused(serve, signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="images is 1×500"):
        signatures["images"](images=tf.zeros([1, 500, 1, 3], tf.uint8))
