"""What a server refuses before it costs memory or gives a wrong answer, as TensorFlow graph code.

Every check raises `InvalidArgumentError` for its request, with the number of the image in it; the server lives on.
Letters: B images, C' classes of a request, A attributes.
"""

import tensorflow as tf

from bgsnet_tf.data.images import decode

MAX_PIXELS = 50_000_000  # above a 48-megapixel camera; decoding takes 4 bytes a pixel of a JPEG, 8 of a PNG (measured)
MAX_ASPECT = 100  # the shorter side is resized to a fixed length, so a 1×60000 image would grow without bound
JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_SIZE_AT = 16  # byte of width and height, four bytes each, in the IHDR chunk that every PNG begins with


def decode_images(image_bytes, views):
    """Images (B, size, size, 3) float32 in the test view of JPEG or PNG files (B,)."""

    def load(item):
        index, contents = item
        return views(_checked_decode(index, contents))

    return _map(load, (tf.range(tf.size(image_bytes)), image_bytes), views)


def view_images(images, views):
    """Images (B, size, size, 3) float32 in the test view of pixels (B, H, W, 3) uint8."""
    shape = tf.shape(images)
    with tf.control_dependencies([_check_size(tf.constant("images"), shape[1], shape[2])]):
        images = tf.identity(images)
    return _map(views, images, views)


def class_embeddings(class_attributes, image_bytes):
    """φ (B, C', A) of `class_attributes` (B, C', A): rows L2-normalised (Eq. 1), whatever their scale.

    Refused: no class, another B than that of `image_bytes` (B,), values that are not finite, a row of zeros.
    """
    shape = tf.shape(class_attributes)
    largest = tf.reduce_max(tf.abs(class_attributes), axis=2, keepdims=True)
    checks = [
        _check(tf.equal(shape[0], tf.size(image_bytes)), "class_attributes and image_bytes differ in their first dimension"),
        _check(shape[1] > 0, "class_attributes hold no class"),
        _check(tf.reduce_all(tf.math.is_finite(class_attributes)), "class_attributes hold NaN or infinity"),
        _check(tf.reduce_all(tf.not_equal(largest, 0)), "class_attributes hold a class whose attributes are all 0, so it has no direction"),
    ]
    with tf.control_dependencies(checks):
        return tf.math.l2_normalize(class_attributes / largest, axis=2)  # divided first: squares of 1e30 overflow


def _map(function, elements, views):
    return tf.map_fn(function, elements, fn_output_signature=tf.TensorSpec([views.size, views.size, 3], tf.float32))


def _checked_decode(index, contents):
    """(h, w, 3) uint8, decoded only once the header's height and width are known to be bearable."""
    name = tf.strings.join(["image ", tf.strings.as_string(index)])
    is_jpeg = tf.equal(tf.strings.substr(contents, 0, len(JPEG_START)), JPEG_START)
    is_png = tf.equal(tf.strings.substr(contents, 0, len(PNG_START)), PNG_START) & (tf.strings.length(contents) >= PNG_SIZE_AT + 8)
    with tf.control_dependencies([_check(is_jpeg | is_png, name, "is neither a JPEG nor a PNG file")]):
        contents = tf.identity(contents)
    height, width = tf.unstack(tf.cond(is_jpeg, lambda: tf.io.extract_jpeg_shape(contents)[:2], lambda: _png_size(contents)))
    with tf.control_dependencies([_check_size(name, height, width)]):
        return decode(tf.identity(contents))


def _png_size(contents):
    """(2,) int32 height and width."""
    width_height = tf.io.decode_raw(tf.strings.substr(contents, PNG_SIZE_AT, 8), tf.int32, little_endian=False)
    return tf.reverse(tf.ensure_shape(width_height, [2]), [0])


def _check_size(name, height, width):
    shorter, longer = (tf.cast(side, tf.int64) for side in (tf.minimum(height, width), tf.maximum(height, width)))
    bearable = (shorter > 0) & (shorter * longer <= MAX_PIXELS) & (longer <= MAX_ASPECT * shorter)
    found = tf.strings.join([tf.strings.as_string(side) for side in (width, height)], "×")
    limit = f": at least 1×1, at most {MAX_PIXELS} pixels, no side over {MAX_ASPECT} times the other"
    return _check(bearable, name, tf.strings.join(["is ", found, limit]))


def _check(condition, *message):
    return tf.debugging.Assert(condition, [tf.strings.join(message, " ")])
