"""What a server refuses before it costs memory or gives a wrong answer, as TensorFlow graph code.

Every check raises `InvalidArgumentError` for its request, with the number of the image in it; the server lives on.
Letters: B images, C' classes of a request, A attributes.
"""

import tensorflow as tf

from bgsnet_tf.data.decoding import check, check_size, decode


def decode_images(image_bytes, views, upright):
    """Images (B, size, size, 3) float32 in the test view of JPEG or PNG files (B,), turned upright as EXIF says if asked to."""

    def load(item):
        index, contents = item
        return views(decode(contents, tf.strings.join(["image ", tf.strings.as_string(index)]), upright))

    return _map(load, (tf.range(tf.size(image_bytes)), image_bytes), views)


def view_images(images, views):
    """Images (B, size, size, 3) float32 in the test view of pixels (B, H, W, 3) uint8."""
    shape = tf.shape(images)
    with tf.control_dependencies([check_size(shape[1], shape[2], "images")]):
        images = tf.identity(images)
    return _map(views, images, views)


def class_embeddings(class_attributes, image_bytes, origin):
    """φ (B, C', A) of `class_attributes` (B, C', A): rows, less `origin` (A,), L2-normalised (Eq. 1); at origin 0 whatever their scale.

    Refused: no class, another B than that of `image_bytes` (B,), values that are not finite, a row of zeros.
    """
    shape = tf.shape(class_attributes)
    class_attributes = tf.ensure_shape(class_attributes, [None, None, origin.shape[0]]) - origin  # a width of 1 would be stretched
    largest = tf.reduce_max(tf.abs(class_attributes), axis=2, keepdims=True)
    checks = [
        check(tf.equal(shape[0], tf.size(image_bytes)), "class_attributes and image_bytes differ in their first dimension"),
        check(shape[1] > 0, "class_attributes hold no class"),
        check(tf.reduce_all(tf.math.is_finite(class_attributes)), "class_attributes hold NaN or infinity"),
        check(tf.reduce_all(tf.not_equal(largest, 0)), "class_attributes hold a class whose attributes are all 0, so it has no direction"),
    ]
    with tf.control_dependencies(checks):
        return tf.math.l2_normalize(class_attributes / largest, axis=2)  # divided first: squares of 1e30 overflow


def attribute_indices(indices, image_bytes, count):
    """`indices` (B, k) of attributes, as they are.

    Refused: another B than that of `image_bytes` (B,), a number that is not below `count` = A.
    """
    limit = f"attribute_indices hold a number that is not from 0 to {count - 1}"
    checks = [
        check(tf.equal(tf.shape(indices)[0], tf.size(image_bytes)), "attribute_indices and image_bytes differ in their first dimension"),
        check(tf.reduce_all((indices >= 0) & (indices < count)), limit),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(indices)


def _map(function, elements, views):
    return tf.map_fn(function, elements, fn_output_signature=tf.TensorSpec([views.size, views.size, 3], tf.float32))
