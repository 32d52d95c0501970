"""From the bytes of an image file to pixels, and what is refused before it costs memory: by training and by an export alike.

Every check raises `InvalidArgumentError`, as decoding does, so it holds in a graph too.
"""

import re

import tensorflow as tf

from bgsnet_tf.errors import UserError

MAX_PIXELS = 50_000_000  # above a 48-megapixel camera; what decoding takes of each is in docs/serving.md
MAX_ASPECT = 100  # the shorter side is resized to a fixed length
JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"  # with the head of the chunk that every PNG begins with; size follows
MAX_PNG_TEXTS = 16  # libpng unpacks each to at most 8 MB, and keeps a thousand of them
MAX_JPEG_SCANS = 100  # encoders write about ten; each passes over all pixels again
REFUSAL = re.compile(r"assertion failed: \[image (.*?)\](?: \[Op:| \[\[|\s|$)", re.DOTALL)  # as a graph words a failed check


def decode(contents, name="image"):
    """(h, w, 3) uint8 of the bytes of a JPEG or PNG file.

    Args:
      contents: scalar string.
      name: scalar string that errors begin with.

    Raises:
      InvalidArgumentError: for another kind of file, for one whose header is not bearable, and for damaged pixels.
    """
    contents = tf.convert_to_tensor(contents)
    is_jpeg = tf.equal(tf.strings.substr(contents, 0, len(JPEG_START)), JPEG_START)
    is_png = tf.equal(tf.strings.substr(contents, 0, len(PNG_START)), PNG_START) & (tf.strings.length(contents) >= len(PNG_START) + 8)
    with tf.control_dependencies([check(is_jpeg | is_png, name, "is neither a JPEG nor a PNG file")]):
        contents = tf.identity(contents)
    height, width = tf.unstack(tf.cond(is_jpeg, lambda: _jpeg_size(contents, name), lambda: _png_size(contents, name)))
    with tf.control_dependencies([check_size(height, width, name)]):
        image = tf.io.decode_image(tf.identity(contents), channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def read(path):
    """(pixels (h, w, 3), bytes) of an image file.

    Raises:
      UserError: what is wrong with it, to follow its name in a sentence.
    """
    try:
        with open(path, "rb") as stream:
            contents = stream.read()
        return _decode(contents).numpy(), contents
    except FileNotFoundError as error:
        raise UserError("is missing") from error
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})") from error
    except tf.errors.InvalidArgumentError as error:
        refusal = REFUSAL.search(error.message)
        raise UserError(refusal[1] if refusal else "cannot be decoded as a JPEG or PNG image (damaged or cut short?)") from error


def check_size(height, width, name):
    """An operation that fails where an image of `height` and `width`, scalar integers, would take memory without bound."""
    shorter, longer = (tf.cast(side, tf.int64) for side in (tf.minimum(height, width), tf.maximum(height, width)))
    bearable = (shorter > 0) & (shorter * longer <= MAX_PIXELS) & (longer <= MAX_ASPECT * shorter)
    found = tf.strings.join([tf.strings.as_string(side) for side in (width, height)], "×")
    limit = f": at least 1×1, at most {MAX_PIXELS} pixels, no side over {MAX_ASPECT} times the other"
    return check(bearable, name, tf.strings.join(["is ", found, limit]))


def check(condition, *message):
    """An operation that fails with the joined `message`, scalar strings, where `condition` is not true."""
    return tf.debugging.Assert(condition, [tf.strings.join(message, " ")])


_decode = tf.function(decode, input_signature=[tf.TensorSpec([], tf.string)])


def _jpeg_size(contents, name):
    """(2,) int32 height and width."""
    scans = _count(contents, b"\xff\xda")
    with tf.control_dependencies([check(scans <= MAX_JPEG_SCANS, name, f"has more than {MAX_JPEG_SCANS} scans")]):
        return tf.io.extract_jpeg_shape(contents)[:2]


def _png_size(contents, name):
    """(2,) int32 height and width."""
    texts = _count(contents, b"zTXt") + _count(contents, b"iTXt")
    with tf.control_dependencies([check(texts <= MAX_PNG_TEXTS, name, f"has more than {MAX_PNG_TEXTS} compressed texts")]):
        width_height = tf.io.decode_raw(tf.strings.substr(contents, len(PNG_START), 8), tf.int32, little_endian=False)
    return tf.reverse(tf.ensure_shape(width_height, [2]), [0])


def _count(contents, marker):
    return tf.size(tf.strings.split(contents, marker)) - 1
